/** The qemu target: a rendered tree, artifacts and a base → a golden image, a file with a sha256. */
import { copyFile, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { knownSecrets, type SecretSources, withholdSecrets } from "../check/known-secrets.ts";
import { describeFinding, type ScanResult, scanImage } from "../check/scan-image.ts";
import { panicsIn } from "../vm/console.ts";
import { makeSshKey } from "../vm/ssh.ts";
import { BakeError, listed } from "../errors.ts";
import { requirePlainArchives } from "./archive.ts";
import type { Host } from "../host/host.ts";
import { digestOf, filesOf, type LockedFile } from "../artifact.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { freeBytes } from "../host/disk-space.ts";
import { currentProcess } from "../host/process-identity.ts";
import type { StepTime } from "../host/progress.ts";
import { withWorkFolder } from "../host/work-folder.ts";
import { withFolderLock } from "../render/write.ts";
import { sha256File, type Store } from "../store/store.ts";
import type { Accelerator } from "../vm/accelerator.ts";
import { runPacker } from "./packer.ts";

/** Parts of what is kept about any image that was baked. */
export const recordParts = {
  artifacts: z.array(z.strictObject({ name: z.string(), version: z.string(), sha256: z.string() })),
  /** Seconds of each step of the bake that made the image. */
  steps: z.array(z.strictObject({ id: z.string(), title: z.string(), seconds: z.number() })),
  madeAt: z.string(),
};

/** These parts of a bake that ends at `now`, in milliseconds since the epoch. */
export const recordedParts = ({ artifacts = [] }: NodePlan, steps: readonly StepTime[], now: number) => ({
  artifacts: artifacts.map((artifact) => ({
    name: artifact.name,
    version: artifact.version,
    sha256: digestOf(artifact),
  })),
  steps: steps.map(({ id, title, seconds }) => ({ id, title, seconds: Math.round(seconds * 10) / 10 })),
  madeAt: new Date(now).toISOString(),
});

const ImageRecord = z.strictObject({
  bakeId: z.string(),
  profile: z.string(),
  trial: z.boolean(),
  target: z.literal("qemu"),
  architecture: z.string(),
  file: z.string(),
  size: z.number(),
  sha256: z.string(),
  base: z.strictObject({ name: z.string(), sha256: z.string() }),
  artifacts: recordParts.artifacts,
  accelerator: z.string(),
  steps: recordParts.steps,
  madeAt: recordParts.madeAt,
});
export type ImageRecord = z.infer<typeof ImageRecord>;

/** The image in `folder`, when it is whole and was baked from the same inputs; else undefined. */
export const currentImage = async (folder: string, bakeId: string): Promise<ImageRecord | undefined> => {
  const text = await readFile(join(folder, "image.json"), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const record = ImageRecord.safeParse(value);
  if (!record.success || record.data.bakeId !== bakeId) return undefined;
  const file = join(folder, record.data.file);
  const size = await stat(file).then(
    (found) => found.size,
    () => undefined,
  );
  if (size !== record.data.size) return undefined;
  return (await sha256File(file)).sha256 === record.data.sha256 ? record.data : undefined;
};

export interface BakeInput {
  /** out/<profile>, holding the rendered tree. */
  readonly folder: string;
  /** What goes into the image, and what it is baked from: of a plan with a lock. */
  readonly plan: NodePlan;
  readonly bakeId: string;
  readonly trial: boolean;
  /** Where the profile's secrets come from: those that are on this machine are searched for in the image. */
  readonly secrets?: SecretSources;
  readonly store: Store;
  readonly accelerator: Accelerator;
  readonly packer: { readonly path: string; readonly environment: Readonly<Record<string, string>> };
  /** Times of phases that are not steps of `host.progress`. */
  readonly onPhase: (phase: StepTime) => void;
  readonly steps: () => readonly StepTime[];
  readonly provenance: Provenance;
}

/** provenance.json of what was made; times in milliseconds since the epoch. */
export type Provenance = (
  subject: { readonly name: string; readonly digest: Readonly<Record<string, string>> },
  times: { readonly started: number; readonly finished: number },
) => string;

/** Every file that a bake reads out of the store; models do not reach the node yet. */
export const lockedInputs = ({ base, artifacts = [] }: NodePlan): (LockedFile & { readonly isDisk: boolean })[] =>
  [...(base === undefined ? [] : [base]), ...artifacts]
    .filter(({ kind }) => kind !== "model")
    .flatMap((artifact) =>
      filesOf(artifact).map((file) => ({
        ...file,
        name: artifact.kind === "base" ? `base ${artifact.name}` : file.name,
        isDisk: artifact.kind === "base",
      })),
    );

/**
 * Reads every file again, and looks into archives.
 * @throws BakeError BK201/BK202 for a file that is missing or changed, BK217 for an archive that no release is.
 */
export const verifyInputs = (
  host: Host,
  store: Store,
  { artifacts = [] }: NodePlan,
  inputs: readonly LockedFile[],
): Promise<void> =>
  host.progress.step("verify-artifacts", `compare ${inputs.length} files with their digests`, async (update) => {
    for (const file of inputs) {
      update(file.name);
      await store.verify(file);
    }
    await requirePlainArchives(host, store, artifacts);
  });

interface BaseDisk {
  readonly name: string;
  readonly path: string;
  /** Of the disk itself. */
  readonly sha256: string;
}

/** Folder of the cache with bases that were unpacked: `<sha256 of the base>.qcow2`. */
export const baseDisks = (cacheDir: string): string => join(cacheDir, "base-disks");

/**
 * The base as a disk: one that is stored compressed is unpacked once.
 * @throws BakeError BK201/BK202 when it is not what the lock names, BK302 when it cannot be unpacked.
 */
export const baseDisk = async (host: Host, store: Store, base: NodePlan["base"]): Promise<BaseDisk> => {
  if (base === undefined) throw new Error("a local bake has a base");
  const { name, sha256 } = base;
  if (base.format === "qcow2") return { name, sha256, path: store.path(sha256) };
  const folder = baseDisks(host.cacheDir);
  const path = join(folder, `${sha256}.qcow2`);
  const record = `${path}.sha256`;
  const known = await readFile(record, "utf8").catch(() => undefined);
  if (known !== undefined && (await sha256File(path).catch(() => undefined))?.sha256 === known) {
    return { name, path, sha256: known };
  }
  return host.progress.step("unpack-base", `unpack ${name}`, async () => {
    // What is unpacked is known by its own digest from then on: it has to be the right one first.
    await store.verify({ ...base, name: `base ${name}` });
    await mkdir(folder, { recursive: true });
    const fresh = `${path}.new-${currentProcess()}`;
    try {
      await host.run("sh", [
        "-c",
        'exec xz --decompress --stdout --threads=0 "$1" >"$2"',
        "sh",
        store.path(sha256),
        fresh,
      ]);
      const found = await sha256File(fresh);
      await rm(record, { force: true });
      await rename(fresh, path);
      await writeFile(record, found.sha256);
      return { name, path, sha256: found.sha256 };
    } finally {
      await rm(fresh, { force: true });
    }
  });
};

/** What a bake writes at its peak: the overlay that Packer builds in, the compressed result, and that unpacked again. */
const neededBytes = (files: readonly LockedFile[]): number =>
  3 * files.reduce((sum, { size }) => sum + size, 0) + (1 << 30);

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** @throws BakeError BK402 when there is not enough room. */
const requireSpace = async (folder: string, needed: number): Promise<void> => {
  const free = await freeBytes(folder);
  if (free >= needed) return;
  throw new BakeError(
    "BK402",
    `${folder} has ${gib(free)} free, the bake needs about ${gib(needed)}`,
    "Free some space, or point XDG_CACHE_HOME (and the current folder) to a larger disk.",
  );
};

/** Findings that a message lists. */
const mostListed = 20;

/** @throws BakeError BK403 when something was found: what and where, never the value. */
const requireClean = ({ findings }: ScanResult): void => {
  if (findings.length === 0) return;
  throw new BakeError(
    "BK403",
    `the image holds secrets; it was deleted:\n${listed(findings.map(describeFinding), mostListed)}`,
    "Take them out of what is baked: the profile, the base or an artifact. Consider them known to others, and change them.\ndocs/secrets.md says what is searched for.",
  );
};

/** Searches the finished image for what this machine knows to be secret, and for credentials by their shape. */
const searchForSecrets = async (
  host: Host,
  { plan, store, secrets }: BakeInput,
  image: string,
  workFolder: string,
): Promise<void> => {
  const known = await knownSecrets(secrets ?? {}, host.env);
  const result = await host.progress.step("scan-secrets", "search the raw disk for secrets", () =>
    scanImage(host, {
      image,
      secrets: known.secrets,
      inputs: lockedInputs(plan).map(({ sha256, isDisk }) => ({ path: store.path(sha256), sha256, isDisk })),
      workFolder,
    }),
  );
  for (const reason of known.unknown) host.progress.note(`      not searched for: ${reason}`);
  if (result.fromInputs.length > 0) {
    const kinds = [...new Set(result.fromInputs.map(({ what }) => what))].toSorted().join(", ");
    host.progress.note(`      left alone: ${result.fromInputs.length} examples and test keys of the inputs (${kinds})`);
  }
  requireClean(result);
};

/**
 * Bakes. The result appears under its name only when it is whole.
 * @throws BakeError BK201/BK202 for an artifact that is missing or changed, BK401 when the build fails, BK402 without room,
 * BK403 when the image holds a secret.
 */
export const bakeImage = async (anyHost: Host, input: BakeInput): Promise<ImageRecord> => {
  const host = withholdSecrets(anyHost, input.secrets ?? {});
  const started = host.now();
  const { folder, plan, store, accelerator } = input;
  const inputs = lockedInputs(plan);
  await verifyInputs(host, store, plan, inputs);
  const base = await baseDisk(host, store, plan.base);
  const logDir = join(folder, "log");
  await mkdir(logDir, { recursive: true });
  return withWorkFolder(host, "bake", async (workFolder) => {
    const needed = neededBytes(inputs);
    await requireSpace(workFolder, needed);
    await requireSpace(folder, needed);
    const key = await makeSshKey(host, workFolder);
    const output = join(workFolder, "packer");
    const build = (): Promise<void> =>
      host.progress.step("packer", `Packer builds the image (${accelerator.accel})`, (update) =>
        runPacker(host, {
          packer: input.packer.path,
          environment: input.packer.environment,
          template: join(folder, "packer"),
          source: "qemu.node",
          variables: {
            base: base.path,
            base_checksum: `sha256:${base.sha256}`,
            artifacts: store.root,
            output,
            log: join(process.cwd(), logDir),
            ssh_private_key_file: key.privateKeyFile,
            ssh_public_key: key.publicKey,
            accelerator: accelerator.accel,
            cpu_model: accelerator.cpuModel,
          },
          logDir,
          onPhase: input.onPhase,
          update,
        }),
      );
    await build().catch(async (error: unknown) => {
      const console = await readFile(join(logDir, "console.log"), "utf8").catch(() => "");
      if (accelerator.accel !== "tcg" || panicsIn(console).length === 0) throw error;
      host.progress.note("  emulation panicked the build VM's kernel: once more");
      await rm(output, { recursive: true, force: true });
      await build();
    });
    const fresh = join(workFolder, "image.qcow2");
    await host.progress.step("flatten", "flatten and compress the image", async () => {
      await host.run("qemu-img", ["convert", "-c", "-W", "-m", "4", "-O", "qcow2", join(output, "image.qcow2"), fresh]);
    });
    await searchForSecrets(host, input, fresh, workFolder);
    const { sha256, size } = await host.progress.step("hash-image", "hash the image", () => sha256File(fresh));
    const { artifacts, steps, madeAt } = recordedParts(plan, input.steps(), host.now());
    const record: ImageRecord = {
      bakeId: input.bakeId,
      profile: plan.profile,
      trial: input.trial,
      target: "qemu",
      architecture: plan.target.architecture,
      file: "image.qcow2",
      size,
      sha256,
      base: { name: base.name, sha256: base.sha256 },
      artifacts,
      accelerator: accelerator.accel,
      steps,
      madeAt,
    };
    const statement = input.provenance({ name: record.file, digest: { sha256 } }, { started, finished: host.now() });
    await withFolderLock(folder, () => publish(folder, fresh, record, statement));
    return record;
  });
};

/** image.json names the image by hash, so it goes first away and last in: a cut between leaves no wrong claim. */
const publish = async (folder: string, fresh: string, record: ImageRecord, statement: string): Promise<void> => {
  const target = join(folder, "image.qcow2");
  const arriving = join(folder, "image.qcow2.new");
  const json = join(folder, "image.json");
  try {
    await rename(fresh, arriving).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "EXDEV") throw error;
      await copyFile(fresh, arriving);
    });
    await rm(json, { force: true });
    await rename(arriving, target);
    await writeFile(join(folder, "provenance.json"), statement);
    await writeFile(`${json}.new`, `${JSON.stringify(record, null, 2)}\n`);
    await rename(`${json}.new`, json);
  } finally {
    await rm(arriving, { force: true });
  }
};
