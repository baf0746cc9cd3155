/** image.json: what is kept about an image that was baked. */
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { digestOf } from "../artifact.ts";
import type { StepTime } from "../host/progress.ts";
import { stageNames } from "../node/concern.ts";
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

/** The stages that the image was made in, each from a layer or anew. */
const Stages = z.array(
  z.strictObject({
    name: z.enum(stageNames),
    id: z.string(),
    reused: z.boolean(),
    seconds: z.number().optional(),
    madeAt: z.string().optional(),
  }),
);

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
  /** Absent in records of before there were stages. */
  stages: Stages.optional(),
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
  stages: Stages.optional(),
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

/** Beside an image: how its file looked when its bytes were last compared with its digest. */
const seenName = join("log", "seen.json");

/** What changes when somebody writes to a file, or puts another one in its place; undefined where there is none. */
const looksOf = async (file: string, sha256: string): Promise<string | undefined> => {
  const found = await stat(file, { bigint: true }).catch(() => undefined);
  if (found === undefined) return undefined;
  const { dev, ino, size, mtimeNs, ctimeNs } = found;
  return `${JSON.stringify([sha256, ...[dev, ino, size, mtimeNs, ctimeNs].map(String)])}\n`;
};

/** Notes that the image in `folder` has just been read, and has this digest: it is not read again while its file stays untouched. */
export const noteImage = async (
  folder: string,
  { file, sha256 }: Pick<ImageRecord, "file" | "sha256">,
): Promise<void> => {
  const looks = await looksOf(join(folder, file), sha256);
  // Without the note, it is read once more.
  if (looks !== undefined) await writeFile(join(folder, seenName), looks).catch(() => undefined);
};

/**
 * The record of the image in `folder`. The image is read and compared with its digest, unless its file is as it was then.
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
  const seen = await readFile(join(folder, seenName), "utf8").catch(() => undefined);
  if (seen !== undefined && seen === (await looksOf(file, record.data.sha256))) return record.data;
  if ((await sha256File(file)).sha256 !== record.data.sha256) return undefined;
  await noteImage(folder, record.data);
  return record.data;
};

/** provenance.json of what was made; times in milliseconds since the epoch. */
export type Provenance = (
  subject: { readonly name: string; readonly digest: Readonly<Record<string, string>> },
  times: { readonly started: number; readonly finished: number },
) => string;
