/**
 * Copies an image: to another region, or within its own to encrypt it. A copy comes without tags; its description names what it
 * was copied from, so that a copy whose command was cut off is found and finished instead of made again.
 */
import * as z from "zod";
import { BakeError } from "../../errors.ts";
import type { Host } from "../../host/host.ts";
import { type Cloud, CloudError } from "../client.ts";
import { waitForJob } from "../job-wait.ts";
import type { CatalogImage } from "./image.ts";
import { listPrivate } from "./look.ts";
import { writeTags } from "./promote.ts";
import { isMaking, readiest, waitForImage } from "./wait.ts";

/** Of a copy to another region (facts: Huawei Cloud, cross-region copy). */
const largest = 128 * 1024 ** 3;
const mostAtOnce = 5;
const longestDescription = 1024;

/** Milliseconds. */
const jobTime = 3 * 60 * 60_000;

export interface CopyRequest {
  readonly image: CatalogImage;
  /** Where the image is, and where the copy comes to be: the same for an encrypted one. */
  readonly from: Cloud;
  readonly to: Cloud;
  /** Of the other region: its project's name, and the agency that may write there. */
  readonly crossing?: { readonly project: string; readonly agency: string };
  /** The ID of a key. */
  readonly key?: string;
  readonly enterpriseProject?: string;
}

const copyWords = "Copy of ";

/** Whether it is a copy of another image. Pure. */
export const isCopy = ({ description }: Pick<CatalogImage, "description">): boolean =>
  description.startsWith(copyWords);

/** A source's own words: of a copy without what it was copied from, as many such would push the bake id out. Pure. */
const ownWords = ({ description }: CatalogImage): string =>
  description.replace(new RegExp(`^${copyWords}\\S+ in \\S+(?: by key \\S+)?\\. ?`), "");

/** What a copy's description begins with. Pure. */
const markOf = ({ image, from, key }: CopyRequest): string =>
  `${copyWords}${image.id} in ${from.region}${key === undefined ? "" : ` by key ${key}`}.`;

/** Tags of a copy: it is neither promoted nor verified. Pure. */
const tagsOf = ({ tags }: CatalogImage): Record<string, string> =>
  Object.fromEntries(Object.entries(tags).filter(([name]) => name !== "bake-promoted" && name !== "bake-verified"));

/** A copy that is there, or on its way. Pure. */
const copyOf = (images: readonly CatalogImage[], request: CopyRequest): CatalogImage | undefined =>
  readiest(images.filter(({ description }) => description.startsWith(markOf(request))));

const Resources = z.object({
  quotas: z.object({
    resources: z.array(z.object({ type: z.string(), used: z.coerce.number(), quota: z.coerce.number() })),
  }),
});

/** @throws BakeError BK432 at a limit of the service; CloudError. */
const requireLimits = async ({ image, to, crossing }: CopyRequest, there: readonly CatalogImage[]): Promise<void> => {
  const refuse = (message: string, help: string): never => {
    throw new BakeError("BK432", message, help);
  };
  if (crossing !== undefined) {
    if (image.encryptedBy !== undefined)
      refuse(
        `image ${image.id} is encrypted: the cloud copies none such to another region`,
        "Copy the one that it was made from.",
      );
    if ((image.size ?? 0) > largest)
      refuse(
        `image ${image.id} has ${image.size ?? 0} bytes: the cloud copies at most 128 GB to another region`,
        "Bake it there, with a profile for that region.",
      );
    const running = there.filter((each) => isMaking(each) && isCopy(each)).length;
    if (running >= mostAtOnce)
      refuse(
        `${running} copies to ${to.region} are on their way: ${mostAtOnce} are all at a time`,
        "Wait for one of them.",
      );
  }
  const { quotas } = await to.call("imageQuota", { answer: Resources });
  const quota = quotas.resources.find(({ type }) => type === "image");
  if (quota !== undefined && quota.used >= quota.quota)
    refuse(
      `${quota.used} of ${quota.quota} private images of ${to.region} are used`,
      "Remove some, or ask for more in the console.",
    );
};

export interface Copied {
  readonly id: string;
  /** `made` now, `finished` where an earlier command was cut off, or there already. */
  readonly outcome: "made" | "finished" | "there already";
}

/**
 * What a copy would come to, without making it.
 * @returns the copy that is there or on its way; undefined when one would be made.
 * @throws BakeError BK432 at a limit of the service; CloudError.
 */
export const lookForCopy = async (request: CopyRequest): Promise<CatalogImage | undefined> => {
  const there = await listPrivate(request.to);
  const earlier = copyOf(there, request);
  if (earlier === undefined) await requireLimits(request, there);
  return earlier;
};

/** Whether a copy carries all the tags that it should. Pure. */
const isTagged = (copy: CatalogImage, source: CatalogImage): boolean =>
  Object.entries(tagsOf(source)).every(([name, value]) => copy.tags[name] === value);

/** @throws CloudError, also BK423 when nobody knows whether the copy was started. */
const start = async (request: CopyRequest): Promise<string> => {
  const { image, from, crossing, key, enterpriseProject } = request;
  const common = {
    name: image.name,
    description: `${markOf(request)} ${ownWords(image)}`.trim().slice(0, longestDescription),
  };
  const Started = z.object({ job_id: z.string() });
  const { job_id: job } =
    crossing === undefined
      ? await from.call("copyImage", {
          parameters: { image_id: image.id },
          body: {
            ...common,
            ...(key !== undefined && { cmk_id: key }),
            ...(enterpriseProject !== undefined && { enterprise_project_id: enterpriseProject }),
          },
          answer: Started,
        })
      : await from.call("copyImageToRegion", {
          parameters: { image_id: image.id },
          body: { ...common, region: request.to.region, project_name: crossing.project, agency_name: crossing.agency },
          answer: Started,
        });
  return job;
};

/**
 * Copies, waits, and gives the copy its tags. Called again it goes on where it was cut off.
 * @throws BakeError BK432 at a limit of the service, BK431 when the copy does not become active; CloudError, BK433 among them.
 */
export const copyImage = async (
  host: Pick<Host, "now" | "sleep" | "signal">,
  request: CopyRequest,
  onLook: (seconds: number) => void = () => undefined,
): Promise<Copied> => {
  const { image, from, to } = request;
  const earlier = await lookForCopy(request);
  if (earlier?.status === "active" && isTagged(earlier, image)) return { id: earlier.id, outcome: "there already" };
  if (earlier === undefined) {
    let lost: CloudError | undefined;
    try {
      const job = await start(request);
      await waitForJob(from, host, "showImageJob", job, { most: jobTime, onLook });
    } catch (error) {
      // Without an answer nobody knows whether it was started: looking tells.
      if (!(error instanceof CloudError) || error.status !== undefined) throw error;
      lost = error;
    }
    if (lost !== undefined && copyOf(await listPrivate(to), request) === undefined) throw lost;
  }
  const copy = await waitForImage(host, {
    look: async () => copyOf(await listPrivate(to), request),
    most: jobTime,
    gone: () =>
      new BakeError(
        "BK431",
        `the copy of ${image.id} in ${to.region} has gone`,
        "Look into the cloud's list of private images.",
      ),
    late: ({ id, status }) =>
      new BakeError(
        "BK431",
        `the copy ${id} is ${status} after three hours`,
        "It goes on in the cloud: the same command finishes it later.",
      ),
    onLook,
  });
  await writeTags(to, copy.id, tagsOf(image));
  return { id: copy.id, outcome: earlier === undefined ? "made" : "finished" };
};
