/** All servers of the project, as a rollout has to know them, in one list call a thousand; and the tag that a rollout holds one by. */
import * as z from "zod";
import { type Cloud, CloudError } from "./client.ts";

const OrNothing = z.string().nullish();

/** User-data, which the service answers too, is let go at once. */
const Servers = z.object({
  count: z.number().nullish(),
  servers: z.array(
    z.object({
      id: z.string(),
      name: z.string().default(""),
      status: OrNothing,
      // A server of a disk has a text, empty, in its place.
      image: z.union([z.object({ id: OrNothing }), z.string()]).nullish(),
      metadata: z.record(z.string(), z.unknown()).nullish(),
      "OS-EXT-STS:task_state": OrNothing,
      "OS-EXT-SRV-ATTR:hostname": OrNothing,
      // `name=value` each; objects in some regions (facts: Huawei Cloud, tags).
      tags: z.array(z.union([z.string(), z.object({ key: z.string(), value: OrNothing })])).nullish(),
    }),
  ),
});
type Listed = z.infer<typeof Servers>["servers"][number];

/** How a server is paid for, by its metadata's `charging_mode`. */
type Charging = "by use" | "in advance" | "spot" | "unknown";

export interface CloudNode {
  readonly id: string;
  readonly name: string;
  /** The first label, in small letters. */
  readonly hostname: string;
  readonly image: string | undefined;
  readonly power: "active" | "building" | "stopped" | "error" | "unknown";
  readonly task: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly charging: Charging;
}

const known = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

/** Pure. */
const tagsOf = (tags: Listed["tags"]): Record<string, string> => {
  const pairs = (tags ?? []).map((tag): [string, string] => {
    if (typeof tag !== "string") return [tag.key, tag.value ?? ""];
    const at = tag.indexOf("=");
    return at < 0 ? [tag, ""] : [tag.slice(0, at), tag.slice(at + 1)];
  });
  return Object.fromEntries(pairs);
};

const powers: Readonly<Record<string, CloudNode["power"]>> = {
  ACTIVE: "active",
  BUILD: "building",
  REBUILD: "building",
  REBOOT: "building",
  HARD_REBOOT: "building",
  RESIZE: "building",
  VERIFY_RESIZE: "building",
  MIGRATING: "building",
  SHUTOFF: "stopped",
  ERROR: "error",
};

const chargings: Readonly<Record<string, Charging>> = { 0: "by use", 1: "in advance", 2: "spot" };

/** The first label of a host name, in small letters: so agents say it. Pure. */
export const hostLabel = (name: string): string => (name.split(".")[0] ?? "").toLowerCase();

/** Pure. */
const nodeOf = (server: Listed): CloudNode => ({
  id: server.id,
  name: server.name,
  hostname: hostLabel(known(server["OS-EXT-SRV-ATTR:hostname"]) ?? server.name),
  image:
    known(typeof server.image === "object" ? server.image?.id : server.image) ??
    known(server.metadata?.["metering.image_id"]),
  power: powers[server.status ?? ""] ?? "unknown",
  task: known(server["OS-EXT-STS:task_state"]),
  tags: tagsOf(server.tags),
  charging: chargings[known(server.metadata?.["charging_mode"]) ?? ""] ?? "unknown",
});

/** What is gone, or going for good, is no node. */
const gone = ["DELETED", "SOFT_DELETED"];

const pageSize = 1000;

/**
 * Every server, page by page: one call a thousand.
 * @param only `name`: of those alone that have this anywhere in theirs.
 * @param call Whose servers.
 * @throws CloudError
 */
export const listNodes = async (
  cloud: Cloud,
  only: { readonly name?: string } = {},
  call: "listServers" | "listBareMetal" = "listServers",
): Promise<CloudNode[]> => {
  const all = new Map<string, CloudNode>();
  // Pages are counted from 1.
  for (let page = 1, seen = 0; ; page += 1) {
    const { count, servers } = await cloud.call(call, {
      query: { ...only, limit: pageSize, offset: page },
      answer: Servers,
    });
    const before = all.size;
    for (const server of servers) {
      if (!gone.includes(server.status ?? "")) all.set(server.id, nodeOf(server));
    }
    seen += servers.length;
    const isLast = servers.length < pageSize || seen >= (count ?? Number.POSITIVE_INFINITY);
    if (isLast || all.size === before) return [...all.values()];
  }
};

/** The tag that says which rollout a server is in. */
export const holdTag = "bake-rollout";

type TagsCall = "changeServerTags" | "changeBareMetalTags";

const changeHold = (
  cloud: Cloud,
  call: TagsCall,
  id: string,
  change: { readonly action: "create" | "delete"; readonly rollout: string },
): Promise<unknown> =>
  cloud.call(call, {
    parameters: { server_id: id },
    body: { action: change.action, tags: [{ key: holdTag, value: change.rollout }] },
    answer: z.unknown(),
  });

/** Writes the tag, over another rollout's: who holds is seen by the next look. @throws CloudError */
export const holdServer = async (
  cloud: Cloud,
  id: string,
  rollout: string,
  call: TagsCall = "changeServerTags",
): Promise<void> => {
  await changeHold(cloud, call, id, { action: "create", rollout });
};

/** Takes the tag off where it names this rollout; a server that is gone has none. @throws CloudError */
export const releaseServer = async (
  cloud: Cloud,
  id: string,
  rollout: string,
  call: TagsCall = "changeServerTags",
): Promise<void> => {
  try {
    await changeHold(cloud, call, id, { action: "delete", rollout });
  } catch (error) {
    if (!(error instanceof CloudError) || error.status !== 404) throw error;
  }
};
