/** The NoCloud seed: a small disk that tells cloud-init what this instance is. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import type { Host } from "../host/host.ts";
import type { DiskFile } from "./disks.ts";

/**
 * Writes a seed into `workDir`. User-data may hold secrets: its file is for this user alone.
 * @throws BakeError BK302 when xorriso fails.
 */
export const writeSeed = async (
  host: Host,
  workDir: string,
  { userData, metaData }: { readonly userData: string; readonly metaData: string },
): Promise<DiskFile> => {
  const seed = join(workDir, "seed");
  await makeFolder(seed);
  await writeFile(join(seed, "user-data"), userData, { mode: 0o600 });
  await writeFile(join(seed, "meta-data"), metaData);
  const file = join(workDir, "seed.iso");
  await host.run("xorriso", [
    ...["-as", "genisoimage", "-quiet", "-volid", "cidata", "-joliet", "-rock", "-output", file, seed],
  ]);
  return { file, format: "raw" };
};
