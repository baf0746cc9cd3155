/** image.json: what is kept about an image that was baked. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { digestOf } from "../artifact.ts";
import type { StepTime } from "../host/progress.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { sha256File } from "../store/store.ts";

/** Parts of what is kept about any image that was baked. */
export const recordParts = {
  artifacts: z.array(z.strictObject({ name: z.string(), version: z.string(), sha256: z.string() })),
  /** Seconds of each step of the bake that made the image. */
  steps: z.array(z.strictObject({ id: z.string(), title: z.string(), seconds: z.number() })),
  madeAt: z.string(),
};

/**
 * These parts of a bake that ends at `now`, in milliseconds since the epoch. Pure.
 * @param steps Seconds are rounded to tenths.
 */
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

/** What is read of an image's record, whatever target it is of. */
const AnyRecord = z.object({
  bakeId: z.string(),
  target: z.string().default(""),
  architecture: z.string().optional(),
  madeAt: z.string().optional(),
  accelerator: z.string().optional(),
  file: z.string().optional(),
  size: z.number().optional(),
  sha256: z.string().optional(),
  base: z.object({ name: z.string(), sha256: z.string() }).optional(),
  region: z.string().optional(),
  imageId: z.string().optional(),
  imageName: z.string().optional(),
  sourceImage: z.string().optional(),
  artifacts: z.array(z.object({ name: z.string(), version: z.string(), sha256: z.string() })).default([]),
  steps: recordParts.steps.default([]),
});
export type AnyRecord = z.infer<typeof AnyRecord>;

/** A record as it stands in a file, compared with nothing; undefined where there is none that can be read. */
export const readRecord = async (file: string): Promise<AnyRecord | undefined> => {
  try {
    return AnyRecord.parse(JSON.parse(await readFile(file, "utf8")));
  } catch {
    return undefined;
  }
};

/**
 * The record of the image in `folder`. The image is read and compared with its digest.
 * @returns undefined when it is not whole, or was baked from other inputs.
 */
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

/** provenance.json of what was made; times in milliseconds since the epoch. */
export type Provenance = (
  subject: { readonly name: string; readonly digest: Readonly<Record<string, string>> },
  times: { readonly started: number; readonly finished: number },
) => string;
