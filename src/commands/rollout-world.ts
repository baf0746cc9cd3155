/** The real ends of a rollout: the cloud's movers, its catalogue, and Buildkite; and the nodes that a user means. */
import { hostname } from "node:os";
import { openCloud } from "../bake/cloud-project.ts";
import { makeAgents } from "../buildkite/client.ts";
import { buildkiteSettings } from "../buildkite/endpoints.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { findImage, listCatalog, listPrivate } from "../huaweicloud/catalog/look.ts";
import type { Cloud } from "../huaweicloud/client.ts";
import { type GroupName, listGroups } from "../huaweicloud/scaling.ts";
import type { Profile } from "../profile/schema.ts";
import { makeBmsMover } from "../rollout/movers/bms.ts";
import { makeEcsMover } from "../rollout/movers/ecs.ts";
import { makeLiteServerMover } from "../rollout/movers/lite-server.ts";
import { makeMemberMover, makeScalingGroup } from "../rollout/movers/scaling.ts";
import type { Mover, SeenNode } from "../rollout/ports.ts";
import { type KnownImage, lookAround, type World } from "../rollout/run.ts";
import type { Look } from "../rollout/look.ts";
import type { RolloutState } from "../rollout/state.ts";
import type { Self } from "../rollout/waves.ts";
import { makeHttp } from "../store/http.ts";
import { requireCloudTarget, tagValue } from "../targets/huaweicloud.ts";
import { goldenUserData } from "./node-user-data.ts";
import { readAsked } from "./planned.ts";
import { type ProfileFile, readProfileFile, requireProfile } from "./profile-file.ts";

/** Milliseconds without an answer of Buildkite. */
const stall = 20_000;

export interface RolloutContext {
  readonly host: Host;
  readonly file: ProfileFile;
  readonly profile: Profile;
  readonly cloud: Cloud;
  readonly world: World;
  readonly self: Self;
}

/** What of the command line says which nodes, and how. */
export interface WorldOptions {
  readonly profile: string;
  readonly region?: string;
  readonly keepUserData?: boolean;
  /** Of the nodes. */
  readonly kind?: "ecs" | "lite-server" | "bms";
  readonly keyPair?: string;
  readonly keyUser?: string;
}

/** @throws BakeError BK701 where the kind wants more than was said. */
const moverOf = (cloud: Cloud, host: Host, { kind = "ecs", keyPair, keyUser: userId }: WorldOptions): Mover => {
  if (kind === "ecs") return makeEcsMover(cloud, host);
  if (keyPair === undefined || (kind === "bms" && userId === undefined)) {
    throw new BakeError(
      "BK701",
      `a change of nodes of the kind ${kind} wants ${kind === "bms" ? "a key pair and its user" : "a key pair"}`,
      `The cloud takes no change there without: --key-pair NAME${kind === "bms" ? " --key-user ID" : ""}.`,
    );
  }
  return kind === "bms"
    ? makeBmsMover(cloud, host, { keyPair, userId: userId ?? "" })
    : makeLiteServerMover(cloud, host, { keyPair });
};

/**
 * Opens cloud and Buildkite for a profile.
 * @returns undefined after the profile's problems were printed.
 * @throws BakeError BK413 for a profile without the target, BK440 without Buildkite's variables, BK601 for secrets that cannot be had.
 */
export const openRollout = async (host: Host, options: WorldOptions): Promise<RolloutContext | undefined> => {
  const { profile: name, region, keepUserData } = options;
  const file = await readProfileFile(name);
  const profile = requireProfile(file);
  if (profile === undefined) return undefined;
  const target = requireCloudTarget(
    profile,
    file.file,
    "Nodes are rolled out in the cloud: it needs the target's region.",
  );
  const settings = buildkiteSettings(host.env);
  const asked = keepUserData === true ? undefined : await readAsked({ profile: name });
  // Secrets that cannot be had are told before anything is changed.
  const golden = asked === undefined ? undefined : await goldenUserData(asked);
  if (keepUserData !== true && golden === undefined) return undefined;
  for (const warning of golden?.warnings ?? []) host.progress.note(`warning: ${warning}`);
  const where = region ?? target.region;
  const cloud = await openCloud(host, { region: where, home: where === target.region });
  // Of all queues: agents of an older image may serve another one than the profile says now, and their jobs count as well.
  const agents = makeAgents(makeHttp({ env: host.env, stall }), host, settings);
  return {
    host,
    file,
    profile,
    cloud,
    world: {
      movers: [moverOf(cloud, host, options)],
      agents,
      images: async () =>
        (await listPrivate(cloud)).map(
          ({ id, bakeId, status }): KnownImage => ({ id, bakeId, usable: status === "active" }),
        ),
      userData: async (node) => golden?.write(node?.hostname),
    },
    self: {
      agentId: host.env["BUILDKITE_AGENT_ID"],
      agentName: host.env["BUILDKITE_AGENT_NAME"],
      hostname: hostname(),
    },
  };
};

