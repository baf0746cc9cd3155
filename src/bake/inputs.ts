/** What a bake reads out of the store, and whether there is room for what it writes. */
import { type Artifact, filesOf, type LockedFile } from "../artifact.ts";
import { BakeError } from "../errors.ts";
import { freeBytes } from "../host/disk-space.ts";
import type { Host } from "../host/host.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import type { Store } from "../store/store.ts";
import { requirePlainArchives } from "./archive.ts";
import { gib } from "../formats/bytes.ts";

/** Whether an image carries an artifact: a model may come from a mirror, to the node itself. Pure. */
export const isBaked = ({ facts }: Pick<NodePlan, "facts">, artifact: Artifact): boolean =>
  artifact.kind !== "model" ||
  facts.models.some(({ hub, name, from }) => hub === artifact.hub && name === artifact.name && from === "image");

/** Every file that a bake reads out of the store. Pure. @returns the base first. */
export const lockedInputs = (plan: NodePlan): (LockedFile & { readonly isDisk: boolean })[] =>
  [...(plan.base === undefined ? [] : [plan.base]), ...(plan.artifacts ?? [])]
    .filter((artifact) => isBaked(plan, artifact))
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

/**
 * Bytes that a bake writes at its peak. Pure.
 * They are the overlay that Packer builds in, the compressed result, and that unpacked again. With a seed the overlay has had
 * layers, what Docker made of them, and that packed.
 */
export const neededBytes = (files: readonly LockedFile[], hasSeed: boolean): number =>
  (hasSeed ? 6 : 3) * files.reduce((sum, { size }) => sum + size, 0) + gib;

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
