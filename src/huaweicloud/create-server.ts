/** Makes one server, and the same request sent again makes no second one. */
import * as z from "zod";
import { BakeError } from "../errors.ts";
import { uuidOf } from "../formats/uuid.ts";
import type { Host } from "../host/host.ts";
import { type Cloud, CloudError } from "./client.ts";
import { describeJob, readJob, serversOf } from "./job.ts";
import { waitForJob } from "./job-wait.ts";
import { type CloudNode, listNodes } from "./nodes.ts";

export interface WantedServer {
  readonly name: string;
  /** ID. */
  readonly image: string;
  readonly flavor: string;
  /** Undefined: the cloud chooses. */
  readonly zone: string | undefined;
  readonly vpc: string;
  readonly subnet: string;
  readonly securityGroup: string;
  /** GiB. */
  readonly systemDisk: { readonly size: number; readonly type: string };
  /** GiB each. */
  readonly dataDisks: readonly { readonly size: number; readonly type: string }[];
  readonly keyPair: string | undefined;
  /** IAM agency whose credentials the server gets: CSMS gives the token to it. */
  readonly agency: string | undefined;
  readonly enterpriseProject: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

/** What the API is asked for. @param userData In base64. Pure. */
const serverRequest = (wanted: WantedServer, userData?: string): object => ({
  name: wanted.name,
  imageRef: wanted.image,
  flavorRef: wanted.flavor,
  vpcid: wanted.vpc,
  nics: [{ subnet_id: wanted.subnet }],
  security_groups: [{ id: wanted.securityGroup }],
  count: 1,
  root_volume: { volumetype: wanted.systemDisk.type, size: wanted.systemDisk.size },
  ...(wanted.dataDisks.length > 0 && {
    data_volumes: wanted.dataDisks.map(({ size, type }) => ({ volumetype: type, size })),
  }),
  ...(wanted.zone !== undefined && { availability_zone: wanted.zone }),
  ...(wanted.keyPair !== undefined && { key_name: wanted.keyPair }),
  ...(userData !== undefined && { user_data: userData }),
  ...(wanted.agency !== undefined && { metadata: { agency_name: wanted.agency } }),
  extendparam: {
    chargingMode: 0,
    ...(wanted.enterpriseProject !== undefined && { enterprise_project_id: wanted.enterpriseProject }),
  },
  server_tags: Object.entries(wanted.tags).map(([key, value]) => ({ key, value })),
});

/**
 * A UUID of what is asked for: the cloud makes one server of one token within eight hours.
 * @param generation Counts up when the server of an earlier token came to nothing, or was removed since. Pure.
 */
const tokenOf = (region: string, request: object, generation: number): string =>
  uuidOf(JSON.stringify([region, generation, request]), 4);

/** The server of this name, when it is the one that is wanted already. @throws BakeError BK454 for another one. Pure. */
export const sameServer = (found: readonly CloudNode[], { name, image, tags }: WantedServer): CloudNode | undefined => {
  const named = found.filter((node) => node.name === name);
  const [first, ...more] = named;
  if (first === undefined) return undefined;
  const profile = tags["bake-profile"];
  if (more.length === 0 && first.image === image && first.tags["bake-profile"] === profile) return first;
  const what =
    more.length > 0
      ? `there are ${named.length} servers ${name} already: ${named.map(({ id }) => id).join(", ")}`
      : first.tags["bake-profile"] === profile
        ? `the server ${name} (${first.id}) is there already, made from ${first.image ?? "an image that the cloud does not say"}`
        : `a server ${name} (${first.id}) is there already, and it is not one of this profile`;
  throw new BakeError(
    "BK454",
    what,
    "Take another name. A server of this profile gets another image by bake rollout; nothing was made.",
  );
};

/** Asks the cloud whether it would take this server. It makes nothing, and is not sent the user-data. @throws CloudError */
export const tryServer = async (cloud: Cloud, wanted: WantedServer): Promise<void> => {
  await cloud.call("tryServer", { body: { dry_run: true, server: serverRequest(wanted) }, answer: z.unknown() });
};

const Started = z.object({ job_id: z.string() });

/** Milliseconds that a server may take to be made. */
const creationTime = 20 * 60_000;

/** Milliseconds between two looks at a server that somebody else has the job of. */
const pause = 10_000;

/** Tokens that came to nothing within eight hours; more of them are no chance. */
const mostGenerations = 8;

const named = async (cloud: Cloud, name: string): Promise<CloudNode[]> =>
  (await listNodes(cloud, { name })).filter((node) => node.name === name);

/** Waits for a server that an earlier command has begun to make. @throws BakeError BK456; CloudError */
export const waitUntilActive = async (
  cloud: Cloud,
  host: Pick<Host, "now" | "sleep" | "signal">,
  { id, name }: Pick<CloudNode, "id" | "name">,
): Promise<void> => {
  for (const until = host.now() + creationTime; ; ) {
    const power = (await named(cloud, name)).find((node) => node.id === id)?.power;
    if (power !== undefined && power !== "building") return;
    if (power === undefined || host.now() > until) {
      throw new BakeError(
        "BK456",
        power === undefined ? `the server ${name} (${id}) has gone` : `the server ${name} (${id}) does not start`,
        power === undefined
          ? "The cloud could not make it and took it back, or somebody removed it: try again."
          : "It goes on in the cloud: look into the console.",
      );
    }
    await host.sleep(pause, host.signal);
  }
};

/**
 * Makes the server and waits until it runs. An answer that is lost is asked for again by the same token, also by the same command
 * run once more.
 * @param userData In base64; it may hold secrets, and goes to the cloud alone.
 * @returns the server's ID.
 * @throws CloudError, BK433 when the cloud could not make it; BakeError BK456 when nobody knows which server came of it.
 */
export const createServer = async (
  cloud: Cloud,
  host: Pick<Host, "now" | "sleep" | "signal">,
  wanted: WantedServer,
  userData: string,
): Promise<string> => {
  const request = serverRequest(wanted, userData);
  for (let generation = 0; ; generation += 1) {
    let job: string;
    try {
      const clientToken = tokenOf(cloud.region, request, generation);
      const started = await cloud.call("createServer", { body: { server: request }, clientToken, answer: Started });
      job = started.job_id;
    } catch (error) {
      // A token older than eight hours: what it made is gone, or it would have been found by its name.
      if (error instanceof CloudError && error.reason.code === "Ecs.0124" && generation < mostGenerations) continue;
      throw error;
    }
    const first = await readJob(cloud, "ecs", job);
    if (first.status !== "SUCCESS" && first.status !== "FAIL") {
      await waitForJob(cloud, host, "showJob", job, { most: creationTime });
    }
    const last = first.status === "SUCCESS" || first.status === "FAIL" ? first : await readJob(cloud, "ecs", job);
    const [id] = serversOf(last);
    const isThere = id !== undefined && (await named(cloud, wanted.name)).some((node) => node.id === id);
    if (last.status === "SUCCESS" && isThere) return id;
    // The job of an earlier command, whose server came to nothing or was removed since: the token is used up.
    if (last === first && generation < mostGenerations) continue;
    throw new BakeError(
      last.status === "FAIL" ? "BK433" : "BK456",
      last.status === "FAIL"
        ? describeJob(job, last).join("\n")
        : `the cloud's job ${job} ended, and no server came of it`,
      "Look into the console, and try again.",
    );
  }
};
