/** Gives a server the system of another image. The call has no client token: it is sent once, and never again without a look. */
import * as z from "zod";
import { BakeError } from "../errors.ts";
import { userDataLimit } from "../profile/user-data-limit.ts";
import { inForm, sizes } from "../render/user-data-forms.ts";
import { type Cloud, CloudError } from "./client.ts";
import { describeJob, readJob } from "./job.ts";
import type { CloudNode } from "./nodes.ts";

const Started = z.object({ job_id: z.string() });
const Server = z.object({ server: z.object({ "OS-EXT-SRV-ATTR:user_data": z.string().nullish() }) });

/** User-data as the API takes it: gzip, in base64. @throws BakeError BK453 when it is longer than the cloud takes. Pure. */
export const encodedUserData = (text: string): string => {
  const { compressed } = sizes(text);
  if (compressed > userDataLimit) {
    throw new BakeError(
      "BK453",
      `user-data has ${compressed} bytes as gzip, Huawei Cloud takes ${userDataLimit}`,
      "Fewer or shorter ssh keys make it smaller.",
    );
  }
  return inForm(text, "base64").toString("ascii").trim();
};

/** What the server was made with, in base64: it goes back to the cloud, and nowhere else. */
const ownUserData = async (cloud: Cloud, id: string): Promise<string> => {
  const { server } = await cloud.call("showServer", { parameters: { server_id: id }, answer: Server });
  const found = server["OS-EXT-SRV-ATTR:user_data"] ?? "";
  if (found !== "") return found;
  throw new BakeError(
    "BK452",
    `server ${id} has no user-data, and its system cannot be changed without some`,
    "Give it some by bake rollout, which attaches the profile's.",
  );
};

/** @throws BakeError BK452 for a server whose system the cloud does not change. Pure. */
const requireChangeable = ({ id, name, charging }: CloudNode): void => {
  if (charging !== "spot") return;
  throw new BakeError(
    "BK452",
    `${name} (${id}) is a spot server: the cloud does not change its system`,
    "Make a new one by bake ecs create, and remove this one.",
  );
};

/**
 * Sends the change. The cloud stops the server, gives it a new system disk, and starts it; data disks and addresses stay.
 * @param userData In base64; undefined to send what it has: without key pair and password the cloud wants some.
 * @returns the job.
 * @throws CloudError, BK423 when nobody knows whether it was done; BakeError BK452 before anything is sent.
 */
export const changeSystem = async (
  cloud: Cloud,
  node: CloudNode,
  { image, userData }: { readonly image: string; readonly userData: string | undefined },
): Promise<string> => {
  requireChangeable(node);
  const { job_id: job } = await cloud.call("changeServerSystem", {
    parameters: { server_id: node.id },
    body: {
      "os-change": {
        imageid: image,
        mode: "withStopServer",
        metadata: { user_data: userData ?? (await ownUserData(cloud, node.id)) },
        // Else the order waits until somebody pays it, and nothing happens.
        ...(node.charging === "in advance" && { isAutoPay: "true" }),
      },
    },
    answer: Started,
  });
  return job;
};

/** What became of a job of servers. `reason` has the cloud's words. */
export interface JobState {
  readonly state: "running" | "done" | "failed" | "unknown";
  readonly reason?: string;
}

/** Looks at a job once; one that the cloud does not know (any more) is unknown. @throws CloudError */
export const jobState = async (cloud: Cloud, id: string, service: "ecs" | "bms" = "ecs"): Promise<JobState> => {
  try {
    const job = await readJob(cloud, service, id);
    if (job.status === "SUCCESS") return { state: "done" };
    if (job.status !== "FAIL") return { state: "running" };
    return { state: "failed", reason: describeJob(id, job).join("\n") };
  } catch (error) {
    if (!(error instanceof CloudError) || error.status !== 404) throw error;
    return { state: "unknown", reason: `the cloud does not know the job ${id}` };
  }
};
