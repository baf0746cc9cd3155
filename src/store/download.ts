/** Downloads into the store: hashed on the way, resumed after a cut and after a kill, never in it under a wrong name. */
import { createHash } from "node:crypto";
import { mkdir, rename, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { formatBytes } from "../formats/bytes.ts";
import { mapLimited } from "../host/map-limited.ts";
import { BakeError } from "../errors.ts";
import { exists } from "../host/exists.ts";
import { freeBytes } from "../host/disk-space.ts";
import { acquireLock, type Release } from "../host/lock-file.ts";
import { pidNamespace } from "../host/process-identity.ts";
import { type Http, HttpError, type HttpResponse, originOf, reasonOf, shownUrl } from "./http.ts";
import { isFull, Part, PartLost, partSizes } from "./part.ts";
import { sha256File, type Store } from "./store.ts";

export interface DownloadRequest {
  /** For people. */
  readonly name: string;
  /** Tried in this order: mirrors first. */
  readonly urls: readonly string[];
  /** Absent: whatever comes is hashed, and trusted this once. */
  readonly sha256?: string;
  readonly size?: number;
  /** They are files of a mirror. */
  readonly mirror?: boolean;
  /** What to send along, for each of `urls`; asked for before every attempt. @throws BakeError when it cannot be had */
  readonly headers?: (url: string) => Promise<Readonly<Record<string, string>>>;
}

export interface Downloaded {
  readonly name: string;
  readonly sha256: string;
  readonly size: number;
  /** False: it was there already. */
  readonly fetched: boolean;
}

/** What happens, for whoever shows it. `bytes` are those that are there so far; URLs come without user and query. */
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

/** Bytes of a file between two events. */
const eventEvery = 4 << 20;

/** Bytes that stay free on the disk. */
const reserve = 64 << 20;

/** Attempts at a place that never answered: it may not exist at all. */
const attemptsAtNobody = 3;

/** Milliseconds between two looks at a lock of somebody else. */
const lookEvery = 100;

/** An answer that says: not from here. */
class PermanentError extends Error {}

/** May work another time. */
class TransientError extends Error {
  readonly wait: number | undefined;

  constructor(message: string, wait?: number) {
    super(message);
    this.wait = wait;
  }
}

/** What the downloads of one run know of hosts, by origin. */
interface Reach {
  readonly answered: Set<string>;
  /** Given up, and why: each further file would wait for them as long again. */
  readonly silent: Map<string, string>;
}

interface Running {
  readonly request: DownloadRequest;
  readonly part: Part;
  readonly edges: DownloadEdges;
  readonly options: DownloadOptions;
  readonly reach: Reach;
}

interface Arrived {
  readonly sha256: string;
  readonly size: number;
  /** Not all of it came in one answer. */
  readonly resumed: boolean;
}

/** `Retry-After`: seconds, or a date. @returns milliseconds. */
const retryAfter = (header: string | undefined, now: number): number | undefined => {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header)) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
};

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

/** Waits while another process fetches the same. @returns what gives it free again. */
const own = async (lock: string, { sleep, signal, onEvent }: DownloadEdges, name: string): Promise<Release> => {
  for (let waited = false; ; waited = true) {
    signal.throwIfAborted();
    const taken = await acquireLock(lock);
    if (typeof taken !== "number") return taken;
    if (!waited) onEvent?.({ type: "wait", name, owner: taken });
    await sleep(lookEvery, signal);
  }
};

/** What a 206 is of the whole file; without a total where the server does not know it. */
const rangeOf = ({ headers }: HttpResponse): { readonly start: number; readonly total?: number } | undefined => {
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers["content-range"] ?? "") ?? [];
  if (start === undefined) return undefined;
  return { start: Number(start), ...(total !== "*" && { total: Number(total) }) };
};

/** What a URL's answer says about where to go on. @throws PermanentError, TransientError */
const judge = (
  response: HttpResponse,
  offset: number,
  { size }: DownloadRequest,
  now: number,
): { readonly from: number; readonly total?: number } => {
  const { status, headers } = response;
  if (status === 429 || status === 408 || status >= 500) {
    throw new TransientError(`it answers ${status}`, retryAfter(headers["retry-after"], now));
  }
  const length = headers["content-length"] === undefined ? undefined : Number(headers["content-length"]);
  if (status === 206) {
    const total = rangeOf(response)?.total;
    if (size !== undefined && total !== undefined && total !== size) {
      throw new PermanentError(`it has ${total} bytes, ${size} are expected`);
    }
    return { from: offset, ...(total !== undefined && { total }) };
  }
  if (status === 200) {
    // Compressed on the way, a length says nothing.
    const plain = headers["content-encoding"] === undefined;
    if (size !== undefined && length !== undefined && plain && length !== size) {
      throw new PermanentError(`it has ${length} bytes, ${size} are expected`);
    }
    return { from: 0, ...(length !== undefined && plain && { total: length }) };
  }
  throw new PermanentError(`it answers ${status}`);
};

