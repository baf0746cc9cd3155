/** What is kept of an image that was baked in Huawei Cloud, and what the cloud itself knows of it. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import type { Cloud } from "../huaweicloud/client.ts";
import type { HuaweiCloudTarget } from "../node/target.ts";
import { recordParts } from "./image-record.ts";

const CloudImageRecord = z.strictObject({
  bakeId: z.string(),
  profile: z.string(),
  target: z.literal("huaweicloud"),
  architecture: z.string(),
  region: z.string(),
  /** Of the server that built it; the image is the region's. */
  zone: z.string().optional(),
  imageId: z.string(),
  imageName: z.string(),
  sourceImage: z.string(),
  /** The bake did not come to its end after the image was there: what it made besides may be left. */
  interrupted: z.literal(true).optional(),
  ...recordParts,
});
export type CloudImageRecord = z.infer<typeof CloudImageRecord>;

/** The record of the image that was baked last; undefined when there is none, or it was baked from other inputs. */
export const recordedCloudImage = async (folder: string, bakeId: string): Promise<CloudImageRecord | undefined> => {
  try {
    const record = CloudImageRecord.parse(JSON.parse(await readFile(join(folder, "image.json"), "utf8")));
    return record.bakeId === bakeId ? record : undefined;
  } catch {
    return undefined;
  }
};

const Image = z.object({
  id: z.string(),
  name: z.string(),
  status: z.string(),
  created_at: z.string().optional(),
  tags: z.array(z.string()).default([]),
  __description: z.string().nullish(),
});
const Images = z.object({ images: z.array(Image) });
export type BakedImage = z.infer<typeof Image>;

/** Ways an image goes; others are ends. */
const underWay = ["queued", "saving"];

/**
 * Images of a bake id: active ones, the oldest first, and those that are being made.
 * @throws CloudError
 */
export const imagesOfBake = async (
  cloud: Cloud,
  bakeId: string,
  { enterpriseProject }: Pick<HuaweiCloudTarget, "enterpriseProject">,
): Promise<{ readonly active: readonly BakedImage[]; readonly underWay: readonly BakedImage[] }> => {
  const { images } = await cloud.call("listImages", {
    query: {
      tag: `bake-id=${bakeId}`,
      __imagetype: "private",
      ...(enterpriseProject !== undefined && { enterprise_project_id: enterpriseProject }),
    },
    answer: Images,
  });
  // Were the filter not obeyed, any image would be ours.
  const ours = images.filter(
    ({ tags, __description: description }) =>
      tags.some((tag) => tag.endsWith(bakeId)) || description?.includes(bakeId) === true,
  );
  return {
    active: ours
      .filter(({ status }) => status === "active")
      .toSorted((a, b) => (a.created_at ?? "").localeCompare(b.created_at ?? "") || a.id.localeCompare(b.id)),
    underWay: ours.filter(({ status }) => underWay.includes(status)),
  };
};
