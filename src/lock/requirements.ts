/** Profile → requirements: every artifact that it asks for, once for each architecture that it bakes for. */
import { imageReferenceOf } from "../formats/image-reference.ts";
import { isOpenVersion } from "../formats/version.ts";
import { hubOf, type Profile } from "../profile/schema.ts";
import { type Architecture, type Release, releaseKinds } from "../artifact.ts";
import type { Requirement } from "./requirement.ts";

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

const architecturesOf = ({ targets: { qemu, huaweicloud } }: Profile): Architecture[] =>
  [...new Set([qemu, huaweicloud].flatMap((target) => (target === undefined ? [] : [target.architecture])))].toSorted();

const withPin = (profile: Profile, requirement: Requirement): Requirement => {
  const { reason, link, reviewAt } = pinFor(profile.pins, requirement) ?? {};
  const pin = {
    ...(reason !== undefined && { reason }),
    ...(link !== undefined && { link }),
    ...(reviewAt !== undefined && { reviewAt }),
  };
  return Object.keys(pin).length === 0 ? requirement : { ...requirement, pin };
};

interface ReleaseSetting {
  /** As the lock names it. */
  readonly name: string;
  /** Where its version stands in a profile. */
  readonly path: readonly string[];
  readonly version: (profile: Profile) => string;
  readonly withVersion: (profile: Profile, version: string) => Profile;
}

/** Programs whose releases a profile names, one a kind: a kind that is missing does not compile. */
const releases: Readonly<Record<Release["kind"], ReleaseSetting>> = {
  "docker-static": {
    name: "docker",
    path: ["docker", "version"],
    version: ({ docker }) => docker.version,
    withVersion: (profile, version) => ({ ...profile, docker: { ...profile.docker, version } }),
  },
  buildx: {
    name: "buildx",
    path: ["buildx", "version"],
    version: ({ buildx }) => buildx.version,
    withVersion: (profile, version) => ({ ...profile, buildx: { ...profile.buildx, version } }),
  },
  "buildkite-agent": {
    name: "buildkite-agent",
    path: ["agents", "version"],
    version: ({ agents }) => agents.version,
    withVersion: (profile, version) => ({ ...profile, agents: { ...profile.agents, version } }),
  },
  goss: {
    name: "goss",
    path: ["checks", "gossVersion"],
    version: ({ checks }) => checks.gossVersion,
    withVersion: (profile, version) => ({ ...profile, checks: { ...profile.checks, gossVersion: version } }),
  },
};

/** A name of a plain file: its place on the node. Pure. */
export const fileName = (path: string): string => path.replace(/^\/+/, "");

/**
 * Every artifact that a profile asks for: those of each architecture that it bakes for, then those that serve all. Pure.
 * @throws RangeError as `pinFor`
 */
export const requirementsOf = (profile: Profile): Requirement[] => {
  const { builders, images, models, files, targets } = profile;
  const everywhere: Requirement[] = [
    ...models.map((model, index): Requirement => {
      const { hub, name } = hubOf(model);
      return {
        kind: "model",
        hub,
        name,
        asked: model.revision ?? (hub === "modelscope" ? "master" : "main"),
        path: ["models", index, hub],
      };
    }),
    ...files.map(
      ({ url, path, sha256, checksums }, index): Requirement => ({
        kind: "file",
        name: fileName(path),
        asked: url,
        url,
        path: ["files", index, "url"],
        ...(sha256 !== undefined && { sha256 }),
        ...(checksums !== undefined && { checksums }),
      }),
    ),
  ];
  const each = (architecture: Architecture): Requirement[] => [
    ...(targets.qemu?.architecture === architecture
      ? [
          {
            kind: "base" as const,
            name: typeof targets.qemu.base === "string" ? targets.qemu.base : "base",
            asked: typeof targets.qemu.base === "string" ? targets.qemu.base : targets.qemu.base.file,
            base: targets.qemu.base,
            architecture,
            path: ["targets", "qemu", "base"],
          },
        ]
      : []),
    ...releaseKinds.map((kind): Requirement => {
      const { name, path, version } = releases[kind];
      return { kind, name, asked: version(profile), architecture, path };
    }),
    { kind: "container-image", name: builders.image, asked: builders.image, architecture, path: ["builders", "image"] },
    ...images.map(
      (image, index): Requirement => ({
        kind: "container-image",
        name: image,
        asked: image,
        architecture,
        path: ["images", index],
      }),
    ),
  ];
  return [...architecturesOf(profile).flatMap(each), ...everywhere].map((requirement) => withPin(profile, requirement));
};

/** Names of artifacts that a pin of the profile can be for, each once. Pure. */
export const pinnable = (profile: Profile): string[] => [...new Set(requirementsOf(profile).flatMap(pinNames))];

/** Profile with the exact versions that a lock holds in the place of `26.1.x`. Pure. */
export const withLockedVersions = (
  profile: Profile,
  artifacts: readonly { readonly kind: string; readonly version: string }[],
): Profile =>
  releaseKinds.reduce((changed, kind) => {
    const { version, withVersion } = releases[kind];
    const locked = artifacts.find((each) => each.kind === kind)?.version;
    return locked !== undefined && isOpenVersion(version(changed)) ? withVersion(changed, locked) : changed;
  }, profile);
