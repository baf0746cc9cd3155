/** Downloads into the store: hashed on the way, resumed after a cut and after a kill, never in it under a wrong name. */
import { rename, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import { BakeError } from "../errors.ts";
import { formatBytes } from "../formats/bytes.ts";
import { freeBytes } from "../host/disk-space.ts";
import { exists } from "../host/exists.ts";
import { acquireLock, type Release } from "../host/lock-file.ts";
import { mapLimited } from "../host/map-limited.ts";
import { sourceOf } from "./attempt.ts";
import { cannotWrite } from "./cannot-write.ts";
import { Part, PartLost, partSizes } from "./part.ts";
import { fromAny } from "./places.ts";
import { sha256File, type Store } from "./store.ts";
import type { Downloaded, DownloadEdges, DownloadOptions, DownloadRequest, Reach } from "./transfer.ts";

/** Bytes that stay free on the disk. */
const reserve = 64 << 20;

/** Milliseconds between two looks at a lock of somebody else. */
const lookEvery = 100;

/** Waits for a lock while another process fetches the same. @returns what gives it back. */
const waitForLock = async (lock: string, { sleep, signal, onEvent }: DownloadEdges, name: string): Promise<Release> => {
  for (let waited = false; ; waited = true) {
    signal.throwIfAborted();
    const taken = await acquireLock(lock);
    if (typeof taken !== "number") return taken;
    if (!waited) onEvent?.({ type: "wait", name, owner: taken });
    await sleep(lookEvery, signal);
  }
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
  await makeFolder(dirname(aside));
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
    const release = await waitForLock(join(folder, `${key}.lock`), edges, request.name);
    try {
      for (let losses = 1; ; losses++) {
        try {
          return await once(folder, key);
        } catch (error) {
          if (!(error instanceof PartLost) || losses === mostLosses) throw error;
        }
      }
    } finally {
      await release();
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

/** One place, and nothing but silence from it. */
const silence =
  /^(.*) cannot be fetched:\n {2}(https?:\/\/[^/\s]+)\S*: (the host is not known|nothing listens there|no way leads there|no answer in time)(?:, (?:as for others|\d+ times))?$/;

/** Names that a line shows. */
const mostNames = 5;

/** A line or more for each failure; of hosts that are silent one, whatever was asked there. */
const failureLines = (failures: readonly BakeError[]): string[] => {
  const silent = new Map<string, string[]>();
  const others = failures.flatMap(({ code, message }) => {
    const [, name, origin, reason] = silence.exec(message) ?? [];
    if (name === undefined) return [`  ${code} ${message.replaceAll("\n", "\n  ")}`];
    const line = `  ${code} ${origin}: ${reason}`;
    silent.set(line, [...(silent.get(line) ?? []), name]);
    return [];
  });
  return [
    ...others,
    ...[...silent].map(([line, names]) => {
      const more = names.length > mostNames ? ` and ${names.length - mostNames} more` : "";
      return `${line} (${names.toSorted().slice(0, mostNames).join(", ")}${more})`;
    }),
  ];
};

/**
 * Downloads side by side. What fails does not keep the others from arriving.
 * @param limit Files at a time.
 * @returns what is in the store now, in the order of the requests.
 * @throws BakeError the one that happened, or BK215 with all of them by name. Of them are BK210 for wrong bytes, BK212 for a
 * full disk, BK213 for a store that cannot be written, BK214 for what no place gives.
 * @throws the signal's reason; parts stay, and the next run goes on with them.
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
      `${failures.length} of ${requests.length} downloads failed:\n${failureLines(failures).toSorted().join("\n")}`,
      "What arrived is kept: the next run asks for the rest alone.",
    );
  }
  return results.filter((each): each is Downloaded => each !== undefined && !(each instanceof BakeError));
};
