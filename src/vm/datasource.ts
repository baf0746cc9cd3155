/**
 * Where cloud-init finds what an instance is: the seed of NoCloud on a small disk, OpenStack's files on such a disk (its
 * config drive), or the same files from a metadata service.
 */
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Host } from "../host/host.ts";
import { makeFolder } from "../host/make-folder.ts";
import type { DiskFile } from "./disks.ts";

export interface InstanceData {
  readonly userData: string;
  /** meta-data of NoCloud, meta_data.json of OpenStack. */
  readonly metaData: string;
}

/** By cloud-init's names. */
export type Datasource = "NoCloud" | "ConfigDrive" | "OpenStack";

/**
 * OpenStack's metadata, by path, as a config drive holds them and Huawei Cloud's metadata service answers them
 * (facts: huaweicloud.md, "Datasource"). Pure.
 */
export const openStackFiles = ({ userData, metaData }: InstanceData): Record<string, string> => ({
  "openstack/latest/meta_data.json": metaData,
  "openstack/latest/user_data": userData,
});

/** Volume labels that cloud-init looks for, and what such a volume holds. */
const volumes = {
  NoCloud: {
    label: "cidata",
    files: ({ userData, metaData }: InstanceData) => ({ "user-data": userData, "meta-data": metaData }),
  },
  ConfigDrive: { label: "config-2", files: openStackFiles },
};

/**
 * Writes the disk of a datasource into `workDir`. User-data may hold secrets: its file is for this user alone.
 * @throws BakeError BK302 when xorriso fails.
 */
export const writeSeed = async (
  host: Host,
  workDir: string,
  datasource: keyof typeof volumes,
  data: InstanceData,
): Promise<DiskFile> => {
  const { label, files } = volumes[datasource];
  const seed = join(workDir, "seed");
  for (const [path, content] of Object.entries(files(data))) {
    await makeFolder(dirname(join(seed, path)));
    await writeFile(join(seed, path), content, { mode: 0o600 });
  }
  const file = join(workDir, "seed.iso");
  await host.run("xorriso", [
    ...["-as", "genisoimage", "-quiet", "-volid", label, "-joliet", "-rock", "-output", file, seed],
  ]);
  return { file, format: "raw" };
};
