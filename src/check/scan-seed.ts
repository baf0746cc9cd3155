/** The seed in a disk image: packed, so that a search of the raw disk sees nothing of it. Its ranges are looked into one by one. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Host } from "../host/host.ts";

/** Where an image has its seed (templates/node/seed.sh). */
const seedFolder = "/opt/bake/seed";

export interface Partition {
  /** Bytes from the start of the disk. */
  readonly from: number;
  readonly to: number;
}

/** A range of the seed, unpacked for as long as it is looked at. */
export interface UnpackedRange {
  /** On the guest: `/opt/bake/seed/00003.zst`. */
  readonly place: string;
  readonly path: string;
}

/** Names in that folder of an ext file system; none where there is no such folder, or another file system. */
const namesIn = async (host: Host, raw: string, { from }: Partition): Promise<string[]> => {
  const { stdout } = await host.run("debugfs", ["-R", `ls -p ${seedFolder}`, `${raw}?offset=${from}`], {
    allowFailure: true,
  });
  return [...stdout.matchAll(/^\/\d+\/\d+\/\d+\/\d+\/(\d+\.zst)\/\d+\/$/gm)].map(([, name = ""]) => name).toSorted();
};

/**
 * Unpacks each range of the seed in a raw disk, and has `look` at it.
 * @param workFolder Holds one range at a time, packed and unpacked: up to 512 MiB.
 * @returns how many there were.
 */
export const lookIntoSeed = async (
  host: Host,
  raw: string,
  partitions: readonly Partition[],
  workFolder: string,
  look: (range: UnpackedRange) => Promise<void>,
): Promise<number> => {
  const packed = join(workFolder, "range.zst");
  const path = join(workFolder, "range.raw");
  let count = 0;
  for (const partition of partitions) {
    for (const name of await namesIn(host, raw, partition)) {
      host.signal.throwIfAborted();
      const place = `${seedFolder}/${name}`;
      try {
        await host.run("debugfs", ["-R", `dump ${place} ${packed}`, `${raw}?offset=${partition.from}`]);
        await host.run("zstd", ["-d", "-q", "-f", "--sparse", "-o", path, packed]);
        await look({ place, path });
        count++;
      } finally {
        await rm(packed, { force: true });
        await rm(path, { force: true });
      }
    }
  }
  return count;
};