/** Reads an answer to its end. @throws TransientError when it ends too early or breaks off. */
const receive = async (response: HttpResponse, most: number | undefined, running: Running): Promise<void> => {
  const {
    part,
    request: { name },
    edges: { onEvent },
  } = running;
  let told = part.size;
  try {
    for await (const chunk of response.body) {
      const data = chunk as Buffer;
      if (most !== undefined && part.size + data.length > most) {
        throw new PermanentError(`it sends more than the ${most} bytes that it should`);
      }
      const behind = part.write(data);
      if (behind !== undefined) await behind;
      if (part.size - told >= eventEvery) {
        told = part.size;
        onEvent?.({ type: "progress", name, bytes: told, ...(most !== undefined && { total: most }) });
      }
    }
  } catch (error) {
    if (part.failure !== undefined) throw part.failure;
    if (error instanceof PermanentError) throw error;
    throw new TransientError(`after ${formatBytes(part.size)}: ${reasonOf(error)}`);
  }
  if (most !== undefined && part.size < most) throw new TransientError(`it ended after ${part.size} of ${most} bytes`);
};

const sourceOf = (url: string): string => createHash("sha256").update(url).digest("hex");

/** An entity tag that stands for the very bytes; a weak one does not. */
const strong = (etag: string | undefined): string | undefined => (etag?.startsWith('"') === true ? etag : undefined);

/**
 * Whether what is there can be gone on with. Where a digest is known it tells in the end, whatever the bytes are from.
 * Without one the source has to say that it is the same file still, and the bytes have to be those that were written.
 */
const canResume = ({ request: { sha256 }, part: { origin } }: Running, source: string): boolean =>
  sha256 !== undefined ||
  (origin?.source === source && strong(origin.etag) !== undefined && origin.place === pidNamespace());

/** Whether a 206 goes on with the file that the part is of. */
const goesOn = ({ request: { sha256 }, part }: Running, response: HttpResponse, source: string): boolean => {
  const range = rangeOf(response);
  if (part.size === 0 || range?.start !== part.size) return false;
  if (sha256 !== undefined) return true;
  const { origin } = part;
  // What is sent may be less than was asked for: without the whole's length nobody knows when it is there.
  return (
    origin?.source === source &&
    origin.etag === response.headers["etag"] &&
    origin.total !== undefined &&
    (range.total === undefined || range.total === origin.total)
  );
};

/** What to send along. @throws PermanentError where it cannot be had: another place may do without. */
const headersFor = async (url: string, { headers }: DownloadRequest): Promise<Readonly<Record<string, string>>> => {
  try {
    return (await headers?.(url)) ?? {};
  } catch (error) {
    if (error instanceof BakeError) {
      throw new PermanentError([error.message, ...(error.help?.split("\n") ?? [])].join("\n    "));
    }
    throw error;
  }
};

/** One attempt at one URL; goes on where the part ends. @throws PermanentError, TransientError, HttpError */
const attempt = async (url: string, running: Running): Promise<Arrived> => {
  const {
    request,
    part,
    reach,
    edges: { http, now, signal, onEvent },
  } = running;
  const source = sourceOf(url);
  const most = request.size ?? (part.origin?.source === source ? part.origin.total : undefined);
  if (part.size > 0 && (!canResume(running, source) || (most !== undefined && part.size > most))) await part.restart();
  if (part.size > 0 && part.size === most) return { sha256: part.digest(), size: part.size, resumed: true };
  const { origin, size: offset } = part;
  const validator = origin?.source === source ? (strong(origin.etag) ?? origin.modified) : undefined;
  const ask = async (): Promise<HttpResponse> =>
    http(url, {
      signal,
      headers: {
        "accept-encoding": "identity",
        "user-agent": "bake",
        ...(await headersFor(url, request)),
        ...(offset > 0 && { range: `bytes=${offset}-`, ...(validator !== undefined && { "if-range": validator }) }),
      },
    });
  let response = await ask();
  for (const each of [originOf(url), response.origin]) reach.answered.add(each);
  if (response.status === 401 && request.headers !== undefined) {
    // A token lives for minutes; a download may not.
    response.body.destroy();
    response = await ask();
  }
  try {
    if (response.status === 416) {
      await part.restart();
      throw new TransientError("the part that is here does not go with what it has now");
    }
    if (response.status === 206 && !goesOn(running, response, source)) {
      await part.restart();
      throw new TransientError("it sends another part than was asked for");
    }
    const place = judge(response, offset, request, now());
    const resumed = place.from > 0;
    const total = request.size ?? place.total ?? (resumed && origin?.source === source ? origin.total : undefined);
    // Emptied before it is said where the new bytes are from.
    if (!resumed && offset > 0) await part.restart();
    const { etag, "last-modified": modified } = response.headers;
    await part.setOrigin({
      url: shownUrl(url),
      source,
      ...(etag !== undefined && { etag }),
      ...(modified !== undefined && { modified }),
      ...(total !== undefined && { total }),
    });
    onEvent?.({
      type: "start",
      name: request.name,
      bytes: place.from,
      url: shownUrl(url),
      ...(total !== undefined && { total }),
    });
    await receive(response, total, running);
    return { sha256: part.digest(), size: part.size, resumed };
  } finally {
    response.body.destroy();
  }
};