/** The same for an AS group. */
export const withGroup = (context: RolloutContext, { id }: GroupName): RolloutContext => ({
  ...context,
  world: {
    ...context.world,
    movers: [makeMemberMover(context.cloud)],
    group: makeScalingGroup(context.cloud, context.host, id),
  },
});

/** As a rollout that was begun needs it. */
export const contextOf = (context: RolloutContext, { begun }: RolloutState): RolloutContext =>
  begun.group === undefined ? context : withGroup(context, begun.group);

/**
 * The AS group that a user means: by its name or ID, where no server is called so.
 * @throws BakeError BK701 for a name that several have.
 */
export const groupMeant = async (
  { cloud, world }: RolloutContext,
  seen: Look,
  to: string,
): Promise<GroupName | undefined> => {
  const isNode = [...seen.nodes.values()].some(({ id, name }) => id === to || name === to);
  if (isNode || /[=,]/.test(to) || !world.movers.some(({ kind }) => kind === "ecs")) return undefined;
  const found = (await listGroups(cloud)).filter(({ id, name }) => id === to || name === to);
  if (found.length < 2) return found[0];
  throw new BakeError(
    "BK701",
    `several AS groups are called ${to}: ${found.map(({ id }) => id).join(", ")}`,
    "Name one by its ID.",
  );
};

/** All nodes and agents, and the AS group, once. @throws BakeError of the API that does not answer. */
export const look = ({ world, host }: Pick<RolloutContext, "world" | "host">): Promise<Look> => lookAround(world, host);

/** The image that a user means. @throws BakeError BK430 */
export const imageOf = async ({ cloud, file }: RolloutContext, wanted: string): Promise<string> =>
  findImage(await listCatalog(cloud, tagValue(file.name)), wanted, file.name).image.id;

const tagForm = /^([^=,\s]+)=([^,\s]*)$/;

/**
 * The nodes that a user means: by a tag, `TAG=VALUE`, or by their names or IDs, with commas.
 * @throws BakeError BK701 for names that the cloud does not list, or lists twice.
 */
export const nodesOf = (seen: Look, to: string): SeenNode[] => {
  const [, tag, value] = tagForm.exec(to) ?? [];
  if (tag !== undefined) return [...seen.nodes.values()].filter(({ tags }) => tags[tag] === value);
  const names = [
    ...new Set(
      to
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== ""),
    ),
  ];
  const found = names.map((name) => {
    const all = [...seen.nodes.values()];
    const those = all.filter((node) => node.id === name || node.name === name);
    return { name, those: those.length > 0 ? those : all.filter(({ group }) => group?.name === name) };
  });
  const missing = found.filter(({ those }) => those.length === 0).map(({ name }) => name);
  const double = found.filter(({ name, those }) => those.length > 1 && those.some((node) => node.name === name));
  if (missing.length > 0) {
    throw new BakeError(
      "BK701",
      `the cloud lists no server ${missing.slice(0, 5).join(", ")}${missing.length > 5 ? ` and ${missing.length - 5} more` : ""}`,
      "Servers are named by name or ID, with commas, or by a tag: --to TAG=VALUE; an AS group by its name or ID alone.",
    );
  }
  if (double.length > 0) {
    throw new BakeError(
      "BK701",
      `several servers are called ${double.map(({ name }) => name).join(", ")}`,
      "Name them by their IDs.",
    );
  }
  return [...new Map(found.flatMap(({ those }) => those).map((node) => [node.id, node])).values()];
};
