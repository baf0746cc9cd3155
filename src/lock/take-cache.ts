/** A build cache copied to a folder of this machine, from wherever its bytes can be read: each blob compared with its name. */
import { copyFile, constants, link, readdir, readFile, rename, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Blob } from "../artifact.ts";
import { BakeError } from "../errors.ts";
import { makeFolder } from "../host/make-folder.ts";
import { mapLimited } from "../host/map-limited.ts";
import { currentProcess, isStale } from "../host/process-identity.ts";
import { writeFileAtomic } from "../host/write-file-atomic.ts";
import { sha256File } from "../store/store.ts";
import { blobsOfManifest, cacheBlobPath, cacheIndex, taggedManifest } from "./cache-layout.ts";

/** Where a cache is read. Nothing is written there. */
export interface CacheSource {
  /** For messages. */
  readonly name: string;
  /** The text of its `index.json`. @returns undefined where there is none. */
  readonly index: () => Promise<string | undefined>;
  /** Writes the bytes of a blob to a file of this machine. @returns false where it is not there. */
  readonly copy: (blob: string, file: string) => Promise<boolean>;
}

export interface TakenCache {
  readonly manifest: Blob;
  readonly blobs: readonly Blob[];
  /** Of those, what the folder did not have. */
  readonly copied: number;
  readonly bytes: number;
}

interface Edges {
  readonly sleep: (milliseconds: number) => Promise<void>;
  readonly tell: (detail: string) => void;
}

/** Blobs at a time: one connection carries them all. */
const atATime = 4;

/** How often it is begun again for a build that writes meanwhile, and what lies between, in milliseconds. */
const rounds = 5;
const pause = 2000;

/** A reason to look again: a build may be writing just now. */
class Doubtful extends Error {
  readonly code: "BK247" | "BK248";

  constructor(code: "BK247" | "BK248", message: string) {
    super(message);
    this.code = code;
  }
}

/** Of another thing's folder nothing is touched. @throws BakeError BK249 */
const requireCacheFolder = async (folder: string): Promise<void> => {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new BakeError("BK249", `${folder} cannot be filled with a build cache: ${error.message}`);
  });
  const [other] = names.filter((name) => !/^(?:blobs|ingest|oci-layout|index\.json(?:\.lock)?)$/.test(name));
  if (other === undefined) return;
  throw new BakeError(
    "BK249",
    `${folder} is no folder of a build cache: ${other} lies in it`,
    "Name a folder that is empty, or not there yet, or one that has a build cache already.",
  );
};

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "ENOENT";

/** A cache in a folder of this machine. Its blobs are linked where they can be: nobody changes one that has its name. */
export const cacheInFolder = (folder: string): CacheSource => ({
  name: folder,
  index: () =>
    readFile(join(folder, "index.json"), "utf8").catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    }),
  copy: async (blob, file) => {
    const from = join(folder, cacheBlobPath(blob));
    try {
      await link(from, file).catch(() => copyFile(from, file, constants.COPYFILE_FICLONE));
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  },
});

const isRight = async (path: string, { digest, size }: Blob): Promise<boolean> => {
  const found = await stat(path).catch(() => undefined);
  return found?.size === size && `sha256:${(await sha256File(path)).sha256}` === digest;
};

/**
 * Copies what the tag of a cache leads to. What the folder has already is compared and not copied again; the index comes last, so
 * that a copy that was cut off is none. A build that writes meanwhile is noticed by the index, which is read once more at the end.
 * @throws BakeError BK247 no cache, BK248 not whole, BK249 not into this folder, BK259 it changes all the time
 */
export const takeCache = async (source: CacheSource, folder: string, { sleep, tell }: Edges): Promise<TakenCache> => {
  await requireCacheFolder(folder);
  const ingest = join(folder, "ingest");
  for (const path of [join(folder, "blobs", "sha256"), ingest]) await makeFolder(path);
  // Of runs that were killed.
  for (const name of await readdir(ingest))
    if (/^[0-9a-f]{64}\./.test(name) && (await isStale(name.slice(65), join(ingest, name))))
      await rm(join(ingest, name), { force: true });
  let copied = 0;
  /** Digests of blobs that were compared: another round reads them no more. */
  const right = new Set<string>();
  const take = async (blob: Blob): Promise<void> => {
    const path = join(folder, cacheBlobPath(blob.digest));
    if (right.has(blob.digest)) return;
    if (await isRight(path, blob)) {
      right.add(blob.digest);
      return;
    }
    const fresh = `${join(ingest, blob.digest.slice("sha256:".length))}.${currentProcess()}`;
    try {
      const wrong = !(await source.copy(blob.digest, fresh))
        ? "is not there"
        : (await isRight(fresh, blob))
          ? undefined
          : `has other bytes: ${(await stat(fresh)).size} in the place of ${blob.size}, sha256 ${(await sha256File(fresh)).sha256}`;
      if (wrong !== undefined) throw new Doubtful("BK248", `${cacheBlobPath(blob.digest)} ${wrong}`);
      await rename(fresh, path);
      right.add(blob.digest);
      copied++;
    } finally {
      await rm(fresh, { force: true });
    }
  };
  const round = async (index: string): Promise<TakenCache> => {
    const manifest = taggedManifest(index);
    if ("why" in manifest) throw new Doubtful("BK247", manifest.why);
    await take(manifest);
    const blobs = blobsOfManifest(await readFile(join(folder, cacheBlobPath(manifest.digest)), "utf8"));
    if ("why" in blobs) throw new Doubtful("BK247", blobs.why);
    let done = 0;
    await mapLimited(blobs, atATime, async (blob) => {
      await take(blob);
      tell(`${++done} of ${blobs.length} blobs`);
    });
    return { manifest, blobs, copied, bytes: [manifest, ...blobs].reduce((sum, { size }) => sum + size, 0) };
  };
  for (let count = 1; ; count++) {
    const before = await source.index();
    if (before === undefined) throw refusal(source, new Doubtful("BK247", "its index.json is not there"));
    const outcome = await round(before).catch((error: unknown) => {
      if (error instanceof Doubtful) return error;
      throw error;
    });
    // BuildKit writes an index in place, and whoever collects garbage takes blobs that no index names any more.
    if (outcome instanceof Doubtful) await sleep(pause);
    if ((await source.index()) === before) {
      if (outcome instanceof Doubtful) throw refusal(source, outcome);
      const { indexJson, ociLayout } = cacheIndex(outcome.manifest);
      await writeFileAtomic(join(folder, "oci-layout"), ociLayout);
      await writeFileAtomic(join(folder, "index.json"), indexJson);
      await rmdir(ingest).catch(() => undefined);
      return outcome;
    }
    if (count === rounds)
      throw new BakeError(
        "BK259",
        `${source.name} changes while it is copied: builds write to it`,
        "Run it again while no build does: what was copied is kept.",
      );
    tell("a build has written to it meanwhile: once more");
    if (!(outcome instanceof Doubtful)) await sleep(pause);
  }
};

const refusal = ({ name }: CacheSource, { code, message }: Doubtful): BakeError =>
  code === "BK247"
    ? new BakeError(
        code,
        `${name} is no build cache: ${message}`,
        "It is a folder to which builds export with --cache-to type=local,dest=FOLDER,mode=max.",
      )
    : new BakeError(
        code,
        `${name} is not whole: ${message}`,
        "Builds would fail for it. Move its index.json away, and let a build export there again.",
      );
