/** Whether the smallest data disk that a profile takes has room for what its lock names. Pure. */
import { cachesShare } from "../node/builders/facts.ts";
import type { Problem } from "../profile/rules/rule.ts";
import type { Profile } from "../profile/schema.ts";
import type { Lock } from "./lock.ts";
import { gib } from "../formats/bytes.ts";

/** How many times larger layers are once they are unpacked: an estimate, images of toolchains have two to three. */
const unpacked = 2.5;

/** GiB that the images of a lock take in Docker's store, for one architecture; layers that they share once. */
const imagesSize = ({ artifacts }: Lock): number => {
  const byArchitecture = new Map<string, Map<string, number>>();
  for (const artifact of artifacts) {
    if (artifact.kind !== "container-image") continue;
    const layers = byArchitecture.get(artifact.architecture ?? "") ?? new Map<string, number>();
    for (const { digest, size } of artifact.layers) layers.set(digest, size);
    byArchitecture.set(artifact.architecture ?? "", layers);
  }
  const sums = [...byArchitecture.values()].map((layers) => [...layers.values()].reduce((sum, size) => sum + size, 0));
  return Math.ceil((Math.max(0, ...sums) * unpacked) / gib);
};

/** What of images, caches and free room does not fit. Pure. */
export const roomProblems = ({ agents, builders, storage }: Profile, lock: Lock): Problem[] => {
  // An adopted disk is taken whatever its size.
  if ("adopt" in storage.disk) return [];
  const images = imagesSize(lock);
  const caches =
    builders.maxCacheSize === undefined
      ? Math.ceil((storage.minSize * cachesShare) / 100)
      : builders.maxCacheSize * agents.spawn;
  const needed = images + caches + storage.minFree;
  if (needed <= storage.minSize) return [];
  return [
    {
      path: ["storage", "minSize"],
      orAt: ["images"],
      severity: "warning",
      message: `images (about ${images} GiB unpacked), caches of builders (${caches} GiB) and storage.minFree (${storage.minFree} GiB) do not fit into storage.minSize (${storage.minSize} GiB)`,
      label: "the smallest disk would run full",
      help: "raise storage.minSize, so that no smaller disk is taken",
    },
  ];
};
