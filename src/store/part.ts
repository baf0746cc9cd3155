/**
 * A file on its way into the store: `tmp/<key>.<owner>.<number>.part`. A `.json` beside it says where its bytes come from. Its
 * owner alone writes to it, so that what was hashed is what lies there. What a dead owner left is taken over, of several who
 * see it by one.
 */
import { createHash, type Hash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { copyFile, type FileHandle, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import { isFull } from "./cannot-write.ts";
import * as z from "zod";
import { currentProcess, isStale, ownerState, pidNamespace } from "../host/process-identity.ts";
import { randomName } from "../host/random-name.ts";
import { touch } from "../host/touch.ts";

const Origin = z.object({
  /** For a person who looks at the folder: without user and query. */
  url: z.string(),
  /** sha256 of the whole URL. */
  source: z.string(),
  etag: z.string().optional(),
  modified: z.string().optional(),
  /** Bytes of the whole file. */
  total: z.number().optional(),
  /** Where it was written: after a power cut the end of a file may be zeros. */
  place: z.string(),
});
/** Where the bytes of a part come from. */
export type Origin = z.infer<typeof Origin>;

const readOrigin = async (path: string): Promise<Origin | undefined> => {
  try {
    return Origin.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
};

/** The file that was written is no longer the one that lies there: somebody else took it over. */
export class PartLost extends Error {}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

/** What a file of the store's `tmp` folder is. */
export interface TemporaryFile {
  readonly path: string;
  /** Of a part, and of the text beside it: the digest that is wanted, or of the URLs where none is known. */
  readonly key?: string;
  readonly owner: string;
}

const named = /^(?:([0-9a-f]{64})\.)?(?:([0-9a-f]{8}-\d+-\d*)|free)[.-]/;

/** What the name of a file in `tmp` says. Pure. @param path Of the file. What has another name belongs to nobody. */
export const readTemporary = (path: string): TemporaryFile => {
  const [, key, owner = ""] = named.exec(path.slice(path.lastIndexOf("/") + 1)) ?? [];
  return { path, owner, ...(key !== undefined && { key }) };
};

const partsIn = async (folder: string): Promise<TemporaryFile[]> =>
  (await readdir(folder).catch((): string[] => []))
    .filter((name) => name.endsWith(".part"))
    .map((name) => readTemporary(join(folder, name)));

/**
 * Bytes that need not be fetched again, by key: of the largest part that can be resumed in its place. Parts of foreign owners
 * are not counted, as they are copied first.
 * @param folder The store's `tmp`; none is an empty one.
 */
export const partSizes = async (folder: string): Promise<ReadonlyMap<string, number>> => {
  const sizes = new Map<string, number>();
  for (const { path, key, owner } of await partsIn(folder)) {
    if (key !== undefined && ownerState(owner) !== "foreign")
      sizes.set(key, Math.max(sizes.get(key) ?? 0, await sizeOf(path)));
  }
  return sizes;
};

const besideOf = (part: string): string => part.replace(/\.part$/, ".json");

const newName = (folder: string, key: string, owner: string): string =>
  join(folder, `${key}.${owner}.${randomName(4)}.part`);

const removePart = async (part: string): Promise<void> => {
  await rm(part, { force: true });
  await rm(besideOf(part), { force: true });
};

/** Makes a part this process's own, under the name `target`. @returns whether `target` is there now. */
const claim = async ({ path, owner }: TemporaryFile, target: string): Promise<boolean> => {
  const foreign = ownerState(owner) === "foreign";
  try {
    // Whoever cannot be seen from here may still write to its file: that one is only copied.
    if (foreign) await copyFile(path, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    else await rename(path, target);
  } catch (error) {
    await rm(target, { force: true });
    // No room for two: from the beginning, then.
    if (isFull(error)) await removePart(path);
    return false;
  }
  await rename(besideOf(path), besideOf(target)).catch(() => undefined);
  if (foreign) await rm(path, { force: true });
  return true;
};

/** The largest part of this key that nobody writes to is renamed to `target`; smaller ones are removed. @returns whether there was one. */
const takeOver = async (folder: string, key: string, target: string): Promise<boolean> => {
  const stale: { readonly part: TemporaryFile; readonly size: number }[] = [];
  for (const part of await partsIn(folder)) {
    if (part.key === key && (await isStale(part.owner, part.path))) stale.push({ part, size: await sizeOf(part.path) });
  }
  let taken = false;
  for (const { part, size } of stale.toSorted((a, b) => b.size - a.size)) {
    if (!taken && size > 0) taken = await claim(part, target);
    else await removePart(part.path);
  }
  return taken;
};

/** Leaves a part to whoever goes on with it; without its record it is of no use. */
const setFree = async (part: string, key: string): Promise<void> => {
  const free = newName(dirname(part), key, "free");
  try {
    await rename(part, free);
    await rename(besideOf(part), besideOf(free));
  } catch {
    await removePart(part);
  }
};

/** One that this user may not write to, such as root's, is of no use: it goes. */
const openExisting = async (path: string): Promise<FileHandle | undefined> => {
  try {
    return await open(path, "r+");
  } catch (error) {
    if (!["EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    await removePart(path);
    return undefined;
  }
};

/** Bytes that may wait for the disk. */
const mostQueued = 256 << 10;

const nothing = Buffer.alloc(0);

/** The part that this process writes. */
export class Part {
  readonly #key: string;
  readonly #path: string;
  readonly #file: FileHandle;
  #hash: Hash;
  /** Bytes that were hashed; those on the disk follow. */
  #size: number;
  #written: number;
  #origin: Origin | undefined;
  #queue: Buffer[] = [];
  #queued = 0;
  #writing: Promise<void> | undefined;
  #failure: Error | undefined;
  #moved = false;
  #lost = false;

  private constructor(key: string, path: string, file: FileHandle, hash: Hash, size: number, origin?: Origin) {
    this.#key = key;
    this.#path = path;
    this.#file = file;
    this.#hash = hash;
    this.#size = size;
    this.#written = size;
    this.#origin = origin;
  }

  /**
   * Resumes the largest part of this key whose owner is dead, or begins one. What was there is hashed again.
   * @param folder The store's `tmp`; it is made.
   * @throws NodeJS.ErrnoException, and the signal's reason
   */
  static async open(folder: string, key: string, signal?: AbortSignal): Promise<Part> {
    await makeFolder(folder);
    const path = newName(folder, key, currentProcess());
    const existing = (await takeOver(folder, key, path)) ? await openExisting(path) : undefined;
    if (existing === undefined) return new Part(key, path, await open(path, "wx"), createHash("sha256"), 0);
    const hash = createHash("sha256");
    let size = 0;
    try {
      // A heartbeat: whoever looks for stale parts sees that this one is none.
      await touch(path);
      // The state of a hash does not outlive its process.
      for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
        signal?.throwIfAborted();
        hash.update(chunk as Buffer);
        size += (chunk as Buffer).length;
      }
    } catch (error) {
      await existing.close();
      await setFree(path, key);
      throw error;
    }
    return new Part(key, path, existing, hash, size, await readOrigin(besideOf(path)));
  }

  /** Bytes. */
  get size(): number {
    return this.#size;
  }

  get origin(): Origin | undefined {
    return this.#origin;
  }

  /** To be told before the bytes come that are from there. */
  async setOrigin(origin: Omit<Origin, "place">): Promise<void> {
    this.#origin = { ...origin, place: pidNamespace() };
    await writeFile(besideOf(this.#path), JSON.stringify(this.#origin));
  }

  /** Hashes and queues. @returns what to wait for before the next bytes; it rejects with what the disk says. */
  write(data: Buffer): Promise<void> | undefined {
    this.#hash.update(data);
    this.#size += data.length;
    this.#queue.push(data);
    this.#queued += data.length;
    // After a failure nothing is written any more: it would leave a hole.
    if (this.#failure === undefined) this.#writing ??= this.#drain();
    return this.#queued >= mostQueued || this.#failure !== undefined ? this.#flush() : undefined;
  }

  /** From the first byte again. */
  async restart(): Promise<void> {
    await this.#flush();
    await this.#file.truncate(0);
    this.#hash = createHash("sha256");
    this.#size = 0;
    this.#written = 0;
    this.#origin = undefined;
  }

  /** Of what is there so far: hex. */
  digest(): string {
    return this.#hash.copy().digest("hex");
  }

  /** Puts the file in its place, synced and read-only. @throws PartLost, NodeJS.ErrnoException */
  async moveTo(path: string): Promise<void> {
    await this.#flush();
    await this.#file.sync();
    const { size, nlink } = await this.#file.stat();
    if (size !== this.#size || nlink === 0) throw this.#lose();
    await makeFolder(dirname(path));
    try {
      // Of now, also where it was complete long ago.
      await touch(this.#path);
      await this.#file.chmod(0o444);
      await rename(this.#path, path);
    } catch (error) {
      await this.#file.chmod(0o644);
      throw (error as NodeJS.ErrnoException).code === "ENOENT" ? this.#lose() : error;
    }
    this.#moved = true;
    await rm(besideOf(this.#path), { force: true });
  }

  /** Leaves what is there to whoever goes on. */
  async release(): Promise<void> {
    await this.#flush().catch(() => undefined);
    await this.#file.close().catch(() => undefined);
    if (this.#moved) return;
    if (this.#size === 0 || this.#lost) await removePart(this.#path);
    else await setFree(this.#path, this.#key);
  }

  /** What the disk said when it was written to. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  #lose(): PartLost {
    this.#lost = true;
    return new PartLost("another process changes the part that it writes");
  }

  async #flush(): Promise<void> {
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #drain(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const chunks = this.#queue;
        this.#queue = [];
        this.#queued = 0;
        const { bytesWritten } = await this.#file.writev(chunks, this.#written);
        this.#written += bytesWritten;
        // A disk that runs full takes a part, and says why only when it is asked for the rest.
        const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
        let rest = bytesWritten < length ? Buffer.concat(chunks).subarray(bytesWritten) : nothing;
        while (rest.length > 0) {
          const more = await this.#file.write(rest, 0, rest.length, this.#written);
          this.#written += more.bytesWritten;
          rest = rest.subarray(more.bytesWritten);
        }
      }
    } catch (error) {
      this.#failure = error as Error;
      this.#queue = [];
    } finally {
      this.#writing = undefined;
    }
  }
}