/** Attempts at one URL until it has given all, or is given up. @throws PermanentError */
const fromUrl = async (url: string, running: Running): Promise<Arrived> => {
  const {
    request,
    part,
    reach,
    edges: { sleep, signal, random, onEvent },
    options: { attempts = 6, backoff = 1000, longestWait = 120_000 },
  } = running;
  for (let tries = 1, most = part.size; ; tries++) {
    const given = reach.silent.get(originOf(url));
    if (given !== undefined) throw new PermanentError(`${given}, as for others`);
    try {
      return await attempt(url, running);
    } catch (error) {
      signal.throwIfAborted();
      const transient = error instanceof TransientError || (error instanceof HttpError && error.transient);
      if (error instanceof HttpError && !transient) throw new PermanentError(error.message);
      if (!transient) throw error;
      // New bytes are progress: a line that is cut again and again still gets there. Bytes that came before are none.
      if (part.size > most) {
        tries = 1;
        most = part.size;
      }
      // Where it leads to may be silent, or the host itself; a line that is down comes back.
      const nobody = error instanceof HttpError && error.nobody && !reach.answered.has(error.origin);
      if (nobody && reach.silent.has(error.origin)) throw new PermanentError(`${error.message}, as for others`);
      const allowed = nobody ? Math.min(attemptsAtNobody, attempts) : attempts;
      if (tries >= allowed) {
        if (nobody) reach.silent.set(error.origin, error.message);
        throw new PermanentError(`${error.message}, ${allowed} times`);
      }
      const asked = error instanceof TransientError ? error.wait : undefined;
      if (asked !== undefined && asked > longestWait) {
        throw new PermanentError(`${error.message} and wants ${Math.round(asked / 1000)} s of patience`);
      }
      const wait = asked ?? backoff * 2 ** (tries - 1) * (0.75 + random() / 2);
      onEvent?.({ type: "retry", name: request.name, reason: error.message, seconds: wait / 1000, url: shownUrl(url) });
      await sleep(wait, signal);
    }
  }
};

const wrongBytes = (
  { name, sha256, mirror = false }: DownloadRequest,
  url: string,
  found: Arrived,
  aside: string,
): BakeError =>
  new BakeError(
    "BK210",
    `${name} is not what the lock names: ${shownUrl(url)}\n  expected sha256 ${sha256}\n  found    sha256 ${found.sha256}, ${found.size} bytes`,
    `Nothing uses it; for a look it lies in ${aside}.\n${mirror ? "The mirror was changed. Fill it again where there is a network: bake fetch --to." : "When its makers have replaced it and you know why: bake lock --update."}`,
  );

/** @throws BakeError BK210 for wrong bytes, BK214 when no URL gives them; PartLost. */
const fromAny = async (running: Running): Promise<Downloaded> => {
  const {
    request,
    part,
    edges: { store, onEvent },
  } = running;
  const refusals: string[] = [];
  for (const url of request.urls) {
    try {
      for (let again = false; ; again = true) {
        const arrived = await fromUrl(url, running);
        if (request.sha256 === undefined || arrived.sha256 === request.sha256) {
          await part.moveTo(store.path(arrived.sha256));
          onEvent?.({ type: "done", name: request.name, bytes: arrived.size });
          return { name: request.name, sha256: arrived.sha256, size: arrived.size, fetched: true };
        }
        // Another file since the first part was fetched: once more, from the beginning.
        if (arrived.resumed && !again) {
          await part.restart();
          continue;
        }
        // Kept aside for a look, and never used.
        const aside = join(store.root, "refused", `${request.sha256}-${arrived.sha256}`);
        await part.moveTo(aside);
        throw wrongBytes(request, url, arrived, aside);
      }
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error;
      refusals.push(`${shownUrl(url)}: ${error.message}`);
    }
  }
  throw new BakeError(
    "BK214",
    `${request.name} cannot be fetched:\n  ${refusals.join("\n  ")}`,
    request.mirror === true
      ? "Fill the mirror again where there is a network: bake fetch --to."
      : "A mirror helps where a host cannot be reached: docs/lock.md.",
  );
};

