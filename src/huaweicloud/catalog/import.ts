/** Makes an image of the catalogue of a qcow2 file: uploads it, has the image service read it, and removes the upload. */
import * as z from "zod";
import { BakeError } from "../../errors.ts";
import { gib } from "../../formats/bytes.ts";
import type { Host } from "../../host/host.ts";
import { type Cloud, CloudError } from "../client.ts";
import { waitForJob } from "../job-wait.ts";
import type { Bucket } from "../obs/bucket.ts";
import { uploadFile } from "../obs/upload.ts";
import { isCopy } from "./copy.ts";
import type { CatalogImage } from "./image.ts";
import { listPrivate } from "./look.ts";
import { writeTags } from "./promote.ts";
import type { Qcow2 } from "./qcow2.ts";
import { isMaking, readiest, waitForImage } from "./wait.ts";

/** Of a file that is no raw one, and of a system disk (facts: Huawei Cloud, import). */
const [largestFile, smallestDisk, largestDisk] = [128 * gib, 40, 1024];

export interface ImportRequest {
  readonly file: string;
  readonly size: number;
  readonly sha256: string;
  readonly name: string;
  readonly description: string;
  /** `bake-id` among them. */
  readonly tags: Readonly<Record<string, string>>;
  /** As the image service calls it. */
  readonly system: string;
  readonly architecture: "x86_64" | "aarch64";
  /** GiB */
  readonly minDisk: number;
  readonly enterpriseProject: string | undefined;
  /** Of the upload. */
  readonly key: string;
  /** Milliseconds. */
  readonly imageTime: number;
}

/** What the keys of a profile's uploads begin with. */
export const uploadPrefix = (profileTag: string): string => `bake-import/${profileTag}/`;

/** Key of an upload: by the file too, as two bakes of one bake id need not be the same bytes. */
export const uploadKey = (profileTag: string, bakeId: string, sha256: string): string =>
  `${uploadPrefix(profileTag)}${bakeId}-${sha256.slice(0, 16)}.qcow2`;

/** GiB of a system disk that the image needs. Pure. @throws BakeError BK438 at the service's limits. */
export const requireImportable = (file: string, size: number, { virtualSize }: Qcow2): number => {
  const disk = Math.ceil(virtualSize / gib);
  if (size > largestFile) {
    throw new BakeError(
      "BK438",
      `${file} has ${size} bytes: the image service reads files of 128 GB at most`,
      "Leave large models to a mirror (docs/seeds.md), or bake it there: bake image --target huaweicloud.",
    );
  }
  if (disk > largestDisk) {
    throw new BakeError(
      "BK438",
      `the disk of ${file} has ${disk} GiB: a system disk has ${largestDisk} at most`,
      "Make targets.qemu.diskSize smaller: what a node needs besides is on its data disk.",
    );
  }
  return Math.max(disk, smallestDisk);
};

/** @throws BakeError BK437 when the bucket is in another region; CloudError, BK437 without one. */
export const requireBucket = async (bucket: Bucket): Promise<void> => {
  const { headers } = await bucket.call("showBucket");
  const place = headers["x-obs-bucket-location"];
  if (place === undefined || place === bucket.region) return;
  throw new BakeError(
    "BK437",
    `the bucket ${bucket.name} is in ${place}, and the image is to be in ${bucket.region}`,
    "The image service reads from a bucket of its own region alone.",
  );
};

/** Images of this bake id, the oldest first. A copy carries the same tags and words, and is another. @throws CloudError */
const imagesOf = async (cloud: Cloud, bakeId: string): Promise<CatalogImage[]> =>
  (await listPrivate(cloud))
    .filter((image) => !isCopy(image) && (image.bakeId === bakeId || image.description.includes(`Bake id ${bakeId}.`)))
    .toSorted((a, b) => a.created - b.created || a.id.localeCompare(b.id));

/**
 * An image of this bake id: an active one, else one that is on its way; of several the oldest, for every machine the same.
 * @throws CloudError
 */
export const importedImage = async (cloud: Cloud, bakeId: string): Promise<CatalogImage | undefined> =>
  readiest(await imagesOf(cloud, bakeId));

const Started = z.object({ job_id: z.string() });

