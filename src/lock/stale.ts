/** Where a lock and its profile have parted: what only one of the two has. Pure. */
import { nameSameImage } from "../formats/image-reference.ts";
import type { Problem } from "../profile/rules/rule.ts";
import { shownUrl } from "../store/url.ts";
import { type Artifact, kindOf } from "../artifact.ts";
import type { Lock } from "./lock.ts";
import type { Requirement } from "../node/requirement.ts";

/** Of one kind and name. An image has several names, such as `x` and `docker.io/library/x`. */
const isNamed = (artifact: Artifact, { kind, name }: Requirement): boolean =>
  artifact.kind === kind &&
  (artifact.name === name || (kind === "container-image" && nameSameImage(artifact.name, name)));

/** A folder beside the profile is named from where bake runs: from below, and from the profile's own, it has other names. */
const isSameFolder = (one: string, other: string): boolean => {
  const [a = "", b = ""] = [one, other].map((path) => path.replace(/^(?:\.\.\/)+/, ""));
  return a === b || a.endsWith(`/${b}`) || b.endsWith(`/${a}`);
};

const isFor = (artifact: Artifact, requirement: Requirement): boolean =>
  isNamed(artifact, requirement) &&
  artifact.architecture === requirement.architecture &&
  (requirement.kind === "container-image" ||
    artifact.asked === requirement.asked ||
    (requirement.kind === "build-cache" && isSameFolder(artifact.asked, requirement.asked))) &&
  (requirement.kind !== "model" || (artifact.kind === "model" && artifact.hub === requirement.hub)) &&
  // A digest that the profile gives now.
  (!("sha256" in requirement) ||
    requirement.sha256 === undefined ||
    ("sha256" in artifact && artifact.sha256 === requirement.sha256));

/** The artifact that answers a requirement; undefined when there is none. Pure. */
export const lockedAs = (lock: Lock, requirement: Requirement): Artifact | undefined =>
  lock.artifacts.find((artifact) => isFor(artifact, requirement));

/** What was asked for, as a message may show it: a file's URL may be signed in its query. Pure. */
export const shownAsked = ({ kind, asked }: Pick<Requirement | Artifact, "kind" | "asked">): string =>
  kind === "file" ? shownUrl(asked) : asked;

const described = (requirement: Requirement): string =>
  requirement.kind === "container-image" || requirement.name === requirement.asked
    ? requirement.name
    : `${requirement.name} ${shownAsked(requirement)}`;

const forArchitecture = ({ architecture }: Requirement | Artifact): string =>
  architecture === undefined ? "" : ` for ${architecture}`;

const help = "bake lock brings the lock up to date";

const why = (lock: Lock, requirement: Requirement): string => {
  const same = lock.artifacts.filter((each) => isNamed(each, requirement));
  const here = same.find((each) => each.architecture === requirement.architecture);
  if (here !== undefined) {
    if (here.asked === requirement.asked) return "the lock has another digest or source";
    const [before, now] = [shownAsked(here), shownAsked(requirement)];
    return before === now ? "the lock was made for another query of this URL" : `the lock was made for ${before}`;
  }
  const [other] = same;
  return other?.architecture === undefined ? "not in the lock" : `the lock has it for ${other.architecture} alone`;
};

const missing = (lock: Lock, requirements: readonly Requirement[], file: string): Problem[] =>
  requirements
    .filter((requirement) => lockedAs(lock, requirement) === undefined)
    .map((requirement) => ({
      path: requirement.path,
      message: `${file} does not hold ${described(requirement)}${forArchitecture(requirement)}`,
      label: why(lock, requirement),
      help,
    }));

/** Of another version or source it is said that the lock does not hold the one that is asked for. */
const isRequired = (artifact: Artifact, requirements: readonly Requirement[]): boolean =>
  requirements.some(
    (requirement) => isNamed(artifact, requirement) && artifact.architecture === requirement.architecture,
  );

const unasked = (lock: Lock, requirements: readonly Requirement[], file: string): Problem[] =>
  lock.artifacts
    .filter((artifact) => !isRequired(artifact, requirements))
    .map((artifact) => ({
      path: kindOf(artifact).section,
      at: "key",
      message: `${file} holds ${kindOf(artifact).noun}${artifact.name}${forArchitecture(artifact)}, which the profile does not ask for`,
      label: "no longer asked for",
      help,
    }));

const architecturesOf = (of: readonly (Requirement | Artifact)[]): string[] =>
  [...new Set(of.flatMap(({ architecture }) => architecture ?? []))].toSorted();

/** A lock that has nothing for the processors that are baked for: said once, not for each of its artifacts. */
const forOthers = (lock: Lock, requirements: readonly Requirement[], file: string): Problem[] => {
  const [locked, asked] = [architecturesOf(lock.artifacts), architecturesOf(requirements)];
  if (locked.length === 0 || asked.length === 0 || asked.some((each) => locked.includes(each))) return [];
  return [
    {
      path: ["targets"],
      at: "key",
      message: `${file} was made for ${locked.join(" and ")}, and the profile bakes for ${asked.join(" and ")}`,
      label: "nothing in the lock is for it",
      help,
    },
  ];
};

/**
 * Where lock and profile have parted, in the profile's words: every requirement that the lock does not answer, and every artifact
 * that no requirement asks for. Pure.
 * @param file Name of the lock, as messages show it.
 */
export const staleness = (lock: Lock, requirements: readonly Requirement[], file: string): Problem[] => {
  const mixed = forOthers(lock, requirements, file);
  if (mixed.length > 0) return mixed;
  return [...missing(lock, requirements, file), ...unasked(lock, requirements, file)];
};
