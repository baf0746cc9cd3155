/** What a bake reads out of the store, and whether there is room for what it writes. */
import { type Artifact, filesOf, kindOf, type LockedFile } from "../artifact.ts";
import { BakeError } from "../errors.ts";
import { freeBytes } from "../host/disk-space.ts";
import type { Host } from "../host/host.ts";
import type { StageName } from "../node/concern.ts";
import { isInSeed } from "../node/artifact-mirror.ts";
import { isCarried } from "../node/images/facts.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import type { Store } from "../store/store.ts";
import { requirePlainArchives } from "./archive.ts";
import { gib } from "../formats/bytes.ts";

/** Whether an image carries an artifact: images, models and build caches may come from a mirror, to the node itself. Pure. */
export const isBaked = ({ facts }: Pick<NodePlan, "facts">, artifact: Artifact): boolean => {
  switch (artifact.kind) {
    case "container-image":
      return isCarried(facts.images, artifact);
    case "model":
      return facts.models.some(
        ({ hub, name, from }) => hub === artifact.hub && name === artifact.name && isInSeed(from, facts.storage),
      );
    case "build-cache":
      return facts.caches.some(({ name, from }) => name === artifact.name && isInSeed(from, facts.storage));
    default:
      return true;
  }
};

/** A file that a bake reads out of the store. */
export interface BakeFile extends LockedFile {
  readonly isDisk: boolean;
  /** The stage that reads it. */
  readonly stage: StageName;
}

/** Models and build caches go into the seed, which no list of installs names. */
const stageOf = ({ installs }: NodePlan, artifact: Artifact): StageName => {
  const { install } = kindOf(artifact);
  if (install === "disk") return "base";
  if (install === "model-files" || install === "cache-blobs") return "payload";
  return installs.find((each) => each.artifact === artifact)?.stage ?? "node";
};

/** Every file that a bake reads out of the store. Pure. @returns the base first. */
export const lockedInputs = (plan: NodePlan): BakeFile[] =>
  [...(plan.base === undefined ? [] : [plan.base]), ...(plan.artifacts ?? [])]
    .filter((artifact) => isBaked(plan, artifact))
    .flatMap((artifact) =>
      filesOf(artifact).map((file) => ({
        ...file,
        name: artifact.kind === "base" ? `base ${artifact.name}` : file.name,
        isDisk: artifact.kind === "base",
        stage: stageOf(plan, artifact),
      })),
    );

/** Those that are read when only these stages are made: layers lie on the base, so that is always one of them. Pure. */
export const inputsOfStages = (inputs: readonly BakeFile[], stages: readonly StageName[]): BakeFile[] =>
  inputs.filter(({ isDisk, stage }) => isDisk || stages.includes(stage));

/**
 * Reads these files again, and looks into those that are archives.
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
    const read = new Set(inputs.map(({ sha256 }) => sha256));
    await requirePlainArchives(
      host,
      store,
      artifacts.filter((artifact) => "sha256" in artifact && read.has(artifact.sha256)),
    );
  });

/**
 * Bytes that a bake writes at its peak. Pure.
 * They are the overlay that Packer builds in, the compressed result, and that unpacked again. With a seed the overlay has had
 * layers, what Docker made of them, and that packed. What lies in layers of an earlier bake is there already; those that this one
 * keeps are the overlay, under another name.
 * @param stages That are made.
 */
export const neededBytes = (
  inputs: readonly BakeFile[],
  { hasSeed, stages }: { readonly hasSeed: boolean; readonly stages: readonly StageName[] },
): number => {
  const sum = (files: readonly LockedFile[]): number => files.reduce((total, { size }) => total + size, 0);
  const made = inputs.filter(({ stage }) => stages.includes(stage));
  return (hasSeed ? 4 : 1) * sum(made) + 2 * sum(inputs) + gib;
};

const inGib = (bytes: number): string => `${(bytes / gib).toFixed(1)} GiB`;

/**
 * @param needed Bytes.
 * @throws BakeError BK402 when there are fewer where `folder` is.
 */
export const requireSpace = async (folder: string, needed: number): Promise<void> => {
  const free = await freeBytes(folder);
  if (free >= needed) return;
  throw new BakeError(
    "BK402",
    `${folder} has ${inGib(free)} free, the bake needs about ${inGib(needed)}`,
    "Free some space, or point XDG_CACHE_HOME (and the current folder) to a larger disk.",
  );
};
