/** `bake store`: what lies in the store, whether it is still what it was, and what no lock names any more. */
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { baseDisks } from "../bake/base-disk.ts";
import { allLayers, isMadeOf, referredLayers, removeLayer } from "../bake/layers.ts";
import { formatBytes } from "../formats/bytes.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { filesOf } from "../artifact.ts";
import { readLock } from "../lock/read.ts";
import { isStale } from "../host/process-identity.ts";
import { readTemporary } from "../store/part.ts";
import { sha256File, type Store } from "../store/store.ts";
import { endOf, makeHost, storeOf } from "./host.ts";
import { printJson } from "./print-json.ts";
import { readProfileFile } from "./profile-file.ts";

const print = (text: string): void => void process.stdout.write(`${text}\n`);

interface StoredFile {
  readonly path: string;
  /** By its name; absent for a file that does not belong there. */
  readonly sha256?: string;
  readonly size: number;
  /** When it came, or was last asked for: ISO 8601 */
  readonly used: string;
}

const files = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();

/** Undefined when it is gone by now. */
const lookAt = async (path: string): Promise<StoredFile | undefined> => {
  const info = await stat(path).catch(() => undefined);
  return info && { path, size: info.size, used: info.mtime.toISOString() };
};

const stored = async (store: Store): Promise<StoredFile[]> => {
  const found: StoredFile[] = [];
  for (const path of await files(join(store.root, "sha256"))) {
    const file = await lookAt(path);
    if (file === undefined) continue;
    const [, head = "", tail = ""] = /\/([0-9a-f]{2})\/([0-9a-f]{62})$/.exec(path) ?? [];
    found.push({ ...file, ...(tail !== "" && { sha256: `${head}${tail}` }) });
  }
  return found;
};

const withStore = async (json: boolean, work: (host: Host, store: Store) => Promise<number>): Promise<number> => {
  const { host } = await makeHost(json ? process.stderr : process.stdout);
  try {
    return await work(host, storeOf(host));
  } catch (error) {
    return endOf(host, error);
  }
};

const total = (list: readonly { readonly size: number }[]): string =>
  `${list.length} files, ${formatBytes(list.reduce((sum, { size }) => sum + size, 0))}`;

/** `bake store ls`. @returns the exit code. */
export const list = ({ json = false }: { readonly json?: boolean }): Promise<number> =>
  withStore(json, async (_host, store) => {
    const found = await stored(store);
    if (json) {
      printJson({ root: store.root, files: found.map(({ sha256, size, used }) => ({ sha256, size, used })) });
      return 0;
    }
    for (const { sha256, path, size, used } of found)
      print(`${sha256 ?? path}  ${formatBytes(size).padStart(9)}  ${used.slice(0, 10)}`);
    print(`${store.root}: ${total(found)}`);
    return 0;
  });

/** `bake store verify`. @returns the exit code: 1 when a file is not what its name says. */
export const verify = ({ json = false }: { readonly json?: boolean }): Promise<number> =>
  withStore(json, async (host, store) => {
    const found = await stored(store);
    const wrong: { path: string; detail: string }[] = [];
    await host.progress.step("store-verify", `compare ${total(found)} with their digests`, async () => {
      for (const { path, sha256 } of found) {
        host.signal.throwIfAborted();
        const now = await sha256File(path);
        if (sha256 === undefined) wrong.push({ path, detail: "no digest has this name" });
        else if (now.sha256 !== sha256)
          wrong.push({ path, detail: `it is sha256 ${now.sha256} now, ${now.size} bytes` });
      }
    });
    const exitCode = wrong.length === 0 ? 0 : 1;
    if (json) {
      printJson({ ok: exitCode === 0, root: store.root, files: found.length, changed: wrong });
      return exitCode;
    }
    for (const { path, detail } of wrong) print(`changed: ${path}: ${detail}`);
    print(
      wrong.length === 0
        ? `${store.root}: ${total(found)}, all as they were`
        : `${store.root}: ${wrong.length} of ${found.length} files are not what they were. Delete them; bake fetch gets them again.`,
    );
    return exitCode;
  });

/** Milliseconds: whatever came so lately may be for a lock that is just being made. */
const fresh = 60 * 60 * 1000;

interface Leftover extends StoredFile {
  /** Of a part: the digest that it is on its way to. */
  readonly key?: string;
}

/** Parts, copies and locks of processes that are gone, and files that were set aside. */
const leftovers = async (store: Store): Promise<Leftover[]> => {
  const found: Leftover[] = [];
  for (const path of [...(await files(join(store.root, "tmp"))), ...(await files(join(store.root, "refused")))]) {
    const { owner, key } = readTemporary(path);
    const holder = path.endsWith(".lock")
      ? ((await readFile(path, "utf8").catch(() => "")).split(" ")[0] ?? "")
      : owner;
    const file = await lookAt(path);
    if (file === undefined || !(await isStale(holder, path))) continue;
    // What the store has is not gone on with.
    const wanted = key !== undefined && !(await store.has(key));
    found.push({ ...file, ...(wanted && { key }) });
  }
  return found;
};

