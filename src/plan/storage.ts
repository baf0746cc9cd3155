/** The data disk (guide rows G16–G18). */
import type { Profile } from "../profile/schema.ts";

export interface StoragePlan {
  readonly select: "nvme" | "any";
  readonly filesystem: "ext4";
  readonly mount: string;
  readonly uuid: string;
  readonly label: string;
  /** The six fields of the fstab line. */
  readonly fstab: readonly [string, string, string, string, string, string];
}

/** Seconds that the mount waits for the disk: above what bake-storage needs to make a file system on a large one. */
const deviceTimeout = 300;

export const planStorage = ({ storage }: Profile): StoragePlan => ({
  select: storage.disk.blank,
  filesystem: storage.filesystem,
  mount: storage.mount,
  uuid: storage.uuid,
  label: "bake-data",
  // nofail keeps a host with a broken disk reachable; RequiresMountsFor= in the units keeps Docker off the system disk.
  fstab: [
    `UUID=${storage.uuid}`,
    storage.mount,
    storage.filesystem,
    `defaults,nofail,x-systemd.requires=bake-storage.service,x-systemd.device-timeout=${deviceTimeout}s`,
    "0",
    "2",
  ],
});
