/** Folders of the cache that one run of bake works in. */
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "./make-folder.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "./host.ts";
import { currentProcess, isStale } from "./process-identity.ts";

/**
 * Where something is mounted at or below a folder. Pure.
 * @param mounts /proc/self/mounts: a space in a name stands as `\\040` there.
 */
export const mountsBelow = (folder: string, mounts: string): string[] =>
  mounts
    .split("\n")
    .map((line) => (line.split(" ")[1] ?? "").replaceAll("\\040", " "))
    .filter((point) => point === folder || point.startsWith(`${folder}/`));

/**
 * Removes a folder and all in it. What is mounted there belongs to somebody else: then nothing is removed.
 * @throws BakeError BK406 when something is mounted in it.
 */
const removeFolder = async (folder: string): Promise<void> => {
  const [mounted] = mountsBelow(folder, await readFile("/proc/self/mounts", "utf8").catch(() => ""));
  if (mounted !== undefined) {
    throw new BakeError(
      "BK406",
      `${folder} cannot be removed: ${mounted} is mounted in it`,
      `umount ${mounted}, then bake again.`,
    );
  }
  await rm(folder, { recursive: true, force: true });
};

/** Milliseconds: no bake of another machine that shares the cache takes so long. */
const longestWork = 24 * 60 * 60 * 1000;

/** Removes work folders of dead processes: a killed one cannot clean up after itself. */
const removeStaleWork = async (parent: string): Promise<void> => {
  for (const name of await readdir(parent).catch(() => [])) {
    const folder = join(parent, name);
    if (await isStale(name.slice(name.indexOf("-") + 1), folder, longestWork)) await removeFolder(folder);
  }
};

/**
 * A folder of this process for the time of `work`, removed whatever happens. Those of dead processes are removed first.
 * @param name What it is for: the first part of the folder's name.
 * @returns what `work` returns.
 * @throws BakeError BK406 when something is mounted in a folder to remove; and what `work` throws.
 */
export const withWorkFolder = async <T>(
  host: Pick<Host, "cacheDir">,
  name: string,
  work: (folder: string) => Promise<T>,
): Promise<T> => {
  const parent = join(host.cacheDir, "work");
  const folder = join(parent, `${name}-${currentProcess()}`);
  await makeFolder(parent);
  await removeStaleWork(parent);
  await mkdir(folder, { mode: 0o700 });
  try {
    return await work(folder);
  } finally {
    await removeFolder(folder);
  }
};
