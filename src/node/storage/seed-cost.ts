/** What the seed costs in the image, on the data disk and at first boot, as it is set and as it could be. Pure. */
import type { Artifact } from "../../artifact.ts";
import { formatBinary } from "../../formats/bytes.ts";
import type { Profile } from "../../profile/schema.ts";
import type { Consequence } from "../concern.ts";
import type { Facts } from "../facts.ts";
import { isCarried } from "../images/facts.ts";
import { layerBytes, unpacked } from "../unpacked.ts";

const mib = 2 ** 20;

/** MiB of all ranges together while a seed is written, and of programs and buffers of one: as in templates/node/bake-seed. */
const [allRanges, ofRange] = [224, 14];

/** How many ranges are unpacked at a time at the most, whatever the number of processors. Pure. */
export const rangesAtATime = (windowMib: number): number => Math.max(1, Math.floor(allRanges / (windowMib + ofRange)));

/** MiB a second that a system disk of the cloud reads, by what its vendor says of the type. */
const rates: Readonly<Record<"SAS" | "SSD" | "GPSSD" | "ESSD", (gib: number) => number>> = {
  SAS: (size) => Math.min(150, 100 + 0.15 * size),
  SSD: (size) => Math.min(350, 120 + 0.5 * size),
  GPSSD: (size) => Math.min(250, 100 + 0.5 * size),
  ESSD: (size) => Math.min(1000, 120 + 0.5 * size),
};

/** Of a disk that nobody knows. */
const unknownRate = 150;

interface Setting {
  readonly level: number;
  readonly windowMib: number;
}

/**
 * The seed of images over their layers by gzip, as measured on 2.5 GB of programs and libraries of Debian (docs/seeds.md). What lies
 * between counts as the larger one.
 */
const smallest: Setting = { level: 12, windowMib: 128 };
const ofLayers = ({ level, windowMib }: Setting): number => {
  if (windowMib < smallest.windowMib) return 0.97;
  return level < smallest.level ? 0.81 : 0.72;
};

/** Rows of the plan; none where there is no seed. @param locked The lock's artifacts, once there is one. */
export const seedCost = (
  { targets }: Profile,
  { storage, images, models, caches }: Facts,
  locked: readonly Artifact[] | undefined,
): Consequence[] => {
  const { seed } = storage;
  if (seed === undefined) return [];
  const because = ["storage.seed.level", "storage.seed.window"];
  const how = ({ level, windowMib }: Setting): string => {
    const count = rangesAtATime(windowMib);
    return `zstd -${level}, window ${windowMib} MiB, ${count === 1 ? "one range" : `${count} ranges`} at a time at the most`;
  };
  if (locked === undefined) return [{ what: "seed", value: how(seed), because, order: 79 }];
  const all = locked.filter((artifact) => artifact.kind === "container-image");
  const layers = layerBytes(all.filter((image) => isCarried(images, image)));
  const others =
    models.reduce((sum, { from, locked: found }) => sum + (from === "image" ? (found?.bytes ?? 0) : 0), 0) +
    caches.reduce((sum, { from, locked: found }) => sum + (from === "image" ? (found?.bytes ?? 0) : 0), 0);
  const cloud = targets.huaweicloud;
  const rate = cloud === undefined ? unknownRate : rates[cloud.diskType](cloud.diskSize);
  const at = `${Math.round(rate)} MiB/s${cloud === undefined ? "" : `, which a system disk of ${cloud.diskSize} GiB ${cloud.diskType} gives`}`;
  const cost = (setting: Setting): string => {
    const bytes = layers * ofLayers(setting) + others;
    return `about ${formatBinary(bytes)} in the image, ${Math.ceil(bytes / mib / rate)} s to read at a first boot (${how(setting)})`;
  };
  const isSmallest = ofLayers(seed) === ofLayers(smallest);
  return [
    {
      what: "seed",
      value: `${cost(seed)}; ${formatBinary(layers * unpacked + others)} on the data disk; at ${at}`,
      because: [...because, "images", "models", "caches", ...(cloud === undefined ? [] : ["targets.huaweicloud"])],
      order: 79,
    },
    {
      what: "seed, otherwise",
      value: isSmallest ? cost({ level: 3, windowMib: 8 }) : cost(smallest),
      because,
      order: 79,
    },
  ];
};
