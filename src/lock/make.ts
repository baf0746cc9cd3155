/** Makes a lock from requirements, or brings one up to date: what it answers already stays as it is. */
import { mapLimited } from "../host/map-limited.ts";
import { BakeError } from "../errors.ts";
import { type Artifact, compareArtifacts } from "../artifact.ts";
import { type Lock, lockVersion } from "./lock.ts";
import { lockedAs } from "./stale.ts";
import type { Requirement } from "../node/requirement.ts";

export interface MakeLockInput {
  /** Name of the profile. */
  readonly profile: string;
  readonly requirements: readonly Requirement[];
  readonly previous?: Lock;
  /** Whether a requirement is asked anew although the previous lock answers it. */
  readonly again: (requirement: Requirement) => boolean;
  /** Asks the sources. @throws BakeError */
  readonly resolve: (requirement: Requirement) => Promise<Artifact>;
  /** Requirements asked at one time. */
  readonly limit?: number;
  readonly onStart?: (requirement: Requirement) => void;
}

/** A requirement that no source could answer. */
export interface Unanswered {
  readonly requirement: Requirement;
  readonly error: BakeError;
}

export interface MadeLock {
  readonly lock: Lock;
  /** What came new, or came out otherwise than before. */
  readonly changed: readonly { readonly before?: Artifact; readonly after: Artifact }[];
  /** What the profile does not ask for any more. */
  readonly dropped: readonly Artifact[];
  /** With any of these the lock is no lock: it is not to be written. */
  readonly unanswered: readonly Unanswered[];
}

/** The pin as the profile has it now, and an image by the name that it has there, whoever answered. */
const asRequired = (artifact: Artifact, { pin = {}, kind, name, asked }: Requirement): Artifact => {
  const { reason: _reason, link: _link, reviewAt: _reviewAt, ...rest } = artifact;
  return { ...rest, ...(kind === "container-image" && { name, asked }), ...pin };
};

/**
 * The lock of these requirements. What the previous one answers is taken over with today's pin, unless it is asked `again`; all else
 * is resolved, a few at a time. Writes nothing; pure but for `resolve` and `onStart`.
 * @returns a BakeError of `resolve` as unanswered, beside its requirement
 * @throws what else `resolve` throws
 */
export const makeLock = async (input: MakeLockInput): Promise<MadeLock> => {
  const { previous, requirements } = input;
  const answers = await mapLimited(
    requirements,
    input.limit ?? 4,
    async (requirement): Promise<Artifact | Unanswered> => {
      const known = previous === undefined ? undefined : lockedAs(previous, requirement);
      if (known !== undefined && !input.again(requirement)) return asRequired(known, requirement);
      input.onStart?.(requirement);
      try {
        return asRequired(await input.resolve(requirement), requirement);
      } catch (error) {
        if (error instanceof BakeError) return { requirement, error };
        throw error;
      }
    },
  );
  const artifacts = answers.flatMap((answer) => ("error" in answer ? [] : [answer])).toSorted(compareArtifacts);
  const same = (a: Artifact, b: Artifact): boolean => compareArtifacts(a, b) === 0;
  return {
    lock: { lockVersion, profile: input.profile, artifacts },
    changed: artifacts.flatMap((after) => {
      const before = previous?.artifacts.find((each) => same(each, after));
      return before !== undefined && JSON.stringify(before) === JSON.stringify(after)
        ? []
        : [{ ...(before !== undefined && { before }), after }];
    }),
    dropped: (previous?.artifacts ?? []).filter((before) => !artifacts.some((after) => same(before, after))),
    unanswered: answers.flatMap((answer) => ("error" in answer ? [answer] : [])),
  };
};
