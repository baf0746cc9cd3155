/** Puts a rendered tree in place: written whole to a temporary folder first, so that out/<profile>/ is never half new. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { BakeError } from "../errors.ts";
import { acquireLock } from "../host/lock-file.ts";
import { currentProcess, isStale } from "../host/process-identity.ts";
import type { RenderedFile } from "./tree.ts";

/** What a bake leaves beside the rendered files; a new rendering keeps it. */
const kept = new Set(["image.qcow2", "image.json", "provenance.json", "log"]);

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
    // A link that leads nowhere is another thing than the file.
    const text = await readFile(join(folder, path), "utf8").catch(() => undefined);
    const same = there.delete(path) && text === content;
    if (!same) different.push(path);
  }
  return [...different, ...there].toSorted();
};

/** One writer of a folder at a time. @throws BakeError BK405 when another bake writes there. */
export const withFolderLock = async <T>(folder: string, work: () => Promise<T>): Promise<T> => {
  const lock = `${folder}.lock`;
  const taken = await acquireLock(lock);
  if (typeof taken === "number") {
    throw new BakeError(
      "BK405",
      `another bake (process ${taken}) writes ${folder} just now`,
      `Let it end. If there is none, remove ${lock}.`,
    );
  }
  try {
    return await work();
  } finally {
    await taken();
  }
};

/** A writer that was killed between two renames left the former folder beside: what a bake left in it comes back. */
const recover = async (folder: string): Promise<void> => {
  const names = await readdir(dirname(folder)).catch((): string[] => []);
  for (const name of names.filter((each) => each.startsWith(`${basename(folder)}.old-`))) {
    const old = join(dirname(folder), name);
    if (!(await isStale(name.slice(name.indexOf(".old-") + ".old-".length), old))) continue;
    const there = await readdir(folder).catch(() => undefined);
    if (there === undefined) await rename(old, folder);
    else {
      for (const each of await readdir(old)) {
        if (kept.has(each) && !there.includes(each)) await rename(join(old, each), join(folder, each));
      }
      await rm(old, { recursive: true, force: true });
    }
  }
};

/**
 * Makes `folder` hold exactly `files`, besides what a bake left there. Does nothing when it already does.
 * @returns the paths that changed.
 * @throws BakeError BK405 when another bake writes there, BK518 when it cannot be read or written.
 */
export const writeTree = async (folder: string, files: readonly RenderedFile[]): Promise<string[]> => {
  try {
    if ((await differences(folder, files)).length === 0) return [];
    return await withFolderLock(folder, async () => {
      await recover(folder);
      const changed = await differences(folder, files);
      if (changed.length > 0) await replaceTree(folder, files);
      return changed;
    });
  } catch (error) {
    if (error instanceof BakeError) throw error;
    throw new BakeError("BK518", `${folder} cannot be written: ${(error as Error).message}`, undefined, {
      cause: error,
    });
  }
};

/** What a bake left in the folder moves before the former tree goes. */
const replaceTree = async (folder: string, files: readonly RenderedFile[]): Promise<void> => {
  const fresh = `${folder}.new-${currentProcess()}`;
  const old = `${folder}.old-${currentProcess()}`;
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
    // Cut off from here on, the next writer goes on: see recover.
    for (const name of there) {
      if (kept.has(name)) await rename(join(old, name), join(folder, name));
    }
    await rm(old, { recursive: true, force: true });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
};
