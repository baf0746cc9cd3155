/** Bare metal servers: stopped first, then given another system. They start by themselves. */
import * as z from "zod";
import { BakeError } from "../../errors.ts";
import type { Host } from "../../host/host.ts";
import { encodedUserData, jobState } from "../../huaweicloud/change-os.ts";
import type { Cloud } from "../../huaweicloud/client.ts";
import { waitForJob } from "../../huaweicloud/job-wait.ts";
import { type CloudNode, holdServer, listNodes, releaseServer } from "../../huaweicloud/nodes.ts";
import type { Mover } from "../ports.ts";
import { seenNode } from "./seen-node.ts";

/** What the service wants of whoever logs in; user-data alone is not enough there. */
export interface MetalLogin {
  /** Name of a key pair of the cloud. */
  readonly keyPair: string;
  /** ID of the IAM user whose key pair it is. */
  readonly userId: string;
}

const Stopping = z.object({ job_id: z.string() });
const Started = z.object({ jobId: z.string() });

/** Milliseconds that a server may take to stop; its firmware takes its time. */
const stopTime = 20 * 60_000;

/**
 * The mover of bare metal servers.
 * @returns a mover whose `change` waits until the server has stopped. It throws BakeError BK450 for a server that is gone.
 */
export const makeBmsMover = (
  cloud: Cloud,
  host: Pick<Host, "now" | "sleep" | "signal">,
  { keyPair, userId }: MetalLogin,
): Mover => {
  const find = async (id: string): Promise<CloudNode> => {
    const server = (await listNodes(cloud, {}, "listBareMetal")).find((node) => node.id === id);
    if (server !== undefined) return server;
    throw new BakeError("BK450", `bare metal server ${id} is not there any more`, "Somebody removed it: plan again.");
  };
  const stop = async (id: string): Promise<void> => {
    const body = { "os-stop": { type: "SOFT", servers: [{ id }] } };
    const { job_id: job } = await cloud.call("stopBareMetal", { body, answer: Stopping });
    await waitForJob(cloud, host, "showBareMetalJob", job, { most: stopTime });
  };
  return {
    kind: "bms",
    look: async () => (await listNodes(cloud, {}, "listBareMetal")).map((node) => seenNode(node, "bms", undefined)),
    hold: (node, rollout) => holdServer(cloud, node, rollout, "changeBareMetalTags"),
    release: (node, rollout) => releaseServer(cloud, node, rollout, "changeBareMetalTags"),
    change: async (node, { image, userData }) => {
      const metadata = userData === undefined ? {} : { metadata: { user_data: encodedUserData(userData) } };
      if ((await find(node)).power !== "stopped") await stop(node);
      const { jobId: job } = await cloud.call("changeBareMetalSystem", {
        parameters: { server_id: node },
        body: { "os-change": { imageid: image, keyname: keyPair, userid: userId, ...metadata } },
        answer: Started,
      });
      return { job };
    },
    changeState: async (_, job) =>
      job === undefined ? { state: "unknown", reason: "no job is known" } : jobState(cloud, job, "bms"),
  };
};
