/** A mirror: a folder with files by content address, as the store has them, for a web server or to be carried along. */
import { createHash } from "node:crypto";
import { chmod, copyFile, link, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import { BakeError } from "../errors.ts";
import { sha256File, type Store, storePath } from "./store.ts";
import { currentProcess } from "../host/process-identity.ts";

/** What is put into a mirror: a file of the store, or bytes that bake itself makes. */
export type MirrorFile =
  | { readonly name: string; readonly sha256: string; readonly size: number }
  | { readonly name: string; readonly content: Buffer };

/** Readable for whatever serves it; whole or not at all. */
const place = async (target: string, write: (fresh: string) => Promise<void>): Promise<void> => {
  const fresh = `${target}.new-${currentProcess()}`;
  await makeFolder(dirname(target));
  try {
    await write(fresh);
    await chmod(fresh, 0o444);
    await rename(fresh, target);
  } finally {
    await rm(fresh, { force: true });
  }
};

/**
 * Brings files into a mirror, each compared with its digest on the way. What is there already, and right, stays.
 * @param folder The mirror; it is made.
 * @param linked Hard links to the store's files, where the disk has them.
 * @param update Called with the name of each file that is written.
 * @returns how many were written.
 * @throws BakeError BK201/BK202 for a file that the store lacks or that was changed, BK518 when the folder cannot be written.
 */
export const fillMirror = async (
  folder: string,
  store: Store,
  files: readonly MirrorFile[],
  {
    linked = false,
    update = () => undefined,
    signal,
  }: { linked?: boolean; update?: (name: string) => void; signal?: AbortSignal } = {},
): Promise<number> => {
  let count = 0;
  for (const file of files) {
    signal?.throwIfAborted();
    const sha256 = "content" in file ? createHash("sha256").update(file.content).digest("hex") : file.sha256;
    const size = "content" in file ? file.content.length : file.size;
    const target = join(folder, storePath(sha256));
    const there = await stat(target).catch(() => undefined);
    if (there?.isFile() === true && there.size === size && (await sha256File(target)).sha256 === sha256) continue;
    update(file.name);
    if (!("content" in file) && !(await store.has(sha256))) await store.verify(file);
    try {
      await place(target, async (fresh) => {
        if ("content" in file) {
          await writeFile(fresh, file.content);
          return;
        }
        // An upload folder lives as long as a build, beside the store: no second copy where there need not be one.
        if (
          linked &&
          (await link(store.path(sha256), fresh).then(
            () => true,
            () => false,
          ))
        )
          return;
        await copyFile(store.path(sha256), fresh);
        // The copy, not the source: the source may change while it is read.
        if ((await sha256File(fresh)).sha256 === sha256) return;
        await store.verify(file);
        throw new Error("what arrived there is not what was copied: look at the disk, and at the memory");
      });
    } catch (error) {
      if (error instanceof BakeError) throw error;
      throw new BakeError("BK518", `${target} cannot be written: ${(error as Error).message}`);
    }
    count += 1;
  }
  return count;
};
