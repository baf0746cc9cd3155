/** Build caches that every agent's builds find (guide rows G26, G27): each blob once on the data disk. Pure. */
import { type Artifact, type BuildCache, filesOf } from "../../artifact.ts";
import type { Profile } from "../../profile/schema.ts";

export interface CacheFacts {
  readonly name: string;
  readonly from: "image" | "mirror";
  readonly locked?: {
    readonly blobs: number;
    readonly bytes: number;
  };
}

/** Bytes of caches on a disk: blobs that they share count once. Pure. */
export const cacheBytes = (caches: readonly BuildCache[]): number =>
  [...new Map(caches.flatMap(filesOf).map(({ sha256, size }) => [sha256, size])).values()].reduce(
    (sum, size) => sum + size,
    0,
  );

/** The lock's caches, in the order of the profile. @throws RangeError when it does not name one of them. */
export const lockedCaches = ({ caches }: Pick<Profile, "caches">, locked: readonly Artifact[]): BuildCache[] =>
  caches.map(({ name }) => {
    const found = locked.find((each): each is BuildCache => each.kind === "build-cache" && each.name === name);
    if (found === undefined) throw new RangeError(`the lock does not name build cache ${name}`);
    return found;
  });

/** @throws RangeError when a lock is given that does not name one of the profile's caches. */
export const cacheFacts = (profile: Profile, locked: readonly Artifact[] | undefined): CacheFacts[] => {
  const found = locked === undefined ? undefined : lockedCaches(profile, locked);
  return profile.caches.map(({ name, from }, index) => {
    const cache = found?.[index];
    return cache === undefined
      ? { name, from }
      : {
          name,
          from,
          locked: {
            blobs: cache.blobs.length + 1,
            bytes: cacheBytes([cache]),
          },
        };
  });
};
