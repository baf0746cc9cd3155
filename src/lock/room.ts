/** Whether the smallest data disk that a profile takes has room for what its lock names. Pure. */
import type { BuildCache, ContainerImage, Model } from "../artifact.ts";
import { cachesShare } from "../node/builders/facts.ts";
import { cacheBytes } from "../node/caches/facts.ts";
import { isNamed } from "../node/images/facts.ts";
import { modelBytes } from "../node/models/facts.ts";
import { seedOverhead, storageFacts } from "../node/storage/facts.ts";
import { layerBytes, unpacked } from "../node/unpacked.ts";
import type { Problem } from "../profile/rules/rule.ts";
import { hubOf, type Profile } from "../profile/schema.ts";
import type { Lock } from "./lock.ts";
import { gib } from "../formats/bytes.ts";

/** Bytes of all layers for one architecture. */
const imageBytes = ({ artifacts }: Lock, counts: (image: ContainerImage) => boolean = () => true): number => {
  const images = artifacts.filter((artifact) => artifact.kind === "container-image").filter(counts);
  const architectures = [...new Set(images.map(({ architecture }) => architecture))];
  return Math.max(
    0,
    ...architectures.map((each) => layerBytes(images.filter(({ architecture }) => architecture === each))),
  );
};

/** GiB that so many bytes of layers take in Docker's store. */
const storeSize = (layers: number): number => Math.ceil((layers * unpacked) / gib);

/** GiB of a base and of what is installed on it: an estimate. */
const baseSize = 4;

/** The system disks on which a seed does not fit while it is made: layers are there, and what Docker makes of them. */
const seedProblems = ({ storage, targets }: Profile, layers: number, others: number): Problem[] => {
  if (storage.filesystem !== "ext4") return [];
  const needed = baseSize + Math.ceil(layers / gib) + storeSize(layers) + others;
  return (["qemu", "huaweicloud"] as const).flatMap((name) => {
    const diskSize = targets[name]?.diskSize;
    return diskSize === undefined || needed <= diskSize
      ? []
      : [
          {
            path: ["targets", name, "diskSize"],
            orAt: ["targets", name],
            severity: "warning" as const,
            message: `targets.${name}.diskSize is ${diskSize} GiB, making the seed of images, models and build caches takes about ${needed} GiB`,
            label: "the bake would run out of room",
            help: `set it to ${needed} or more; docs/seeds.md has the sum`,
          },
        ];
  });
};

/** GiB of models: once each, whatever the number of agents. */
const modelsSize = ({ artifacts }: Lock, counts: (model: Model) => boolean = () => true): number =>
  Math.ceil(modelBytes(artifacts.filter((each) => each.kind === "model").filter(counts)) / gib);

/** GiB of build caches: once each, whatever the number of agents. */
const buildCachesSize = ({ artifacts }: Lock, counts: (cache: BuildCache) => boolean = () => true): number =>
  Math.ceil(cacheBytes(artifacts.filter((each) => each.kind === "build-cache").filter(counts)) / gib);

/** What takes room on the smallest data disk that a profile takes, in GiB: estimates, rounded up. */
export interface DiskRoom {
  readonly size: number;
  /** Unpacked. */
  readonly images: number;
  readonly models: number;
  /** Of the lock; what jobs add to them is not known. */
  readonly buildCaches: number;
  /** The most that builders keep. */
  readonly caches: number;
  /** Must be free before the node takes jobs. */
  readonly minFree: number;
  /** What the file system of a seed takes for itself. */
  readonly fileSystem: number;
}

/** The room of the smallest data disk with what a lock names; undefined for an adopted one, which is taken whatever its size. Pure. */
export const diskRoom = (profile: Profile, lock: Lock): DiskRoom | undefined => {
  const { agents, builders, storage } = profile;
  const { seed } = storageFacts(profile);
  return "adopt" in storage.disk
    ? undefined
    : {
        size: storage.minSize,
        images: storeSize(imageBytes(lock)),
        models: modelsSize(lock),
        buildCaches: buildCachesSize(lock),
        caches:
          builders.maxCacheSize === undefined
            ? Math.ceil((storage.minSize * cachesShare) / 100)
            : builders.maxCacheSize * agents.spawn,
        minFree: storage.minFree,
        fileSystem: seed === undefined ? 0 : Math.ceil(seedOverhead(seed) / gib),
      };
};

/** What of images, models, caches and free room does not fit. Pure. */
export const roomProblems = (profile: Profile, lock: Lock): Problem[] => {
  const { storage } = profile;
  const room = diskRoom(profile, lock);
  if (room === undefined) return [];
  const { images, models, buildCaches, caches, fileSystem } = room;
  const needed = images + models + buildCaches + caches + storage.minFree + fileSystem;
  const inSeed = modelsSize(lock, ({ hub, name }) =>
    profile.models.some((model) => {
      const named = hubOf(model);
      return named.hub === hub && named.name === name && model.from === "image";
    }),
  );
  const cachesInSeed = buildCachesSize(lock, ({ name }) =>
    profile.caches.some((cache) => cache.name === name && cache.from === "image"),
  );
  const fetched = profile.images.filter((each) => each.from === "mirror");
  const layersInSeed = imageBytes(lock, ({ name }) => !fetched.some(({ image }) => isNamed(name, image)));
  const onSystemDisk = seedProblems(profile, layersInSeed, inSeed + cachesInSeed);
  if (needed <= storage.minSize) return onSystemDisk;
  return [
    ...onSystemDisk,
    {
      path: ["storage", "minSize"],
      orAt: [models > images ? "models" : "images"],
      severity: "warning",
      message: `images (about ${images} GiB unpacked), ${models === 0 ? "" : `models (${models} GiB), `}${buildCaches === 0 ? "" : `build caches (${buildCaches} GiB), `}${fileSystem === 0 ? "" : `the file system itself (${fileSystem} GiB), `}caches of builders (${caches} GiB) and storage.minFree (${storage.minFree} GiB) do not fit into storage.minSize (${storage.minSize} GiB)`,
      label: "the smallest disk would run full",
      help: "raise storage.minSize, so that no smaller disk is taken",
    },
  ];
};
