/** Profile → requirements: every artifact that it asks for, once for each architecture that it bakes for. Pure. */
import type { Architecture, Artifact } from "../artifact.ts";
import { concerns } from "../node/index.ts";
import type { Requirement } from "../node/requirement.ts";
import type { Profile } from "../profile/schema.ts";
import { planTarget, targetsOf } from "../targets/index.ts";

/** A pin is named as the artifact, or as an image without its tag. */
export const pinFor = (pins: Profile["pins"], name: string): Profile["pins"][string] | undefined =>
  pins[name] ?? pins[name.replace(/:[^:/]+$/, "")];

const withPin = (profile: Profile, requirement: Requirement): Requirement => {
  const { reason, link, reviewAt } = pinFor(profile.pins, requirement.name) ?? {};
  const pin = {
    ...(reason !== undefined && { reason }),
    ...(link !== undefined && { link }),
    ...(reviewAt !== undefined && { reviewAt }),
  };
  return Object.keys(pin).length === 0 ? requirement : { ...requirement, pin };
};

/** What a bake starts from first, then releases, images, models, files: as they are asked for and told. */
const kinds: readonly Artifact["kind"][] = [
  "base",
  "docker-static",
  "buildx",
  "buildkite-agent",
  "goss",
  "container-image",
  "model",
  "file",
];

const byKind = (a: Requirement, b: Requirement): number => kinds.indexOf(a.kind) - kinds.indexOf(b.kind);

/** Those that all architectures share come last. */
export const requirementsOf = (profile: Profile): Requirement[] => {
  const targets = targetsOf(profile).map((name) => planTarget("", profile, name));
  const architectures: Architecture[] = [...new Set(targets.map(({ plan }) => plan.architecture))].toSorted();
  const each = architectures.flatMap((architecture) =>
    [...targets.flatMap(({ plan, concern }) => (plan.architecture === architecture ? [concern] : [])), ...concerns]
      .flatMap(({ requirements }) => requirements?.(profile, architecture) ?? [])
      .toSorted(byKind),
  );
  const shared = new Map<string, Requirement>();
  for (const requirement of each) {
    if (requirement.architecture === undefined) shared.set(`${requirement.kind} ${requirement.name}`, requirement);
  }
  return [...each.filter(({ architecture }) => architecture !== undefined), ...shared.values()].map((requirement) =>
    withPin(profile, requirement),
  );
};

/** Names of artifacts that a pin can be for. */
export const pinnable = (profile: Profile): string[] => [
  ...new Set(
    requirementsOf(profile).flatMap(({ kind, name }) =>
      kind === "container-image" ? [name, name.replace(/:[^:/]+$/, "")] : [name],
    ),
  ),
];
