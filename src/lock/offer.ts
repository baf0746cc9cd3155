/** Which of the newer versions may be offered: none that a rule of ours would refuse. Pure but for the rules passed in. */
import { buildxPairOf } from "../profile/buildx-pairs.ts";
import type { Problem } from "../profile/rules/rule.ts";
import type { Profile } from "../profile/schema.ts";
import { withValue } from "../plan/locked-versions.ts";
import type { Requirement } from "../node/requirement.ts";

/** What the rules say of a profile. */
export type AskRules = (profile: Profile) => readonly Problem[];

export interface Offer {
  readonly version: string;
  /** What goes with it, or what is known of it. */
  readonly detail?: string;
}

/** What stands in the profile for a version that a source has: of an image its whole name. */
const valueFor = ({ kind, name }: Requirement, version: string): string =>
  kind === "container-image" ? `${name.slice(0, name.lastIndexOf(":"))}:${version}` : version;

/** Where it stands there: an image of a list may be written as its name alone, and is a map once it is read. */
const placeFor = ({ path }: Requirement): Requirement["path"] => (path[0] === "images" ? [...path, "image"] : path);

const keyOf = ({ path, message }: Problem): string => `${path.join(".")} ${message}`;

/**
 * The newest that may be taken. A newer Docker comes with the buildx that it is paired with, when the one that is set is not.
 * @param newer Newest first.
 */
export const offerOf = (
  profile: Profile,
  requirement: Requirement,
  newer: readonly string[],
  ask: AskRules,
): Offer | undefined => {
  const known = new Set(ask(profile).map(keyOf));
  const fresh = (changed: Profile): Problem[] => ask(changed).filter((problem) => !known.has(keyOf(problem)));
  const judge = (changed: Profile, version: string, companion?: string): Offer | undefined => {
    const problems = fresh(changed);
    if (problems.some(({ severity, untried }) => severity !== "warning" || untried !== true)) return undefined;
    const details = [companion, ...problems.map(({ message }) => message)].filter((each) => each !== undefined);
    return { version, ...(details.length > 0 && { detail: details.join("; ") }) };
  };
  for (const version of newer) {
    const changed = withValue(profile, placeFor(requirement), valueFor(requirement, version)) as Profile;
    const alone = judge(changed, version);
    if (alone !== undefined) return alone;
    const pair = requirement.kind === "docker-static" ? buildxPairOf(version) : undefined;
    if (pair === undefined) continue;
    const paired = { ...changed, buildx: { ...changed.buildx, version: pair } };
    const together = judge(paired, version, `together with buildx ${pair}, its pair`);
    if (together !== undefined) return together;
  }
  return undefined;
};