/** Has the image service read the upload. @returns the job; undefined when its answer was lost and an image is on its way. @throws CloudError */
const register = async (cloud: Cloud, bucket: Bucket, request: ImportRequest): Promise<string | undefined> => {
  const { name, description, tags, system, architecture, minDisk, enterpriseProject, key } = request;
  try {
    const { job_id: job } = await cloud.call("importImage", {
      body: {
        name,
        description,
        image_url: `${bucket.name}:${key}`,
        os_version: system,
        min_disk: minDisk,
        architecture: architecture === "aarch64" ? "arm" : "x86",
        type: "ECS",
        // bake's hygiene has done it, and more; the service would write into the image.
        is_config: false,
        image_tags: Object.entries(tags).map(([tag, value]) => ({ key: tag, value })),
        ...(enterpriseProject !== undefined && { enterprise_project_id: enterpriseProject }),
      },
      answer: Started,
    });
    return job;
  } catch (error) {
    // Without an answer nobody knows whether it was started: looking tells.
    const unknown = error instanceof CloudError && (error.status === undefined || error.status >= 500);
    if (!unknown || (await importedImage(cloud, tags["bake-id"] ?? "")) === undefined) throw error;
    return undefined;
  }
};

export interface Imported {
  readonly id: string;
  /** `made` now, or `finished` where another command began it. */
  readonly outcome: "made" | "finished";
  /** IDs of others of the same bake id: two machines registered it in the same moment. */
  readonly twins: readonly string[];
}

export interface ImportProgress {
  readonly onUpload: (done: number) => void;
  readonly onLook: (seconds: number) => void;
}

/**
 * Uploads the file. Who does the same on another machine may be done before: then its upload is gone, and the image is there.
 * @returns that image; undefined when it is still to be registered.
 * @throws CloudError; BakeError BK438; the signal's reason.
 */
const uploadOrFind = async (
  cloud: Cloud,
  bucket: Bucket,
  host: Pick<Host, "signal">,
  request: ImportRequest,
  onProgress: (done: number) => void,
): Promise<CatalogImage | undefined> => {
  const find = (): Promise<CatalogImage | undefined> => importedImage(cloud, request.tags["bake-id"] ?? "");
  try {
    await uploadFile(bucket, host, { ...request, onProgress });
  } catch (error) {
    const other = error instanceof CloudError && error.status === 404 ? await find() : undefined;
    if (other === undefined) throw error;
    return other;
  }
  // An upload takes long: what was looked at before it is old.
  return find();
};

/**
 * Uploads, registers and waits; the upload goes once the image is there. Called again it goes on where it was cut off.
 * @throws BakeError BK431 when the image does not become active, BK438; CloudError, BK433 for a job that failed. The upload stays then.
 */
export const importImage = async (
  cloud: Cloud,
  bucket: Bucket,
  host: Pick<Host, "now" | "sleep" | "signal">,
  request: ImportRequest,
  { onUpload, onLook }: ImportProgress,
): Promise<Imported> => {
  const { tags, key, imageTime } = request;
  const bakeId = tags["bake-id"] ?? "";
  const earlier = (await importedImage(cloud, bakeId)) ?? (await uploadOrFind(cloud, bucket, host, request, onUpload));
  if (earlier === undefined) {
    const job = await register(cloud, bucket, request);
    if (job !== undefined) await waitForJob(cloud, host, "showImageJob", job, { most: imageTime, onLook });
  }
  const image = await waitForImage(host, {
    look: () => importedImage(cloud, bakeId),
    most: imageTime,
    gone: () => new BakeError("BK431", `the image of ${key} has gone`, "Look into the cloud's list of private images."),
    late: ({ id, status }) =>
      new BakeError(
        "BK431",
        `the image ${id} is ${status} after ${Math.round(imageTime / 60_000)} minutes`,
        "It goes on in the cloud: the same command finishes it later.",
      ),
    onLook,
  });
  const missing = Object.entries(tags).filter(([name, value]) => image.tags[name] !== value);
  if (missing.length > 0) await writeTags(cloud, image.id, Object.fromEntries(missing));
  await bucket.call("deleteObject", { key });
  const twins = (await imagesOf(cloud, bakeId))
    .filter((each) => each.id !== image.id && (each.status === "active" || isMaking(each)))
    .map(({ id }) => id);
  return { id: image.id, outcome: earlier === undefined ? "made" : "finished", twins };
};
