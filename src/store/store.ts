/** The content-addressed store: `sha256/ab/cdef…` under the cache directory. A file is in it only under the hash of its bytes. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, copyFile, open, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import { BakeError } from "../errors.ts";
import { cannotWrite, isFull } from "./cannot-write.ts";
import { exists } from "../host/exists.ts";
import { currentProcess } from "../host/process-identity.ts";
import { randomName } from "../host/random-name.ts";
import { touch } from "../host/touch.ts";

/** Hashes a file as a stream. @returns lower-case hex, and the size in bytes. @throws NodeJS.ErrnoException */
export const sha256File = async (path: string): Promise<{ sha256: string; size: number }> => {
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Buffer);
    size += (chunk as Buffer).length;
  }
  return { sha256: hash.digest("hex"), size };
};

/** Whether the store refused, not what is taken in: `copyFile` names the file that it reads, whichever of the two is wrong. Pure. */
const isOfStore = (error: unknown, root: string): boolean => {
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  return isFull(error) || code === "EROFS" || (syscall !== "copyfile" && path?.startsWith(root) === true);
};

/** Path of a digest below a store's root, as served to the build VM: `sha256/ab/cdef…`. Pure. @param sha256 Lower-case hex. */
export const storePath = (sha256: string): string => `sha256/${sha256.slice(0, 2)}/${sha256.slice(2)}`;

/** A store in a folder. Several processes may use it at once. */
export class Store {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** Where a file of this digest lies, or would lie. Pure. */
  path(sha256: string): string {
    return join(this.root, storePath(sha256));
  }

  /** Whether there is a file of this digest; neither its bytes nor its size are looked at. */
  async has(sha256: string): Promise<boolean> {
    return exists(this.path(sha256));
  }

  /**
   * Bytes of a stored file, which is not read again; undefined when there is none. It is in use from now on: `store prune`
   * leaves alone what was asked for of late.
   */
  async use(sha256: string): Promise<number | undefined> {
    const path = this.path(sha256);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined) await touch(path).catch(() => undefined);
    return found?.size;
  }

  /** Whether it has a file of this digest and size; `use` of it. */
  async holds({ sha256, size }: { readonly sha256: string; readonly size: number }): Promise<boolean> {
    return (await this.use(sha256)) === size;
  }

  /**
   * Takes a copy of `file` in. @returns digest and bytes of the copy.
   * @throws NodeJS.ErrnoException when the file cannot be read, BakeError BK212 or BK213 when the store cannot be written
   */
  async add(file: string): Promise<{ sha256: string; size: number }> {
    return this.#take((temporary) => copyFile(file, temporary));
  }

  /** Takes bytes in, such as a manifest that was read already. @throws BakeError BK212, BK213 */
  async addContent(content: Uint8Array): Promise<{ sha256: string; size: number }> {
    return this.#take((temporary) => writeFile(temporary, content));
  }

  /** Whoever reads the store never sees half a file: what is written is synced, then renamed. */
  async #take(write: (temporary: string) => Promise<void>): Promise<{ sha256: string; size: number }> {
    const temporary = join(this.root, "tmp", `${currentProcess()}-${randomName()}`);
    try {
      await makeFolder(join(this.root, "tmp"));
      await write(temporary);
      // Hash the copy, not the source: the source may change while it is read.
      const { sha256, size } = await sha256File(temporary);
      const handle = await open(temporary, "r+");
      await handle.sync();
      await handle.close();
      await chmod(temporary, 0o444);
      const target = this.path(sha256);
      await makeFolder(join(target, ".."));
      await rename(temporary, target);
      return { sha256, size };
    } catch (error) {
      throw isOfStore(error, this.root) ? cannotWrite(this.root, error) : error;
    } finally {
      // A store that refuses says so above; what is left in tmp goes with the next prune.
      await rm(temporary, { force: true }).catch(() => undefined);
    }
  }

  /**
   * Reads the whole file again and compares it with its name.
   * @throws BakeError BK201 when it is missing, BK202 when its bytes are not those of the digest.
   */
  async verify(artifact: { name: string; sha256: string; size: number }): Promise<void> {
    const path = this.path(artifact.sha256);
    if (!(await this.has(artifact.sha256))) {
      throw new BakeError("BK201", `artifact ${artifact.name} is not in the store (sha256 ${artifact.sha256})`);
    }
    const found = await sha256File(path);
    if (found.sha256 !== artifact.sha256) {
      throw new BakeError(
        "BK202",
        `artifact ${artifact.name} does not match its digest: ${path}\n  expected sha256 ${artifact.sha256}, ${artifact.size} bytes\n  found    sha256 ${found.sha256}, ${found.size} bytes`,
        "The file was changed after it was stored. Delete it; the next run makes or fetches it again.",
      );
    }
  }
}
