/**
 * Layers: the disk of the build VM behind a stage of a bake, as a qcow2 file that holds what the stage changed. A later bake with the
 * same stages starts from the last of them. A layer is used as it was made or not at all: its file has a digest, and its folder
 * appears under its name when it is whole.
 */
import { createHash } from "node:crypto";
import { chmod, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import type { Host } from "../host/host.ts";
import { makeFolder } from "../host/make-folder.ts";
import { currentProcess, isStale } from "../host/process-identity.ts";
import { randomName } from "../host/random-name.ts";
import { touch } from "../host/touch.ts";
import { writeFileAtomic } from "../host/write-file-atomic.ts";
import { type StageName, stageNames } from "../node/concern.ts";
import type { Stage } from "../render/stages.ts";
import { sha256File } from "../store/store.ts";
import { makeSshKey, type SshKey } from "../vm/ssh.ts";

/** Folder of the cache with a folder for each layer. Pure. */
export const layersFolder = (cacheDir: string): string => join(cacheDir, "layers");

const LayerRecord = z.strictObject({
  stage: z.enum(stageNames),
  /** Of the stage. */
  id: z.string(),
  /** Name of the layer that it lies on; null where that is the base. */
  parent: z.string().nullable(),
  /** The file that its own names as the one below it: a cache that was moved has no layers. */
  backing: z.string(),
  size: z.number(),
  sha256: z.string(),
  /** Digest of the base below all layers. */
  base: z.string(),
  /** Who may log in on it. */
  publicKey: z.string(),
  /** Digests of the lock without which nobody starts from it: the base, as it is stored. */
  inputs: z.array(z.string()),
  madeAt: z.string(),
});

export interface Layer extends z.infer<typeof LayerRecord> {
  /** Of its folder. */
  readonly name: string;
  /** Its file. */
  readonly disk: string;
}

const recordName = "layer.json";

/** Undefined for what is none, also while it is removed. */
const readLayer = async (cacheDir: string, name: string): Promise<Layer | undefined> => {
  const folder = join(layersFolder(cacheDir), name);
  try {
    const record = LayerRecord.parse(JSON.parse(await readFile(join(folder, recordName), "utf8")));
    return { ...record, name, disk: join(folder, "disk.qcow2") };
  } catch {
    return undefined;
  }
};

/** Names of layers and of what is not whole yet. */
const namesIn = (cacheDir: string): Promise<string[]> => readdir(layersFolder(cacheDir)).catch((): string[] => []);

/** Every layer that is there; none is read. */
export const allLayers = async (cacheDir: string): Promise<Layer[]> =>
  (await Promise.all((await namesIn(cacheDir)).map((name) => readLayer(cacheDir, name)))).filter(
    (layer) => layer !== undefined,
  );

/**
 * The key pair by which builds reach a VM that starts from a layer: its public half is in there. It opens no node and no image, since
 * hygiene takes it out of each. Lost, it takes all layers with it.
 */
export const layerKey = async (host: Host): Promise<SshKey> => {
  const folder = join(layersFolder(host.cacheDir), "key");
  const privateKeyFile = join(folder, "id_ed25519");
  const read = (): Promise<string> => readFile(`${privateKeyFile}.pub`, "utf8");
  /** Undefined where there is none; after a power cut files may be empty. */
  const known = async (): Promise<SshKey | undefined> => {
    const found = await Promise.all([read(), stat(privateKeyFile)]).catch(() => undefined);
    if (found === undefined || found[0].trim() === "" || found[1].size === 0) return undefined;
    return { privateKeyFile, publicKey: found[0].trim() };
  };
  const before = await known();
  if (before !== undefined) return before;
  await makeFolder(layersFolder(host.cacheDir));
  await chmod(layersFolder(host.cacheDir), 0o700);
  // It comes whole: half a pair is a damaged one, unless another bake has just made it.
  const meanwhile = await known();
  if (meanwhile !== undefined) return meanwhile;
  await rm(folder, { recursive: true, force: true });
  const fresh = `${folder}.new-${currentProcess()}`;
  await rm(fresh, { recursive: true, force: true });
  await makeFolder(fresh);
  await makeSshKey(host, fresh);
  // Of two that make one, one is first.
  await rename(fresh, folder).catch(() => rm(fresh, { recursive: true, force: true }));
  return { privateKeyFile, publicKey: (await read()).trim() };
};

/** What layers have to fit to. */
export interface LayerWanted {
  readonly stages: readonly Stage[];
  /** The base as a disk, and the digest of that. */
  readonly base: { readonly path: string; readonly sha256: string };
  readonly publicKey: string;
}

/** The layer and those below it, the lowest first; undefined where one of them does not fit. None is read. */
const chainOf = async (
  cacheDir: string,
  name: string,
  { stages, base, publicKey }: LayerWanted,
): Promise<Layer[] | undefined> => {
  const layer = await readLayer(cacheDir, name);
  if (layer === undefined || layer.base !== base.sha256 || layer.publicKey !== publicKey) return undefined;
  const index = stages.findIndex((stage) => stage.name === layer.stage && stage.id === layer.id);
  const below = layer.parent === null ? [] : await chainOf(cacheDir, layer.parent, { stages, base, publicKey });
  if (below === undefined || below.length !== index) return undefined;
  return layer.backing === (below.at(-1)?.disk ?? base.path) ? [...below, layer] : undefined;
};

/** Whether its file is what it was; reading it costs less than making it. */
const isWhole = async ({ disk, size, sha256 }: Layer): Promise<boolean> => {
  const found = await stat(disk).catch(() => undefined);
  if (found?.size !== size) return false;
  return (await sha256File(disk).catch(() => undefined))?.sha256 === sha256;
};

/**
 * The layers that a bake can start from, the lowest first: those of as many stages as possible. Each was read and is whole; one that
 * is not is removed, and said. They are in use from now on.
 */
export const findLayers = async (host: Host, wanted: LayerWanted): Promise<Layer[]> => {
  const names = await namesIn(host.cacheDir);
  const whole = new Map<string, boolean>();
  for (const { name: stage, id } of wanted.stages.toReversed()) {
    const chains: Layer[][] = [];
    for (const name of names.filter((each) => each.startsWith(`${stage}-${id}.`))) {
      const chain = await chainOf(host.cacheDir, name, wanted);
      if (chain !== undefined) chains.push(chain);
    }
    const madeAt = (chain: readonly Layer[]): string => chain.at(-1)?.madeAt ?? "";
    for (const chain of chains.toSorted((a, b) => (madeAt(a) < madeAt(b) ? 1 : -1))) {
      await useLayers(chain);
      for (const layer of chain) {
        if (!whole.has(layer.name)) whole.set(layer.name, await isWhole(layer));
        if (whole.get(layer.name) === true) continue;
        host.progress.note(`  the layer of stage ${layer.stage} is damaged, and is made anew: ${layer.disk}`);
        await removeLayer(host.cacheDir, layer.name);
        break;
      }
      if (chain.every(({ name }) => whole.get(name) === true)) return chain;
    }
  }
  return [];
};

/** Notes that layers are in use: `collectLayers` and `bake store prune` leave alone what was used of late. */
export const useLayers = async (layers: readonly Layer[]): Promise<void> => {
  for (const { disk } of layers) await touch(disk).catch(() => undefined);
};

/** At once gone for those who look for layers; what has its file open reads on. */
export const removeLayer = async (cacheDir: string, name: string): Promise<void> => {
  const going = join(layersFolder(cacheDir), `.old-${currentProcess()}-${randomName()}`);
  await rename(join(layersFolder(cacheDir), name), going).catch(() => undefined);
  await rm(going, { recursive: true, force: true });
};

/** A layer that was just made. Nothing writes to its file any more. */
export interface TakenLayer {
  readonly stage: StageName;
  readonly file: string;
}

/**
 * Puts layers under their names, each whole.
 * @param below Those that they were made on, the lowest first.
 * @param taken In the order in which they lie on each other, in files of the cache's file system.
 * @returns all of them. @throws NodeJS.ErrnoException, BakeError BK302 when one could not be put there: those before it were.
 */
export const publishLayers = async (
  host: Host,
  wanted: LayerWanted,
  {
    below,
    taken,
    inputs,
  }: { readonly below: readonly Layer[]; readonly taken: readonly TakenLayer[]; readonly inputs: readonly string[] },
): Promise<Layer[]> => {
  const layers = [...below];
  for (const { stage, file } of taken) {
    const id = wanted.stages.find(({ name }) => name === stage)?.id;
    if (id === undefined) throw new Error(`no such stage: ${stage}`);
    const backing = layers.at(-1)?.disk ?? wanted.base.path;
    // The name of what lies below it, and no more: the content is the same.
    await host.run("qemu-img", ["rebase", "-u", "-f", "qcow2", "-b", backing, "-F", "qcow2", file]);
    const fresh = join(layersFolder(host.cacheDir), `.new-${currentProcess()}-${randomName()}`);
    await makeFolder(fresh);
    try {
      const disk = join(fresh, "disk.qcow2");
      await rename(file, disk);
      await chmod(disk, 0o444);
      await touch(disk);
      const { sha256, size } = await sha256File(disk);
      const { base, publicKey } = wanted;
      const parent = layers.at(-1)?.name ?? null;
      const record: z.infer<typeof LayerRecord> = {
        ...{ stage, id, parent, backing, size, sha256, base: base.sha256, publicKey, inputs: [...inputs] },
        madeAt: new Date(host.now()).toISOString(),
      };
      await writeFile(join(fresh, recordName), `${JSON.stringify(record, null, 2)}\n`);
      // The digest makes the name: a layer is never replaced below somebody who builds on it.
      const name = `${stage}-${id}.${sha256.slice(0, 16)}`;
      const folder = join(layersFolder(host.cacheDir), name);
      await rename(fresh, folder);
      layers.push({ ...record, name, disk: join(folder, "disk.qcow2") });
    } finally {
      await rm(fresh, { recursive: true, force: true });
    }
  }
  return layers;
};

/** Milliseconds: what was used so lately may be in use. */
const freshLayer = 60 * 60 * 1000;

const Reference = z.strictObject({ folder: z.string(), layers: z.array(z.string()) });

const referencesFolder = (cacheDir: string): string => join(layersFolder(cacheDir), "references");

/** Notes which layers the image in `folder` came from: these stay while the folder is there. @param folder Absolute. */
export const referToLayers = async (
  cacheDir: string,
  { folder, layers }: { readonly folder: string; readonly layers: readonly Layer[] },
): Promise<void> => {
  const reference: z.infer<typeof Reference> = { folder, layers: layers.map(({ name }) => name) };
  const name = createHash("sha256").update(folder).digest("hex").slice(0, 16);
  await writeFileAtomic(join(referencesFolder(cacheDir), `${name}.json`), `${JSON.stringify(reference)}\n`);
};

/** Layers that an image came from whose folder is still there, and those below them. */
export const referredLayers = async (cacheDir: string): Promise<ReadonlySet<string>> => {
  const named = new Set<string>();
  for (const name of await readdir(referencesFolder(cacheDir)).catch((): string[] => [])) {
    const path = join(referencesFolder(cacheDir), name);
    const text = await readFile(path, "utf8").catch(() => "");
    let reference: z.infer<typeof Reference>;
    try {
      reference = Reference.parse(JSON.parse(text));
    } catch {
      continue;
    }
    if ((await stat(reference.folder).catch(() => undefined)) === undefined) await rm(path, { force: true });
    else for (const each of reference.layers) named.add(each);
  }
  return named;
};

/** Whether all that a layer was made from is among these digests. Pure. */
export const isMadeOf = ({ inputs }: Pick<Layer, "inputs">, digests: ReadonlySet<string>): boolean =>
  inputs.every((each) => digests.has(each));

/** When a layer came, or was last used: milliseconds since the epoch; 0 for one that is gone. */
const usedAt = async ({ disk }: Pick<Layer, "disk">): Promise<number> =>
  (await stat(disk).catch(() => undefined))?.mtimeMs ?? 0;

/** Removes layers that no image is made from any more, and what dead processes left half made. @returns their names. */
export const collectLayers = async (host: Host): Promise<string[]> => {
  const named = await referredLayers(host.cacheDir);
  const gone: string[] = [];
  for (const layer of await allLayers(host.cacheDir)) {
    if (named.has(layer.name) || host.now() - (await usedAt(layer)) <= freshLayer) continue;
    await removeLayer(host.cacheDir, layer.name);
    gone.push(layer.name);
  }
  for (const name of await namesIn(host.cacheDir)) {
    const owner = /^(?:\.(?:new|old)-|key\.new-)(.*?)(?:-[0-9a-f]{12})?$/.exec(name)?.[1];
    const path = join(layersFolder(host.cacheDir), name);
    if (owner !== undefined && (await isStale(owner, path))) await rm(path, { recursive: true, force: true });
    // One whose record cannot be read is no layer to anybody: after a power cut it may be empty.
    const isBroken = /\.[0-9a-f]{16}$/.test(name) && (await readLayer(host.cacheDir, name)) === undefined;
    if (isBroken && host.now() - (await usedAt({ disk: join(path, "disk.qcow2") })) > freshLayer)
      await removeLayer(host.cacheDir, name);
  }
  return gone;
};
