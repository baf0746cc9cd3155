import { isOpenVersion } from "../formats/version.ts";
import { type Artifact, isRelease } from "../artifact.ts";
import type { Requirement } from "../node/requirement.ts";
import type { Profile } from "../profile/schema.ts";

/** A copy with another value at a path. Pure. */
export const withValue = (holder: unknown, [step, ...rest]: readonly (string | number)[], value: unknown): unknown => {
  if (step === undefined) return value;
  if (Array.isArray(holder)) return holder.map((each, index) => (index === step ? withValue(each, rest, value) : each));
  const map = holder as Readonly<Record<string, unknown>>;
  return { ...map, [step]: withValue(map[step], rest, value) };
};

/** Profile with the exact versions that a lock holds in the place of `26.1.x`. Pure. */
export const withLockedVersions = (
  profile: Profile,
  requirements: readonly Requirement[],
  artifacts: readonly Pick<Artifact, "kind" | "version">[],
): Profile =>
  requirements
    // A branch of a model may look like an open version; it is no setting that a release's version stands in.
    .filter(({ kind, asked }) => isRelease(kind) && isOpenVersion(asked))
    .reduce((exact, { kind, path }) => {
      const locked = artifacts.find((artifact) => artifact.kind === kind);
      return locked === undefined ? exact : (withValue(exact, path, locked.version) as Profile);
    }, profile);
