/** Profile → requirements: every artifact that it asks for, once for each architecture that it bakes for. Pure. */
import { type Architecture, artifactKinds } from "../artifact.ts";
import { imageReferenceOf } from "../formats/image-reference.ts";
import { concerns } from "../node/index.ts";
import type { Requirement } from "../node/requirement.ts";
import type { Problem } from "../profile/rules/rule.ts";
import type { Profile } from "../profile/schema.ts";
import { planTarget, targetsOf } from "../targets/index.ts";
import type { Lock } from "./lock.ts";
import { staleness } from "./stale.ts";

/** What a pin for the artifact is named: as the artifact, or as an image without its tag. The closer name first. */
const pinNames = ({ kind, name }: Pick<Requirement, "kind" | "name">): string[] =>
  kind === "container-image" ? [name, imageReferenceOf(name).withoutTag] : [name];

/**
 * The pin that a profile has for an artifact, by the closest of its names. Pure.
 * @throws RangeError for an image whose name was not validated
 */
export const pinFor = (
  pins: Profile["pins"],
  requirement: Pick<Requirement, "kind" | "name">,
): Profile["pins"][string] | undefined => {
  const name = pinNames(requirement).find((each) => Object.hasOwn(pins, each));
  return name === undefined ? undefined : pins[name];
};

const withPin = (profile: Profile, requirement: Requirement): Requirement => {
  const { reason, link, reviewAt } = pinFor(profile.pins, requirement) ?? {};
  const pin = {
    ...(reason !== undefined && { reason }),
    ...(link !== undefined && { link }),
    ...(reviewAt !== undefined && { reviewAt }),
  };
  return Object.keys(pin).length === 0 ? requirement : { ...requirement, pin };
};

/** In the order of the table of kinds: what a bake starts from first. */
const byKind = (a: Requirement, b: Requirement): number =>
  artifactKinds.indexOf(a.kind) - artifactKinds.indexOf(b.kind);

/**
 * Every artifact that a profile asks for: those of each architecture that it bakes for, then those that serve all. Pure.
 * @throws RangeError as `pinFor`
 */
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

/** Where a profile and its lock have parted: none when the lock is up to date. Pure. @param file The lock's, as messages name it. */
export const stalenessOf = (lock: Lock, profile: Profile, file: string): Problem[] =>
  staleness(lock, requirementsOf(profile), file);

/** Names of artifacts that a pin of the profile can be for, each once. Pure. */
export const pinnable = (profile: Profile): string[] => [...new Set(requirementsOf(profile).flatMap(pinNames))];
