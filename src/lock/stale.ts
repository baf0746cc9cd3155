/** Where a lock and its profile have parted: what the profile asks for and the lock does not hold. Pure. */
import type { Problem } from "../profile/rules/rule.ts";
import type { Artifact, Lock } from "./lock.ts";
import type { Wish } from "./wish.ts";

const isFor = (artifact: Artifact, wish: Wish): boolean =>
  artifact.kind === wish.kind &&
  artifact.name === wish.name &&
  artifact.architecture === wish.architecture &&
  artifact.asked === wish.asked &&
  (wish.kind !== "model" || (artifact.kind === "model" && artifact.hub === wish.hub)) &&
  // A digest that the profile gives now.
  (!("sha256" in wish) || wish.sha256 === undefined || ("sha256" in artifact && artifact.sha256 === wish.sha256));

/** The artifact that answers a wish. */
export const lockedAs = (lock: Lock, wish: Wish): Artifact | undefined =>
  lock.artifacts.find((artifact) => isFor(artifact, wish));

const described = (wish: Wish): string => `${wish.name}${wish.kind === "container-image" ? "" : ` ${wish.asked}`}`;

const why = (lock: Lock, wish: Wish): string => {
  const same = lock.artifacts.filter((each) => each.kind === wish.kind && each.name === wish.name);
  const here = same.find((each) => each.architecture === wish.architecture);
  if (here !== undefined) {
    return here.asked === wish.asked ? "the lock has another digest or source" : `the lock was made for ${here.asked}`;
  }
  const [other] = same;
  return other?.architecture === undefined ? "not in the lock" : `the lock has it for ${other.architecture} alone`;
};

/** One problem a wish that the lock does not answer, in the profile's words. */
export const staleness = (lock: Lock, wishes: readonly Wish[], file: string): Problem[] =>
  wishes
    .filter((wish) => lockedAs(lock, wish) === undefined)
    .map((wish) => ({
      path: wish.path,
      message: `${file} does not hold ${described(wish)}${wish.architecture === undefined ? "" : ` for ${wish.architecture}`}`,
      label: why(lock, wish),
      help: "bake lock brings the lock up to date",
    }));