/** Bases that were unpacked, by the digest of what they were unpacked from. */
const unpacked = async (host: Host): Promise<Leftover[]> => {
  const found: Leftover[] = [];
  for (const path of await files(baseDisks(host.cacheDir))) {
    const file = await lookAt(path);
    if (file === undefined) continue;
    const key = /\/([0-9a-f]{64})\.qcow2(?:\.sha256)?$/.exec(path)?.[1];
    found.push({ ...file, ...(key !== undefined && { key }) });
  }
  return found;
};

interface StoredLayer extends StoredFile {
  readonly layer: string;
}

/** Layers that no image came from any more, or of a base that is named no more. */
const unusedLayers = async (host: Host, named: ReadonlySet<string>): Promise<StoredLayer[]> => {
  const referred = await referredLayers(host.cacheDir);
  const found: StoredLayer[] = [];
  for (const layer of await allLayers(host.cacheDir)) {
    if (referred.has(layer.name) && isMadeOf(layer, named)) continue;
    const file = await lookAt(layer.disk);
    if (file !== undefined) found.push({ ...file, layer: layer.name });
  }
  return found;
};

/** Digests that a lock names: of the profiles to keep, of trials, of bases that bake made. @throws BakeError BK204 */
const namedDigests = async (host: Host, keep: readonly string[]): Promise<ReadonlySet<string>> => {
  const named = new Set<string>();
  for (const profile of keep) {
    const path = (await readProfileFile(profile)).lockFile;
    const lock = await readLock(path);
    // Without its lock, all that this profile uses would go.
    if (lock === undefined)
      throw new BakeError("BK204", `${profile} has no lock: ${path} is not there`, "Nothing was removed.");
    for (const { sha256 } of lock.artifacts.flatMap(filesOf)) named.add(sha256);
  }
  // A trial's lock lies in the cache.
  for (const path of (await files(join(host.cacheDir, "trial"))).filter((each) => each.endsWith(".lock.json"))) {
    const lock = await readLock(path).catch(() => undefined);
    for (const { sha256 } of lock?.artifacts.flatMap(filesOf) ?? []) named.add(sha256);
  }
  for (const path of await files(join(host.cacheDir, "base"))) {
    const text = await readFile(path, "utf8").catch(() => "");
    for (const [sha256] of text.matchAll(/\b[0-9a-f]{64}\b/g)) named.add(sha256);
  }
  return named;
};

/** `bake store prune`: says what would go, unless `yes`. @returns the exit code. */
export const prune = ({
  keep,
  yes = false,
  json = false,
}: {
  readonly keep: readonly string[];
  readonly yes?: boolean;
  readonly json?: boolean;
}): Promise<number> =>
  withStore(json, async (host, store) => {
    const named = await namedDigests(host, keep);
    const all: (StoredFile & { readonly key?: string | undefined; readonly layer?: string })[] = [
      ...(await unusedLayers(host, named)),
      ...(await stored(store)).map((file) => ({ ...file, key: file.sha256 })),
      ...(await leftovers(store)),
      ...(await unpacked(host)),
    ];
    const unnamed = all.filter(({ key }) => key === undefined || !named.has(key));
    const isFresh = ({ used }: StoredFile): boolean => host.now() - Date.parse(used) <= fresh;
    const going: StoredFile[] = [];
    for (const file of unnamed.filter((each) => !isFresh(each))) {
      const { path, size } = file;
      // It may have come into use while this list was made.
      const now = await lookAt(path);
      if (now === undefined || isFresh(now)) continue;
      if (yes && file.layer !== undefined) await removeLayer(host.cacheDir, file.layer);
      else if (yes) await rm(path, { force: true });
      if (!json) print(`${yes ? "removed" : "would go"}: ${path} (${formatBytes(size)})`);
      going.push(file);
    }
    const kept = unnamed.filter(isFresh);
    if (json) {
      const told = (found: readonly StoredFile[]) =>
        found.map(({ path, sha256, size, used }) => ({ path, sha256, size, used }));
      printJson({ root: store.root, removed: yes, files: told(going), leftAlone: told(kept) });
      return 0;
    }
    if (kept.length > 0) print(`left alone: ${total(kept)} of the last hour, which a bake may use`);
    print(
      `${total(going)}${yes ? " removed" : going.length === 0 ? ": nothing to remove" : "; add --yes to remove them"}`,
    );
    return 0;
  });
