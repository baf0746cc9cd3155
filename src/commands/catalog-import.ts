/** `bake catalog import`: an image of the cloud from one that was baked in a local VM. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { openBucket } from "../bake/cloud-bucket.ts";
import { publishImported, readImported } from "../bake/imported-record.ts";
import { currentImage, type ImageRecord, readRecord } from "../bake/image-record.ts";
import { BakeError } from "../errors.ts";
import {
  importedImage,
  importImage,
  type ImportRequest,
  requireBucket,
  requireImportable,
  uploadKey,
} from "../huaweicloud/catalog/import.ts";
import { readQcow2 } from "../huaweicloud/catalog/qcow2.ts";
import { requireSystem, systemFor } from "../huaweicloud/catalog/systems.ts";
import type { Bucket } from "../huaweicloud/obs/bucket.ts";
import { asksCloud, datasourcesPath } from "../targets/datasources.ts";
import { defaultName, describeImage, imageTags } from "../targets/huaweicloud.ts";
import { type CatalogContext, type ChangeOptions, withCatalog } from "./catalog-context.ts";

export interface ImportOptions extends ChangeOptions {
  readonly bucket?: string;
  /** As the image service calls it. */
  readonly osVersion?: string;
}

const refuse = (message: string, help: string): never => {
  throw new BakeError("BK438", message, help);
};

const Plan = z.object({ lockDigest: z.string().optional() });

/** @throws BakeError BK438 for a plan that was changed. */
const lockDigestOf = (plan: string): string | undefined => {
  try {
    return Plan.parse(JSON.parse(plan)).lockDigest;
  } catch {
    return refuse("plan.json beside the image cannot be read", "It is not as bake wrote it: bake it again.");
  }
};

interface Baked {
  readonly record: ImageRecord;
  readonly file: string;
  readonly lockDigest: string | undefined;
}

/** What a bake left in the folder, whole and meant for the cloud. @throws BakeError BK438 */
const readBaked = async (folder: string, name: string): Promise<Baked> => {
  const known = await readRecord(join(folder, "image.json"));
  if (known === undefined || known.bakeId === "") {
    return refuse(
      `${folder} holds no image with a bake id`,
      "Only what bake image made can be told apart later: name its folder, such as out/2cards.",
    );
  }
  const record = await currentImage(folder, known.bakeId);
  if (record === undefined) {
    return refuse(
      `${folder} holds no image that is as its image.json says`,
      known.file !== undefined
        ? "It is not whole, or was changed: bake it again."
        : "It was made in a cloud: it is there already.",
    );
  }
  if (record.profile !== name)
    refuse(`${folder} is of the profile ${record.profile}, not of ${name}`, "Name the profile that it was baked from.");
  if (record.trial) refuse(`${folder} is a trial's image: its parts are stand-ins`, "Bake it without --trial.");
  const datasources = await readFile(join(folder, "node", datasourcesPath), "utf8").catch(() => "");
  if (!asksCloud(datasources)) {
    refuse(
      `the image of ${folder} looks for its user-data in a local VM alone`,
      "Add targets.huaweicloud to the profile and bake it again: it then asks the cloud's metadata service too.",
    );
  }
  const text = await readFile(join(folder, "plan.json"), "utf8").catch(() => "{}");
  return { record, file: join(folder, record.file), lockDigest: lockDigestOf(text) };
};

/** What would be made, for people. Pure. */
const describe = ({ name, system, minDisk, size, key }: ImportRequest, bucket: Bucket): string =>
  [
    ["name", name],
    ["system", system],
    ["system disk", `${minDisk} GiB or more`],
    ["upload", `${(size / 1e9).toFixed(2)} GB as ${bucket.name}:${key}`],
  ]
    .map(([what = "", value = ""]) => `  ${what.padEnd(12)} ${value}`)
    .join("\n");

/** @throws BakeError BK437 where nobody names a bucket. Pure. */
const bucketOf = (named: string | undefined, target: CatalogContext["target"]): string => {
  const name = named ?? target.bucket;
  if (name !== undefined) return name;
  throw new BakeError(
    "BK437",
    "no bucket is named for the upload",
    "Set targets.huaweicloud.bucket, or give --bucket: one of the image's region. What is uploaded goes again.",
  );
};

const percent = (done: number, all: number): string => `${Math.floor((100 * done) / all)} %`;

/** `bake catalog import`. @returns the exit code. */
export const importFolder = (folder: string, options: ImportOptions): Promise<number> =>
  withCatalog(options, async ({ host, cloud, name, profileTag, target, tell }) => {
    const { record, file, lockDigest } = await readBaked(folder, name);
    const { bakeId, sha256, architecture } = record;
    const { size } = await stat(file);
    const minDisk = requireImportable(file, size, await readQcow2(file));
    const bucket = openBucket(host, cloud.region, bucketOf(options.bucket, target));
    const there = await importedImage(cloud, bakeId);
    // Without its record here an earlier command was cut off, and its upload may be left.
    const isFinished = (await readImported(folder)) === there?.id;
    if (there?.status === "active" && (options.yes !== true || isFinished)) {
      tell(`it is there already: ${there.id}`, { id: there.id, changed: false, bakeId });
      return 0;
    }
    await requireBucket(bucket);
    const system = await requireSystem(cloud, options.osVersion ?? systemFor([target.system, record.base.name]));
    const request: ImportRequest = {
      file,
      size,
      sha256,
      name: target.imageName ?? defaultName(name),
      description: describeImage(`Baked from ${name} in a local VM, imported.`, bakeId, lockDigest),
      tags: imageTags(target.tags, { profile: name, lockDigest }, bakeId),
      system,
      architecture: architecture === "aarch64" ? "aarch64" : "x86_64",
      minDisk,
      enterpriseProject: target.enterpriseProject,
      key: uploadKey(profileTag, bakeId, sha256),
      imageTime: target.imageTimeout * 60_000,
    };
    if (options.yes !== true) {
      tell(
        `an image of bake id ${bakeId} would be made in ${cloud.region}:\n${describe(request, bucket)}\nnothing was changed; add --yes to do it`,
        { id: null, changed: false, bakeId, image: { name: request.name, system, minDisk, size, key: request.key } },
      );
      return 0;
    }
    const { id, outcome, twins } = await host.progress.step("catalog-import", `${bucket.name} gets ${file}`, (update) =>
      importImage(cloud, bucket, host, request, {
        onUpload: (done) => update(`uploaded ${percent(done, size)}`),
        onLook: (seconds) => update(`the cloud makes the image, for ${seconds} s`),
      }),
    );
    const written = await publishImported(folder, {
      record,
      region: cloud.region,
      imageId: id,
      imageName: request.name,
    });
    tell(
      [
        `image ${outcome}: ${id}, in ${cloud.region}`,
        describe(request, bucket),
        `  written      ${written}`,
        "The upload was removed. It was never verified there: make a server from it, check it with bake check --host, and promote it.",
        ...(twins.length === 0
          ? []
          : [`Another import of the same bake made ${twins.join(", ")}: one of these images is enough.`]),
      ].join("\n"),
      { id, changed: true, bakeId, record: written, twins },
    );
    return 0;
  });
