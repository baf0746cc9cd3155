/** The data disk (guide rows G16–G18). */
import type { Profile } from "../../profile/schema.ts";
import { gib } from "../../formats/bytes.ts";

/** The file system that an image carries for a blank disk. */
interface SeedFacts {
  /** Of the file system: no data disk is smaller. Free blocks take no room in the image. */
  readonly bytes: number;
  readonly journalMib: number;
  /** Of zstd. */
  readonly level: number;
  /** MiB that zstd looks back at the most. */
  readonly windowMib: number;
}

export interface StorageFacts {
  /** `blank`: made on an empty disk. `adopt`: exists already and is never formatted. */
  readonly kind: "blank" | "adopt";
  readonly select: "nvme" | "any";
  readonly pick: "only" | "first" | "largest";
  /** `UUID=…` or `LABEL=…`: what fstab names. */
  readonly source: string;
  readonly filesystem: "ext4" | "xfs";
  readonly mount: string;
  /** Of the file system that bake makes: one for the whole fleet. */
  readonly uuid: string;
  readonly label: string;
  /** Bytes below which a blank disk is no candidate. */
  readonly minBytes: number;
  /** Bytes that must be free before the node takes jobs. */
  readonly minFreeBytes: number;
  /** Bytes, above those, below which caches give room back: before the node would take no more jobs. */
  readonly reserveBytes: number;
  /** What bake itself keeps on the data disk, beside Docker's data and the caches. */
  readonly stateFolder: string;
  /** Absent: no file system is made, or one that does not grow as a seed has to. */
  readonly seed?: SeedFacts;
  /** The six fields of the fstab line. */
  readonly fstab: readonly [string, string, string, string, string, string];
}

/**
 * Seconds that the mount waits for the disk: above what bake-storage gives mkfs on the largest one, and the largest seed
 * (templates/node/bake-storage). Nobody waits for so long: the mount fails with bake-storage.
 */
const deviceTimeout = (seedBytes: number): number => Math.max(4000, 1000 + Math.ceil(seedBytes / 5_000_000));

/** Bytes of an ext4 as bake makes it, journal aside, for one of inodes. */
const bytesPerInode = 32_768 / 256;

/** Bytes that a seed's file system takes for itself: its journal, and the tables of inodes. Pure. */
export const seedOverhead = ({ bytes, journalMib }: SeedFacts): number => journalMib * 2 ** 20 + bytes / bytesPerInode;

/** The data disk: which one, how it is named and mounted. Bytes and seconds. Pure. */
export const storageFacts = ({ storage }: Profile): StorageFacts => {
  const { disk, filesystem, mount, uuid } = storage;
  const blank = !("adopt" in disk);
  const source = "adopt" in disk ? disk.adopt : `UUID=${uuid}`;
  const seed: SeedFacts | undefined =
    blank && filesystem === "ext4"
      ? {
          bytes: storage.minSize * gib,
          // What mkfs gives the largest disks; on a small one it would take a good part.
          journalMib: storage.minSize < 32 ? 64 : 1024,
          level: storage.seed.level,
          windowMib: storage.seed.window,
        }
      : undefined;
  return {
    kind: "adopt" in disk ? "adopt" : "blank",
    select: "adopt" in disk ? "any" : disk.blank,
    pick: "adopt" in disk ? "only" : disk.pick,
    source,
    filesystem,
    mount,
    uuid,
    label: "bake-data",
    minBytes: storage.minSize * gib,
    minFreeBytes: storage.minFree * gib,
    reserveBytes: (storage.minFree + Math.max(1, Math.min(storage.minFree, Math.floor(storage.minSize / 20)))) * gib,
    stateFolder: `${mount}/.bake`,
    ...(seed !== undefined && { seed }),
    // nofail keeps a host with a broken disk reachable; RequiresMountsFor= in the units keeps Docker off the system disk.
    fstab: [
      source,
      mount,
      filesystem,
      // A file system that met an error takes no more writes: the health timer sees that, and stops the agents.
      `defaults,${filesystem === "ext4" ? "errors=remount-ro," : ""}nofail,x-systemd.requires=bake-storage.service,x-systemd.device-timeout=${deviceTimeout(seed?.bytes ?? 0)}s`,
      "0",
      // xfs has no check at boot.
      filesystem === "xfs" ? "0" : "2",
    ],
  };
};
