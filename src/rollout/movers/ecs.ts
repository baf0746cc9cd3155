/** Servers of ECS: they get another image by a change of their system, and keep their data disks and addresses. */
import { BakeError } from "../../errors.ts";
import type { Host } from "../../host/host.ts";
import { changeSystem, encodedUserData, jobState } from "../../huaweicloud/change-os.ts";
import type { Cloud } from "../../huaweicloud/client.ts";
import { type CloudNode, holdServer, listNodes, releaseServer } from "../../huaweicloud/nodes.ts";
import { type GroupName, groupsOfServers } from "../../huaweicloud/scaling.ts";
import type { Mover, SeenNode } from "../ports.ts";
import { seenNode } from "./seen-node.ts";

/** Milliseconds after which members of AS groups are asked for again: people add servers to groups by hand too. */
const membersAge = 15 * 60_000;

interface Members {
  readonly of: ReadonlyMap<string, GroupName>;
  /** When they were asked for. */
  readonly at: number;
  /** Servers that there were then: a new one may be some group's. */
  readonly known: ReadonlySet<string>;
}

/**
 * The mover of ECS. It remembers what it saw last: who is a member of an AS group, and how each server is paid for.
 * @returns a mover whose `change` throws BakeError BK451 for a member of an AS group, BK452 for a server that cannot be changed, and
 * BK453 for user-data that is too long, all before anything was sent.
 */
export const makeEcsMover = (cloud: Cloud, { now }: Pick<Host, "now">): Mover => {
  let members: Members | undefined;
  let nodes: ReadonlyMap<string, CloudNode> = new Map();

  const look = async (): Promise<SeenNode[]> => {
    const found = await listNodes(cloud);
    nodes = new Map(found.map((node) => [node.id, node]));
    const last = members;
    if (last === undefined || now() - last.at > membersAge || found.some(({ id }) => !last.known.has(id))) {
      members = { of: await groupsOfServers(cloud), at: now(), known: new Set(nodes.keys()) };
    }
    const groups = members?.of ?? new Map<string, GroupName>();
    return found.map((node) => seenNode(node, "ecs", groups.get(node.id)));
  };

  return {
    kind: "ecs",
    look,
    hold: (node, rollout) => holdServer(cloud, node, rollout),
    release: (node, rollout) => releaseServer(cloud, node, rollout),
    change: async (node, { image, userData }) => {
      const encoded = userData === undefined ? undefined : encodedUserData(userData);
      if (!nodes.has(node)) await look();
      const server = nodes.get(node);
      if (server === undefined) {
        throw new BakeError("BK450", `server ${node} is not there any more`, "Somebody removed it: plan again.");
      }
      const group = members?.of.get(node);
      if (group !== undefined) {
        throw new BakeError(
          "BK451",
          `${server.name} (${node}) is a member of the AS group ${group.name}: AS deletes members that are stopped`,
          "Give the group a configuration with the new image, and let it replace its members.",
        );
      }
      return { job: await changeSystem(cloud, server, { image, userData: encoded }) };
    },
    changeState: async (_, job) =>
      job === undefined ? { state: "unknown", reason: "no job is known" } : jobState(cloud, job),
  };
};