/** Bytes of it in the store; undefined when it is not there, or has another size. */
const isThere = async (
  { sha256, size }: Pick<DownloadRequest, "sha256" | "size">,
  store: Store,
): Promise<number | undefined> => {
  if (sha256 === undefined) return undefined;
  const found = await store.use(sha256);
  return size === undefined || found === size ? found : undefined;
};

/**
 * A stored file of another size than the lock says is read: it may be the lock that is wrong. Otherwise it goes aside.
 * Only whoever holds the lock of the file does so.
 * @returns its bytes when it is right.
 */
const setAsideChanged = async ({ sha256 }: DownloadRequest, store: Store): Promise<number | undefined> => {
  if (sha256 === undefined) return undefined;
  const path = store.path(sha256);
  const before = await stat(path).catch(() => undefined);
  if (before === undefined) return undefined;
  const read = await sha256File(path).catch(() => undefined);
  if (read?.sha256 === sha256) return read.size;
  const after = await stat(path).catch(() => undefined);
  // Another machine has brought the right one meanwhile.
  if (after === undefined || after.ino !== before.ino) return isThere({ sha256 }, store);
  const aside = join(store.root, "refused", `${sha256}-changed`);
  await mkdir(dirname(aside), { recursive: true });
  await rename(path, aside);
  return undefined;
};

/** Times that a part may be lost to a process elsewhere. */
const mostLosses = 3;

const downloadOne = async (
  request: DownloadRequest,
  edges: DownloadEdges,
  options: DownloadOptions,
  reach: Reach,
): Promise<Downloaded> => {
  const { store, onEvent } = edges;
  const there = (size: number | undefined): Downloaded | undefined => {
    if (size === undefined || request.sha256 === undefined) return undefined;
    onEvent?.({ type: "there", name: request.name, bytes: size });
    return { name: request.name, sha256: request.sha256, size, fetched: false };
  };
  const once = async (folder: string, key: string): Promise<Downloaded> => {
    // Somebody else may have fetched it while this one waited.
    const found = there((await isThere(request, store)) ?? (await setAsideChanged(request, store)));
    if (found !== undefined) return found;
    const part = await Part.open(folder, key, edges.signal);
    try {
      return await fromAny({ request, part, edges, options, reach });
    } finally {
      await part.release();
    }
  };
  const found = there(await isThere(request, store));
  if (found !== undefined) return found;
  const key = request.sha256 ?? sourceOf(request.urls.join("\n"));
  const folder = join(store.root, "tmp");
  try {
    const free = await own(join(folder, `${key}.lock`), edges, request.name);
    try {
      for (let losses = 1; ; losses++) {
        try {
          return await once(folder, key);
        } catch (error) {
          if (!(error instanceof PartLost) || losses === mostLosses) throw error;
        }
      }
    } finally {
      await free();
    }
  } catch (error) {
    if (error instanceof PartLost)
      throw new BakeError("BK213", `${request.name}: ${error.message}, ${mostLosses} times`);
    if (error instanceof BakeError || (error as NodeJS.ErrnoException).code === undefined || edges.signal.aborted)
      throw error;
    throw cannotWrite(store.root, error);
  }
};

/** @throws BakeError BK212 when what is missing would fill the disk. */
const requireSpace = async (requests: readonly DownloadRequest[], { store }: DownloadEdges): Promise<void> => {
  const parts = await partSizes(join(store.root, "tmp"));
  let missing = 0;
  for (const { sha256, size } of requests) {
    if (sha256 === undefined || size === undefined || (await store.has(sha256))) continue;
    missing += size - Math.min(size, parts.get(sha256) ?? 0);
  }
  if (missing <= 0) return;
  let folder = store.root;
  while (!(await exists(folder))) folder = dirname(folder);
  const free = await freeBytes(folder);
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
  const reach: Reach = { answered: new Set(), silent: new Map() };
  let stopped: BakeError | undefined;
  const results = await mapLimited(requests, limit, async (request): Promise<Downloaded | BakeError | undefined> => {
    if (stopped !== undefined) return undefined;
    try {
      return await downloadOne(request, edges, options, reach);
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
