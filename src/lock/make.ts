/** Makes a lock from wishes, or brings one up to date: what it answers already stays as it is. */
import { eachWithin } from "../each-within.ts";
import { BakeError } from "../errors.ts";
import { type Artifact, compareArtifacts, type Lock, lockVersion } from "./lock.ts";
import { lockedAs } from "./stale.ts";
import type { Wish } from "./wish.ts";

export interface MakeLockInput {
  /** Name of the profile. */
  readonly profile: string;
  readonly wishes: readonly Wish[];
  readonly previous?: Lock;
  /** Whether a wish is asked anew although the previous lock answers it. */
  readonly again: (wish: Wish) => boolean;
  /** Asks the sources. @throws BakeError */
  readonly resolve: (wish: Wish) => Promise<Artifact>;
  /** Wishes asked at one time. */
  readonly limit?: number;
  readonly onStart?: (wish: Wish) => void;
}

/** A wish that no source could answer. */
export interface Unanswered {
  readonly wish: Wish;
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

/** The pin as the profile has it now, whoever answered. */
const withPin = (artifact: Artifact, { pin = {} }: Wish): Artifact => {
  const { reason: _reason, link: _link, reviewAt: _reviewAt, ...rest } = artifact;
  return { ...rest, ...pin };
};

/** @throws what `resolve` throws, unless it is a BakeError. */
export const makeLock = async (input: MakeLockInput): Promise<MadeLock> => {
  const { previous, wishes } = input;
  const answers = await eachWithin(wishes, input.limit ?? 4, async (wish): Promise<Artifact | Unanswered> => {
    const known = previous === undefined ? undefined : lockedAs(previous, wish);
    if (known !== undefined && !input.again(wish)) return withPin(known, wish);
    input.onStart?.(wish);
    try {
      return withPin(await input.resolve(wish), wish);
    } catch (error) {
      if (error instanceof BakeError) return { wish, error };
      throw error;
    }
  });
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
