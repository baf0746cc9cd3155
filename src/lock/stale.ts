/** Where a lock and its profile have parted: what only one of the two has. Pure. */
import type { Problem } from "../profile/rules/rule.ts";
import { shownUrl } from "../store/http.ts";
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

/** For messages: a file's URL may be signed in its query. */
export const shownAsked = ({ kind, asked }: Pick<Wish | Artifact, "kind" | "asked">): string =>
  kind === "file" ? shownUrl(asked) : asked;

const described = (wish: Wish): string =>
  `${wish.name}${wish.kind === "container-image" ? "" : ` ${shownAsked(wish)}`}`;

const forArchitecture = ({ architecture }: Wish | Artifact): string =>
  architecture === undefined ? "" : ` for ${architecture}`;

const help = "bake lock brings the lock up to date";

const why = (lock: Lock, wish: Wish): string => {
  const same = lock.artifacts.filter((each) => each.kind === wish.kind && each.name === wish.name);
  const here = same.find((each) => each.architecture === wish.architecture);
  if (here !== undefined) {
    if (here.asked === wish.asked) return "the lock has another digest or source";
    const [before, now] = [shownAsked(here), shownAsked(wish)];
    return before === now ? "the lock was made for another query of this URL" : `the lock was made for ${before}`;
  }
  const [other] = same;
  return other?.architecture === undefined ? "not in the lock" : `the lock has it for ${other.architecture} alone`;
};

const missing = (lock: Lock, wishes: readonly Wish[], file: string): Problem[] =>
  wishes
    .filter((wish) => lockedAs(lock, wish) === undefined)
    .map((wish) => ({
      path: wish.path,
      message: `${file} does not hold ${described(wish)}${forArchitecture(wish)}`,
      label: why(lock, wish),
      help,
    }));

/** Where in a profile each kind is asked for, and what a message calls it before its name. */
const kinds: Readonly<Record<Artifact["kind"], { readonly section: Problem["path"]; readonly noun: string }>> = {
  base: { section: ["targets", "qemu"], noun: "the base " },
  "docker-static": { section: ["docker"], noun: "" },
  buildx: { section: ["buildx"], noun: "" },
  "buildkite-agent": { section: ["agents"], noun: "" },
  goss: { section: ["checks"], noun: "" },
  "container-image": { section: ["images"], noun: "the image " },
  model: { section: ["models"], noun: "the model " },
  file: { section: ["files"], noun: "the file " },
};

/** Of another version or source it is said that the lock does not hold the one that is asked for. */
const isWished = (artifact: Artifact, wishes: readonly Wish[]): boolean =>
  wishes.some(
    ({ kind, name, architecture }) =>
      artifact.kind === kind && artifact.name === name && artifact.architecture === architecture,
  );

const unasked = (lock: Lock, wishes: readonly Wish[], file: string): Problem[] =>
  lock.artifacts
    .filter((artifact) => !isWished(artifact, wishes))
    .map((artifact) => ({
      path: kinds[artifact.kind].section,
      at: "key",
      message: `${file} holds ${kinds[artifact.kind].noun}${artifact.name}${forArchitecture(artifact)}, which the profile does not ask for`,
      label: "no longer asked for",
      help,
    }));

/** In the profile's words: every wish that the lock does not answer, and every artifact that no wish asks for. */
export const staleness = (lock: Lock, wishes: readonly Wish[], file: string): Problem[] => [
  ...missing(lock, wishes, file),
  ...unasked(lock, wishes, file),
];
