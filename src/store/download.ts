/** Downloads into the store: hashed on the way, resumed after a cut and after a kill, never in it under a wrong name. */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import {
  chmod,
  type FileHandle,
  link,
  mkdir,
  open,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  utimes,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { formatBytes } from "../bytes.ts";
import { eachWithin } from "../each-within.ts";
import { BakeError } from "../errors.ts";
import { isAlive } from "../process-alive.ts";
import { type Http, HttpError, type HttpResponse, reasonOf, shownUrl } from "./http.ts";
import type { Store } from "./store.ts";

export interface DownloadRequest {
  /** For people. */
  readonly name: string;
  /** Tried in this order: mirrors first. */
  readonly urls: readonly string[];
  /** Absent: whatever comes is hashed, and trusted this once. */
  readonly sha256?: string;
  readonly size?: number;
  /** What to send along, for each of `urls`; asked for before every attempt. */
  readonly headers?: (url: string) => Promise<Readonly<Record<string, string>>>;
}

export interface Downloaded {
  readonly name: string;
  readonly sha256: string;
  readonly size: number;
  /** False: it was there already. */
  readonly fetched: boolean;
}

/** What happens, for whoever shows it. `bytes` are those that are there so far. */
export type TransferEvent =
  | {
      readonly type: "start";
      readonly name: string;
      readonly bytes: number;
      readonly total?: number;
      readonly url: string;
    }
  | { readonly type: "progress"; readonly name: string; readonly bytes: number; readonly total?: number }
  | {
      readonly type: "retry";
      readonly name: string;
      readonly reason: string;
      readonly seconds: number;
      readonly url: string;
    }
  | { readonly type: "wait"; readonly name: string; readonly owner: number }
  | { readonly type: "done"; readonly name: string; readonly bytes: number }
  | { readonly type: "there"; readonly name: string; readonly bytes: number }
  | { readonly type: "failed"; readonly name: string; readonly reason: string };

export interface DownloadEdges {
  readonly store: Store;
  readonly http: Http;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** 0 to 1. */
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly onEvent?: (event: TransferEvent) => void;
}

export interface DownloadOptions {
  /** Attempts without a single new byte before a URL is given up. */
  readonly attempts?: number;
  /** Milliseconds before the second attempt; doubled each time. */
  readonly backoff?: number;
  /** Milliseconds that a server's Retry-After is waited for at most. */
  readonly longestWait?: number;
}

/** Bytes of a file between two events, and kept in memory at most. */
const eventEvery = 4 << 20;

/** Bytes that stay free on the disk. */
const reserve = 64 << 20;

/** What is known of the bytes in a `.part`. */
interface PartRecord {
  readonly url: string;
  readonly etag?: string;
  readonly modified?: string;
  readonly total?: number;
}

/** An answer that says: not from here. */
class Refused extends Error {}

/** May work another time. */
class Passing extends Error {
  readonly wait: number | undefined;

  constructor(message: string, wait?: number) {
    super(message);
    this.wait = wait;
  }
}

const readRecord = async (file: string): Promise<PartRecord | undefined> => {
  try {
    const value = JSON.parse(await readFile(file, "utf8")) as PartRecord;
    return typeof value.url === "string" ? value : undefined;
  } catch {
    return undefined;
  }
};

/** `Retry-After`: seconds, or a date. @returns milliseconds. */
const retryAfter = (header: string | undefined, now: number): number | undefined => {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header)) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
};

const hashPart = async (file: string): Promise<{ hash: Hash; bytes: number }> => {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
  }
  return { hash, bytes };
};

