/** Puts a rendered tree in place: written whole to a temporary folder first, so that out/<profile>/ is never half new. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
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

/**
 * Makes `folder` hold exactly `files`, besides what a bake left there. Does nothing when it already does.
 * @returns the paths that changed.
 */
export const writeTree = async (folder: string, files: readonly RenderedFile[]): Promise<string[]> => {
  const changed = await differences(folder, files);
  if (changed.length === 0) return [];
  const fresh = `${folder}.new-${process.pid}`;
  const old = `${folder}.old-${process.pid}`;
  try {
    await rm(fresh, { recursive: true, force: true });
    for (const { path, content } of files) {
      await mkdir(dirname(join(fresh, path)), { recursive: true });
      await writeFile(join(fresh, path), content);
    }
    const there = await readdir(folder).catch(() => undefined);
    if (there !== undefined) await rename(folder, old);
    await rename(fresh, folder);
    for (const name of there ?? []) {
      if (kept.has(name)) await rename(join(old, name), join(folder, name));
    }
    return changed;
  } finally {
    await rm(fresh, { recursive: true, force: true });
    await rm(old, { recursive: true, force: true });
  }
};
