/** Puts a rendered tree in place: written whole to a temporary folder first, so that out/<profile>/ is never half new. */
import { readFileSync } from "node:fs";
import { lstat, readdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { BakeError } from "../errors.ts";
import { acquireLock } from "../host/lock-file.ts";
import { makeFolder } from "../host/make-folder.ts";
import { currentProcess, isStale } from "../host/process-identity.ts";
import type { RenderedFile } from "./tree.ts";

/** The list of what was rendered last time, a path a line: everything else is somebody's, and stays. */
const listName = ".rendered";

/** Where somebody's files go that lie in a folder which is rendered: all that is in such a folder becomes a part of the image. */
const asideName = "kept";

/** What a bake leaves beside the rendered files. */
const results = new Set([
  ...["image.qcow2", "image.json", "previous-image.json", "provenance.json", "preflight.json", "report.html", "log"],
  // Of an image that was imported into the cloud.
  "huaweicloud",
]);

const topOf = (path: string): string => path.split("/")[0] ?? "";

const textOf = (paths: readonly string[]): string => paths.map((path) => `${path}\n`).join("");

/** What was rendered here last time; undefined where nothing says so. */
const readList = async (folder: string): Promise<ReadonlySet<string> | undefined> => {
  const text = await readFile(join(folder, listName), "utf8").catch(() => undefined);
  return text === undefined ? undefined : new Set(text.split("\n").filter((path) => path !== ""));
};

/**
 * Undefined where it cannot be read; a link that leads nowhere is another thing than the file. At once: a small file is read in a
 * fifth of the time that a promise takes, and `render` reads each that it made before.
 */
const textAt = (path: string, encoding: "utf8" | "latin1"): string | undefined => {
  try {
    return readFileSync(path, encoding);
  } catch {
    return undefined;
  }
};

const filesBelow = async (folder: string, name: string): Promise<string[]> =>
  (await readdir(join(folder, name), { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));

/** Folders that rendering makes or made: in them nothing else may lie. */
const renderedFolders = (...lists: readonly Iterable<string>[]): Set<string> =>
  new Set(lists.flatMap((list) => [...list].flatMap((path) => (path.includes("/") ? [topOf(path)] : []))));

/** Where a folder lies, when a link stands in its place. */
const placeOf = (folder: string): Promise<string> => realpath(folder).catch(() => folder);

/** Paths whose bytes differ from what is in `folder`: new, changed or no longer there. Empty when nothing would change. */
export const differences = async (folder: string, files: readonly RenderedFile[]): Promise<string[]> => {
  const wanted = new Set(files.map(({ path }) => path));
  const before = (await readList(folder)) ?? new Set<string>();
  const different: string[] = [];
  for (const { path, content, encoding = "utf8" } of files) {
    if (textAt(join(folder, path), encoding) !== content) different.push(path);
  }
  for (const name of renderedFolders(wanted, before)) {
    different.push(...(await filesBelow(folder, name)).filter((path) => !wanted.has(path)));
  }
  for (const path of before) {
    if (path.includes("/") || wanted.has(path)) continue;
    if ((await lstat(join(folder, path)).catch(() => undefined)) !== undefined) different.push(path);
  }
  return different.toSorted();
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

/** A name below `kept/` that is free. */
const freeAside = async (folder: string, path: string): Promise<string> => {
  for (let count = 0; ; count++) {
    const target = join(folder, asideName, count === 0 ? path : `${path}.${count}`);
    if ((await lstat(target).catch(() => undefined)) === undefined) return target;
  }
};

type OnAside = (path: string) => void;

const putAside = async (from: string, folder: string, path: string, onAside: OnAside): Promise<void> => {
  const target = await freeAside(folder, path);
  await makeFolder(dirname(target));
  await rename(from, target);
  onAside(target.slice(folder.length + 1));
};

/** Brings what bake did not render from the former tree into the new one, and removes the rest. */
const bringBack = async (old: string, folder: string, onAside: OnAside): Promise<void> => {
  const now = (await readList(folder)) ?? new Set<string>();
  const own = (await readList(old)) ?? now;
  const folders = renderedFolders(now, own);
  // First what was put aside before: more may come to it.
  const names = (await readdir(old)).toSorted((a, b) => Number(b === asideName) - Number(a === asideName));
  for (const name of names) {
    if (name === listName) continue;
    if (folders.has(name)) {
      const left = (await filesBelow(old, name)).filter((path) => !own.has(path));
      for (const path of left) await putAside(join(old, path), folder, path, onAside);
      continue;
    }
    if (own.has(name) || now.has(name)) continue;
    const there = (await lstat(join(folder, name)).catch(() => undefined)) !== undefined;
    if (!there) await rename(join(old, name), join(folder, name));
    // Of a finished image the newer one counts.
    else if (!results.has(name)) await putAside(join(old, name), folder, name, onAside);
  }
  await rm(old, { recursive: true, force: true });
};

/** A writer that was killed between two renames left the former folder beside, or in it: what was in it comes back. */
const recover = async (folder: string, onAside: OnAside): Promise<void> => {
  for (const [parent, prefix] of [
    [dirname(folder), `${basename(folder)}.`],
    [folder, "."],
  ] as const) {
    for (const name of await readdir(parent).catch((): string[] => [])) {
      const [, kind, owner = ""] = name.startsWith(prefix)
        ? (/^(old|new)-(.*)$/.exec(name.slice(prefix.length)) ?? [])
        : [];
      const path = join(parent, name);
      if (kind === undefined || !(await isStale(owner, path))) continue;
      if (kind === "new") await rm(path, { recursive: true, force: true });
      else if ((await readdir(folder).catch(() => undefined)) === undefined) await rename(path, folder);
      else await bringBack(path, folder, onAside);
    }
  }
};

/**
 * Makes `folder` hold `files`, and none that an earlier rendering made. What bake did not render stays: beside it where it is, and
 * out of a rendered folder in `kept/`. A link in its place is followed. Does nothing when all is right already.
 * @param onAside Called with each path that was moved to `kept/`.
 * @returns the paths that changed.
 * @throws BakeError BK405 when another bake writes there, BK518 when it cannot be read or written.
 */
export const writeTree = async (
  folder: string,
  files: readonly RenderedFile[],
  onAside: OnAside = () => undefined,
): Promise<string[]> => {
  const list = textOf(files.map(({ path }) => path).toSorted());
  const isListed = async (): Promise<boolean> =>
    (await readFile(join(folder, listName), "utf8").catch(() => undefined)) === list;
  try {
    if ((await differences(folder, files)).length === 0 && (await isListed())) return [];
    return await withFolderLock(folder, async () => {
      const place = await placeOf(folder);
      await recover(place, onAside);
      const changed = await differences(place, files);
      if (changed.length > 0) await replaceTree(place, [...files, { path: listName, content: list }], onAside);
      else if (!(await isListed())) await writeFile(join(place, listName), list);
      return changed;
    });
  } catch (error) {
    if (error instanceof BakeError) throw error;
    throw new BakeError("BK518", `${folder} cannot be written: ${(error as Error).message}`, undefined, {
      cause: error,
    });
  }
};

const writeAll = async (folder: string, files: readonly RenderedFile[]): Promise<void> => {
  await rm(folder, { recursive: true, force: true });
  for (const { path, content, encoding = "utf8" } of files) {
    await makeFolder(dirname(join(folder, path)));
    await writeFile(join(folder, path), content, encoding);
  }
};

/** A folder that something is mounted on, or whose own folder is somebody else's, cannot be renamed. */
const cannotBeMoved = new Set(["EBUSY", "EXDEV", "EACCES", "EPERM", "EROFS"]);

const replaceTree = async (folder: string, files: readonly RenderedFile[], onAside: OnAside): Promise<void> => {
  const fresh = `${folder}.new-${currentProcess()}`;
  const old = `${folder}.old-${currentProcess()}`;
  try {
    await writeAll(fresh, files);
    if ((await readdir(folder).catch(() => undefined)) === undefined) {
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
  } catch (error) {
    const there = (await readdir(folder).catch(() => undefined)) !== undefined;
    if (!there || !cannotBeMoved.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
    await replaceInside(folder, files, onAside);
    return;
  } finally {
    await rm(fresh, { recursive: true, force: true }).catch(() => undefined);
  }
  // Cut off from here on, the next writer goes on: see recover.
  await bringBack(old, folder, onAside);
};

/** The same, one name at a time: whole only when it is done. */
const replaceInside = async (folder: string, files: readonly RenderedFile[], onAside: OnAside): Promise<void> => {
  const fresh = join(folder, `.new-${currentProcess()}`);
  const old = join(folder, `.old-${currentProcess()}`);
  const before = (await readList(folder)) ?? new Set<string>();
  try {
    await writeAll(fresh, files);
    await makeFolder(old);
    await writeFile(join(old, listName), textOf([...before]));
    const names = new Set([...files.map(({ path }) => path), ...before].map(topOf));
    for (const name of names) {
      await rename(join(folder, name), join(old, name === listName ? `${name}.before` : name)).catch(ignoreMissing);
      await rename(join(fresh, name), join(folder, name)).catch(ignoreMissing);
    }
    await rm(join(old, `${listName}.before`), { force: true });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  await bringBack(old, folder, onAside);
};

const ignoreMissing = (error: NodeJS.ErrnoException): void => {
  if (error.code !== "ENOENT") throw error;
};