const isFull = (error: unknown): boolean => ["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "");

const cannotWrite = (folder: string, error: unknown): BakeError => {
  const { code, message, syscall } = error as NodeJS.ErrnoException;
  // mkdir of a whole path says ENOENT where the file system is read-only.
  const readOnly = code === "EROFS" || code === "EACCES" || (code === "ENOENT" && syscall === "mkdir");
  return isFull(error)
    ? new BakeError(
        "BK212",
        `the disk of ${folder} is full`,
        "What was fetched so far is kept. Free some space, or move XDG_CACHE_HOME; bake store prune says what could go.",
      )
    : new BakeError(
        "BK213",
        `the store cannot be written: ${readOnly ? `${folder} is read-only` : message}`,
        "XDG_CACHE_HOME moves it elsewhere.",
      );
};

/** Milliseconds between two signs of life, and after which an owner without one counts as gone: its number may be another's by now. */
const signs = { every: 5000, missed: 60_000 };

/**
 * Takes a lock away whose owner is gone. Of two that do so at once one may get hold of the other's new lock: that one it gives
 * back.
 */
const takeAway = async (lock: string, gone: string): Promise<void> => {
  const grabbed = `${lock}.${process.pid}`;
  try {
    await rename(lock, grabbed);
  } catch {
    return;
  }
  if ((await readFile(grabbed, "utf8").catch(() => gone)) !== gone) await link(grabbed, lock).catch(() => undefined);
  await rm(grabbed, { force: true });
};

/** One owner of a part at a time. @returns what gives it free again. */
const own = async (
  file: string,
  { sleep, signal, onEvent }: DownloadEdges,
  name: string,
): Promise<() => Promise<void>> => {
  const lock = `${file}.lock`;
  for (let waited = false; ; ) {
    signal.throwIfAborted();
    try {
      await writeFile(lock, String(process.pid), { flag: "wx" });
      const timer = setInterval(() => {
        const now = new Date();
        void utimes(lock, now, now).catch(() => undefined);
      }, signs.every);
      timer.unref();
      return async () => {
        clearInterval(timer);
        await rm(lock, { force: true });
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const text = await readFile(lock, "utf8").catch(() => "");
    const owner = Number(text);
    const silent = await stat(lock).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    // A lock that is being written is empty for an instant.
    if (silent > signs.missed || (owner > 0 ? !isAlive(owner) : silent > signs.every)) {
      await takeAway(lock, text);
      continue;
    }
    if (!waited && owner > 0) onEvent?.({ type: "wait", name, owner });
    waited = true;
    await sleep(100, signal);
  }
};

/** All of it: a disk that is nearly full takes a part and says so only the next time. */
const writeAll = async (handle: FileHandle, data: Buffer): Promise<void> => {
  for (let at = 0; at < data.length; ) {
    const { bytesWritten } = await handle.write(data, at);
    at += bytesWritten;
  }
};

interface Part {
  readonly file: string;
  readonly record: string;
}

/** What a URL's answer says about where to go on. @throws Refused, Passing */
const judge = (
  { status, headers }: HttpResponse,
  offset: number,
  { size }: DownloadRequest,
  now: number,
): { readonly from: number; readonly total?: number } => {
  if (status === 429 || status === 408 || status >= 500) {
    throw new Passing(`it answers ${status}`, retryAfter(headers["retry-after"], now));
  }
  const length = headers["content-length"] === undefined ? undefined : Number(headers["content-length"]);
  if (status === 206) {
    const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers["content-range"] ?? "") ?? [];
    if (Number(start) !== offset) throw new Passing("it sends another part than was asked for");
    const known = total === undefined || total === "*" ? undefined : Number(total);
    if (size !== undefined && known !== undefined && known !== size) {
      throw new Refused(`it has ${known} bytes, ${size} are expected`);
    }
    return { from: offset, ...(known !== undefined && { total: known }) };
  }
  if (status === 200) {
    // Compressed on the way, a length says nothing.
    const plain = headers["content-encoding"] === undefined;
    if (size !== undefined && length !== undefined && plain && length !== size) {
      throw new Refused(`it has ${length} bytes, ${size} are expected`);
    }
    return { from: 0, ...(length !== undefined && plain && { total: length }) };
  }
  throw new Refused(`it answers ${status}`);
};

/** Reads an answer to its end. @returns bytes in the part. @throws Passing when it ends too early or breaks off. */
const receive = async (
  response: HttpResponse,
  handle: FileHandle,
  hash: Hash,
  { name, size }: DownloadRequest,
  { from, total }: { readonly from: number; readonly total?: number },
  onEvent: DownloadEdges["onEvent"],
): Promise<number> => {
  let bytes = from;
  let told = from;
  const most = size ?? total;
  try {
    for await (const chunk of response.body) {
      const data = chunk as Buffer;
      bytes += data.length;
      if (most !== undefined && bytes > most) throw new Refused(`it sends more than the ${most} bytes that it should`);
      hash.update(data);
      await writeAll(handle, data);
      if (bytes - told >= eventEvery) {
        told = bytes;
        onEvent?.({ type: "progress", name, bytes, ...(most !== undefined && { total: most }) });
      }
    }
  } catch (error) {
    if (error instanceof Refused || isFull(error) || (error as NodeJS.ErrnoException).syscall === "write") throw error;
    throw new Passing(`after ${formatBytes(bytes)}: ${reasonOf(error)}`);
  }
  if (most !== undefined && bytes < most) throw new Passing(`it ended after ${bytes} of ${most} bytes`);
  return bytes;
};

/** One attempt at one URL; goes on where the part ends. @returns the digest of the whole. */
const attempt = async (
  request: DownloadRequest,
  url: string,
  part: Part,
  edges: DownloadEdges,
): Promise<{ sha256: string; size: number; resumed: boolean }> => {
  const { http, now, signal, onEvent } = edges;
  const record = await readRecord(part.record);
  let { hash, bytes } =
    record?.url === url
      ? await hashPart(part.file).catch(() => ({ hash: createHash("sha256"), bytes: 0 }))
      : { hash: createHash("sha256"), bytes: 0 };
  const most = request.size ?? record?.total;
  if (most !== undefined && bytes > most) {
    hash = createHash("sha256");
    bytes = 0;
  }
  if (bytes > 0 && bytes === most) return { sha256: hash.digest("hex"), size: bytes, resumed: true };
  const validator = record?.etag?.startsWith('"') === true ? record.etag : record?.modified;
  const ask = async (): Promise<HttpResponse> =>
    http(url, {
      signal,
      headers: {
        "accept-encoding": "identity",
        "user-agent": "bake",
        ...(await request.headers?.(url)),
        ...(bytes > 0 && { range: `bytes=${bytes}-`, ...(validator !== undefined && { "if-range": validator }) }),
      },
    });
  let response = await ask();
  if (response.status === 401 && request.headers !== undefined) {
    // A token lives for minutes; a download may not.
    response.body.destroy();
    response = await ask();
  }
  try {
    if (response.status === 416) {
      await rm(part.file, { force: true });
      throw new Passing("the part that is here does not go with what it has now");
    }
    const place = judge(response, bytes, request, now());
    const resumed = place.from > 0;
    if (!resumed) hash = createHash("sha256");
    const total = request.size ?? place.total;
    const { etag, "last-modified": modified } = response.headers;
    await writeFile(
      part.record,
      JSON.stringify({
        url,
        ...(etag !== undefined && { etag }),
        ...(modified !== undefined && { modified }),
        ...(total !== undefined && { total }),
      }),
    );
    onEvent?.({ type: "start", name: request.name, bytes: place.from, url, ...(total !== undefined && { total }) });
    const handle = await open(part.file, resumed ? "a" : "w");
    try {
      const size = await receive(response, handle, hash, request, place, onEvent);
      await handle.sync();
      return { sha256: hash.digest("hex"), size, resumed };
    } finally {
      await handle.close();
    }
  } finally {
    response.body.destroy();
  }
};

/** Attempts at one URL until it has given all, or is given up. @throws Refused */
const fromUrl = async (
  request: DownloadRequest,
  url: string,
  part: Part,
  edges: DownloadEdges,
  { attempts = 6, backoff = 1000, longestWait = 120_000 }: DownloadOptions,
): Promise<{ sha256: string; size: number; resumed: boolean }> => {
  const { sleep, signal, random, onEvent } = edges;
  const sizeNow = (): Promise<number> =>
    stat(part.file).then(
      ({ size }) => size,
      () => 0,
    );
  for (let tries = 1, before = await sizeNow(); ; tries++) {
    try {
      return await attempt(request, url, part, edges);
    } catch (error) {
      signal.throwIfAborted();
      const passing = error instanceof Passing || (error instanceof HttpError && error.passing);
      if (error instanceof HttpError && !passing) throw new Refused(error.message);
      if (!passing) throw error;
      const size = await sizeNow();
      // New bytes are progress: a line that is cut again and again still gets there.
      if (size > before) tries = 1;
      before = size;
      const most = error instanceof HttpError && error.nobody ? Math.min(3, attempts) : attempts;
      if (tries >= most) throw new Refused(`${error.message}, ${most} times`);
      const asked = error instanceof Passing ? error.wait : undefined;
      if (asked !== undefined && asked > longestWait) {
        throw new Refused(`${error.message} and wants ${Math.round(asked / 1000)} s of patience`);
      }
      const wait = asked ?? backoff * 2 ** (tries - 1) * (0.75 + random() / 2);
      onEvent?.({ type: "retry", name: request.name, reason: error.message, seconds: wait / 1000, url: shownUrl(url) });
      await sleep(wait, signal);
    }
  }
};

/** The part becomes the stored file. */
const settle = async (store: Store, part: Part, sha256: string): Promise<void> => {
  const target = store.path(sha256);
  await chmod(part.file, 0o444);
  await mkdir(dirname(target), { recursive: true });
  await rename(part.file, target);
  await rm(part.record, { force: true });
};

/** Wrong bytes are kept aside for a look, and never used. @returns where they are. */
const setAside = async (store: Store, part: Part, expected: string, found: string): Promise<string> => {
  const target = join(store.root, "refused", `${expected}-${found}`);
  await mkdir(dirname(target), { recursive: true });
  await rename(part.file, target);
  await rm(part.record, { force: true });
  return target;
};

/** @throws BakeError BK210 for wrong bytes, BK212/BK213 when they cannot be kept, BK214 when no URL gives them. */
const downloadOwned = async (
  request: DownloadRequest,
  part: Part,
  edges: DownloadEdges,
  options: DownloadOptions,
): Promise<Downloaded> => {
  const { store } = edges;
  const refusals: string[] = [];
  for (const url of request.urls) {
    try {
      for (let again = false; ; again = true) {
        const { sha256, size, resumed } = await fromUrl(request, url, part, edges, options);
        if (request.sha256 === undefined || sha256 === request.sha256) {
          await settle(store, part, sha256);
          edges.onEvent?.({ type: "done", name: request.name, bytes: size });
          return { name: request.name, sha256, size, fetched: true };
        }
        // Another file since the first part was fetched: once more, from the beginning.
        if (resumed && !again) {
          await Promise.all([rm(part.file, { force: true }), rm(part.record, { force: true })]);
          continue;
        }
        const aside = await setAside(store, part, request.sha256, sha256);
        throw new BakeError(
          "BK210",
          `${request.name} is not what the lock names: ${shownUrl(url)}\n  expected sha256 ${request.sha256}\n  found    sha256 ${sha256}, ${size} bytes`,
          `Nothing uses it; for a look it lies in ${aside}.\nWhen its makers have replaced it and you know why: bake lock --update.`,
        );
      }
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      refusals.push(`${shownUrl(url)}: ${error.message}`);
    }
  }
  throw new BakeError(
    "BK214",
    `${request.name} cannot be fetched:\n  ${refusals.join("\n  ")}`,
    "A mirror helps where a host cannot be reached: docs/lock.md.",
  );
};

/** Whether the store has it; a stored file of another size is no longer what it was, and goes aside. */
const isThere = async (request: DownloadRequest, { store }: DownloadEdges): Promise<number | undefined> => {
  if (request.sha256 === undefined) return undefined;
  const path = store.path(request.sha256);
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return undefined;
  if (request.size === undefined || found.size === request.size) return found.size;
  const aside = join(store.root, "refused", `${request.sha256}-changed`);
  await mkdir(dirname(aside), { recursive: true });
  await rename(path, aside);
  return undefined;
};

const downloadOne = async (
  request: DownloadRequest,
  edges: DownloadEdges,
  options: DownloadOptions,
): Promise<Downloaded> => {
  const { store, onEvent } = edges;
  const there = async (): Promise<Downloaded | undefined> => {
    const size = await isThere(request, edges);
    if (size === undefined || request.sha256 === undefined) return undefined;
    onEvent?.({ type: "there", name: request.name, bytes: size });
    return { name: request.name, sha256: request.sha256, size, fetched: false };
  };
  const before = await there();
  if (before !== undefined) return before;
  const key = request.sha256 ?? createHash("sha256").update(request.urls.join("\n")).digest("hex");
  const file = join(store.root, "tmp", `${key}.part`);
  try {
    await mkdir(dirname(file), { recursive: true });
    const free = await own(file, edges, request.name);
    try {
      // Somebody else may have fetched it while this one waited.
      return (await there()) ?? (await downloadOwned(request, { file, record: `${file}.json` }, edges, options));
    } finally {
      await free();
    }
  } catch (error) {
    if (error instanceof BakeError || (error as NodeJS.ErrnoException).code === undefined || edges.signal.aborted)
      throw error;
    throw cannotWrite(store.root, error);
  }
};

/** @throws BakeError BK212 when what is missing would fill the disk. */
const requireSpace = async (requests: readonly DownloadRequest[], { store }: DownloadEdges): Promise<void> => {
  let missing = 0;
  for (const request of requests) {
    if (request.sha256 === undefined || request.size === undefined) continue;
    if (await store.has(request.sha256)) continue;
    const part = join(store.root, "tmp", `${request.sha256}.part`);
    missing +=
      request.size -
      (await stat(part).then(
        ({ size }) => size,
        () => 0,
      ));
  }
  if (missing <= 0) return;
  let folder = store.root;
  while (
    !(await stat(folder).then(
      () => true,
      () => false,
    ))
  )
    folder = dirname(folder);
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (missing + reserve <= free) return;
  throw new BakeError(
    "BK212",
    `${formatBytes(missing)} are to be fetched, and ${folder} has ${formatBytes(free)} free`,
    "Nothing was started. Free some space, or move XDG_CACHE_HOME; bake store prune says what could go.",
  );
};

/**
 * Downloads side by side, so many at a time; what fails does not keep the others from arriving. Results in the order of the
 * requests.
 * @throws BakeError the one that happened, or BK215 with all of them by name.
 */
export const downloadAll = async (
  requests: readonly DownloadRequest[],
  edges: DownloadEdges,
  { limit = 4, ...options }: DownloadOptions & { readonly limit?: number } = {},
): Promise<Downloaded[]> => {
  await requireSpace(requests, edges);
  let stopped: BakeError | undefined;
  const results = await eachWithin(requests, limit, async (request): Promise<Downloaded | BakeError | undefined> => {
    if (stopped !== undefined) return undefined;
    try {
      return await downloadOne(request, edges, options);
    } catch (error) {
      if (!(error instanceof BakeError)) throw error;
      edges.onEvent?.({ type: "failed", name: request.name, reason: error.message.split("\n")[0] ?? "" });
      // A full or read-only disk is not better for the next one.
      if (["BK212", "BK213"].includes(error.code)) stopped = error;
      return error;
    }
  });
  if (stopped !== undefined) throw stopped;
  const failures = results.filter((each) => each instanceof BakeError);
  const [only, ...more] = failures;
  if (only !== undefined && more.length === 0) throw only;
  if (only !== undefined) {
    throw new BakeError(
      "BK215",
      `${failures.length} of ${requests.length} downloads failed:\n${failures
        .map(({ code, message }) => `  ${code} ${message.replaceAll("\n", "\n  ")}`)
        .toSorted()
        .join("\n")}`,
      "What arrived is kept: the next run asks for the rest alone.",
    );
  }
  return results.filter((each): each is Downloaded => each !== undefined && !(each instanceof BakeError));
};
