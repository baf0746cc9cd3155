/** What of a lock has been overtaken: newer versions, tags that moved, pins past their day, what CI uses now. Pure but for what is passed in. */
import { mapLimited } from "../host/map-limited.ts";
import { BakeError } from "../errors.ts";
import { nameSameImage } from "../formats/image-reference.ts";
import type { Profile } from "../profile/schema.ts";
import type { ProfilePath } from "../profile/source.ts";
import type { Artifact } from "../artifact.ts";
import type { Lock } from "./lock.ts";
import { lockedAs, shownAsked } from "./stale.ts";
import type { Requirement } from "../node/requirement.ts";
import { type AskRules, offerOf } from "./offer.ts";
import { pinFor } from "./requirements.ts";

type Overtaken =
  | "newer version"
  | "tag moved"
  | "files changed"
  | "review due"
  | "CI uses another"
  | "not in the lock"
  | "not answered";

export interface Finding {
  readonly name: string;
  readonly architecture?: string;
  readonly what: Overtaken;
  /** As locked. */
  readonly version: string;
  /** The newest, what the tag names now, what CI uses. */
  readonly now?: string;
  readonly detail?: string;
  /** Where the profile asks for it. */
  readonly path: ProfilePath;
}

export interface Look {
  /** Newest first; none when the locked one is the newest. @throws BakeError */
  readonly newer: (requirement: Requirement, locked: Artifact) => Promise<readonly string[]>;
  /** What the same name gives now, when it is other than what is locked. @throws BakeError */
  readonly moved: (
    requirement: Requirement,
    locked: Artifact,
  ) => Promise<{ readonly now: string; readonly detail: string } | undefined>;
  /** What a file of a repository assigns to a variable. @throws BakeError */
  readonly follow: (follows: Follows) => Promise<string>;
  /** What the rules say of a profile: what they would refuse is not offered. */
  readonly rules: AskRules;
  /** Today, `2026-12-31`. */
  readonly today: string;
}

export type Follows = NonNullable<Profile["pins"][string]["follows"]>;

/** What can go wrong in asking one source says nothing about the others. */
const orNotAnswered = async (subject: Omit<Finding, "what">, ask: () => Promise<Finding[]>): Promise<Finding[]> => {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof BakeError)) throw error;
    return [{ ...subject, what: "not answered", detail: `${error.code} ${error.message.split("\n")[0] ?? ""}` }];
  }
};

/**
 * What has been overtaken since the lock was made, in the order of the requirements. Sources are asked a few at a time. Pure but for
 * `look`; a BakeError of it becomes a finding, "not answered".
 */
export const findOutdated = async (
  profile: Profile,
  lock: Lock,
  requirements: readonly Requirement[],
  look: Look,
): Promise<Finding[]> => {
  const found = await mapLimited(requirements, 4, async (requirement): Promise<Finding[]> => {
    const locked = lockedAs(lock, requirement);
    const subject = {
      name: requirement.name,
      ...(requirement.architecture !== undefined && { architecture: requirement.architecture }),
      version: locked?.version ?? shownAsked(requirement),
      path: requirement.path,
    };
    if (locked === undefined) return [{ ...subject, what: "not in the lock" }];
    const pin = pinFor(profile.pins, requirement);
    const reviewAt = pin?.reviewAt;
    const due = reviewAt !== undefined && reviewAt <= look.today;
    const follows = pin?.follows;
    return [
      ...(due
        ? [
            {
              ...subject,
              what: "review due" as const,
              now: reviewAt,
              ...(pin?.reason !== undefined && { detail: pin.reason }),
            },
          ]
        : []),
      ...(await orNotAnswered(subject, async () => {
        const newer = await look.newer(requirement, locked);
        // A pin that is not due yet says why the newer one is not taken.
        if (pin?.reason !== undefined && !due) return [];
        const offer = offerOf(profile, requirement, newer, look.rules);
        if (offer === undefined) return [];
        const { version: now, detail } = offer;
        return [{ ...subject, what: "newer version", now, ...(detail !== undefined && { detail }) }];
      })),
      ...(await orNotAnswered(subject, async () => {
        const moved = await look.moved(requirement, locked);
        if (moved === undefined) return [];
        return [{ ...subject, what: requirement.kind === "container-image" ? "tag moved" : "files changed", ...moved }];
      })),
      ...(follows === undefined
        ? []
        : await orNotAnswered(subject, async () => {
            const used = await look.follow(follows);
            return (requirement.kind === "container-image" && nameSameImage(used, requirement.name)) ||
              used === requirement.name ||
              used === locked.version
              ? []
              : [{ ...subject, what: "CI uses another", now: used, detail: `${follows.variable} in ${follows.file}` }];
          })),
    ];
  });
  return found.flat();
};
