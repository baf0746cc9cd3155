/** Shares an image with other projects, or stops it. */
import * as z from "zod";
import { BakeError } from "../../errors.ts";
import type { Host } from "../../host/host.ts";
import { type Cloud, CloudError } from "../client.ts";
import { waitForJob } from "../job-wait.ts";
import type { CatalogImage } from "./image.ts";
import { type Member, membersOf } from "./look.ts";

/** Projects that an image of a system disk may be shared with (facts: Huawei Cloud, images). */
const mostMembers = 256;

/** Milliseconds. */
const jobTime = 10 * 60_000;

const Started = z.object({ job_id: z.string() });

/** @throws BakeError BK432 for what is no project's ID. Pure. */
export const requireProjects = (projects: readonly string[]): readonly string[] => {
  const wrong = projects.filter((project) => !/^[0-9a-f]{32}$/.test(project));
  if (wrong.length === 0) return [...new Set(projects)];
  throw new BakeError(
    "BK432",
    `no ID of a project: ${wrong.join(", ")}`,
    "It is 32 hex digits, of a project in the same region: who is to use the image finds it in the console under My Credentials.",
  );
};

/** Projects that are still to be shared with, or to be taken from. Pure. @throws BakeError BK432 at the service's limits. */
export const shareChange = (
  image: CatalogImage,
  members: readonly Member[],
  { projects, stop }: { readonly projects: readonly string[]; readonly stop: boolean },
): string[] => {
  const has = members.map(({ project }) => project);
  if (stop) return projects.filter((project) => has.includes(project));
  const added = projects.filter((project) => !has.includes(project));
  if (added.length > 0 && image.encryptedBy === "") {
    throw new BakeError(
      "BK432",
      `image ${image.id} is encrypted by the cloud's own key: it cannot be shared`,
      "Copy it with a key of yours that the other project may use (bake catalog copy --encrypt), and share the copy.",
    );
  }
  if (has.length + added.length > mostMembers) {
    throw new BakeError(
      "BK432",
      `image ${image.id} is shared with ${has.length} projects, and ${added.length} would come: ${mostMembers} are all`,
      "Stop sharing it with some: bake catalog share --stop.",
    );
  }
  return added;
};

/**
 * Shares, or stops it, and waits for the job. What is so already is left as it is, so that it can be called again.
 * @returns members afterwards.
 * @throws BakeError BK432, BK434 when it is not so afterwards; CloudError.
 */
export const share = async (
  cloud: Cloud,
  host: Pick<Host, "now" | "sleep" | "signal">,
  {
    image,
    projects,
    stop,
  }: { readonly image: CatalogImage; readonly projects: readonly string[]; readonly stop: boolean },
): Promise<Member[]> => {
  const before = await membersOf(cloud, image.id);
  const changed = shareChange(image, before, { projects, stop });
  if (changed.length === 0) return before;
  let unknown: CloudError | undefined;
  try {
    const { job_id: job } = await cloud.call(stop ? "removeMembers" : "addMembers", {
      body: { images: [image.id], projects: changed },
      answer: Started,
    });
    await waitForJob(cloud, host, "showImageJob", job, { most: jobTime });
  } catch (error) {
    // Without an answer nobody knows whether it was done; somebody else may have done it. Looking tells.
    const mayBe = error instanceof CloudError && (error.status === undefined || [404, 409].includes(error.status));
    if (!mayBe) throw error;
    unknown = error;
    await host.sleep(settling, host.signal);
  }
  const after = await membersOf(cloud, image.id);
  const left = shareChange(image, after, { projects, stop });
  if (left.length === 0) return after;
  if (unknown !== undefined) throw unknown;
  throw new BakeError(
    "BK434",
    `image ${image.id} ${stop ? "is still shared with" : "is not shared with"} ${left.join(", ")}, though the cloud's job ended well`,
    "Somebody else may be changing it: look at bake catalog show, and try again.",
  );
};

/** Milliseconds after a lost answer until its job may have ended. */
const settling = 15_000;
