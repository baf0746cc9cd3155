/** Puts a rendered tree in place: written whole to a temporary folder first, so that out/<profile>/ is never half new. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BakeError } from "../errors.ts";
import type { RenderedFile } from "./tree.ts";

/** What a bake leaves beside the rendered files; a new rendering keeps it. */
const kept = new Set(["image.qcow2", "image.json", "log"]);

const listFiles = async (folder: string): Promise<string[]> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .filter((path) => !kept.has(path.split("/")[0] ?? ""))
    .toSorted();
};

/** Paths whose bytes differ from what is in `folder`: new, changed or no longer there. Empty when nothing would change. */
export const differences = async (folder: string, files: readonly RenderedFile[]): Promise<string[]> => {
  const there = new Set(await listFiles(folder));
  const different: string[] = [];
  for (const { path, content } of files) {
    const same = there.delete(path) && (await readFile(join(folder, path), "utf8")) === content;
    if (!same) different.push(path);
  }
  return [...different, ...there].toSorted();
};

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
};

/** One writer of a folder at a time. @throws BakeError BK405 when another bake writes there. */
const alone = async <T>(folder: string, work: () => Promise<T>): Promise<T> => {
  const lock = `${folder}.lock`;
  await mkdir(dirname(folder), { recursive: true });
  for (let attempt = 0; ; attempt++) {
    try {
      await writeFile(lock, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      const owner = Number(await readFile(lock, "utf8").catch(() => "0"));
      if (attempt > 0 || alive(owner)) {
        throw new BakeError(
          "BK405",
          `another bake (process ${owner}) writes ${folder} just now`,
          `Let it end. If there is none, remove ${lock}.`,
        );
      }
      // Left by one that was killed.
      await rm(lock, { force: true });
    }
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
};

/**
 * Makes `folder` hold exactly `files`, besides what a bake left there. Does nothing when it already does.
 * @returns the paths that changed.
 * @throws BakeError BK405 when another bake writes there, BK518 when it cannot be written.
 */
export const writeTree = async (folder: string, files: readonly RenderedFile[]): Promise<string[]> => {
  const changed = await differences(folder, files);
  if (changed.length === 0) return [];
  try {
    return await alone(folder, async () => {
      await replaceTree(folder, files);
      return changed;
    });
  } catch (error) {
    if (error instanceof BakeError) throw error;
    throw new BakeError("BK518", `${folder} cannot be written: ${(error as Error).message}`, undefined, {
      cause: error,
    });
  }
};

/** What a bake left in the folder is moved before the old tree goes, and comes back when something fails. */
const replaceTree = async (folder: string, files: readonly RenderedFile[]): Promise<void> => {
  const fresh = `${folder}.new-${process.pid}`;
  const old = `${folder}.old-${process.pid}`;
  try {
    await rm(fresh, { recursive: true, force: true });
    for (const { path, content } of files) {
      await mkdir(dirname(join(fresh, path)), { recursive: true });
      await writeFile(join(fresh, path), content);
    }
    const there = await readdir(folder).catch(() => undefined);
    if (there === undefined) {
      await rename(fresh, folder);
      return;
    }
    await rename(folder, old);
    try {
      await rename(fresh, folder);
    } catch (error) {
      await rename(old, folder);
      throw error;
    }
    for (const name of there) {
      if (kept.has(name)) await rename(join(old, name), join(folder, name));
    }
    await rm(old, { recursive: true, force: true });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
};
