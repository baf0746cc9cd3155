/** One look at all nodes and all agents, and what it says of a node. Pure. */
import { hostLabel } from "../huaweicloud/nodes.ts";
import type { ScalingPolicy, SeenAgent, SeenGroup, SeenNode } from "./ports.ts";

/** What is asked only before a wave begins. */
interface Extras {
  /** IDs of frozen images that are not there any more. */
  readonly missing: readonly string[];
  /** Keys of queues that a person paused. */
  readonly pausedQueues: readonly string[];
}

/** An AS group, and what scales it by itself. */
export interface LookedGroup {
  readonly seen: SeenGroup;
  readonly policies: readonly ScalingPolicy[];
}

export interface Look {
  /** When it began, in milliseconds by the journal's clock. */
  readonly at: number;
  readonly nodes: ReadonlyMap<string, SeenNode>;
  /** By host name. */
  readonly agents: ReadonlyMap<string, readonly SeenAgent[]>;
  readonly extras: Extras | undefined;
  /** The AS group that is rolled out. */
  readonly group: LookedGroup | undefined;
}

/** @param at When the look began, in milliseconds by the journal's clock. Pure. */
export const lookOf = (
  at: number,
  nodes: readonly SeenNode[],
  agents: readonly SeenAgent[],
  group?: LookedGroup,
): Look => {
  const byHost = new Map<string, SeenAgent[]>();
  for (const agent of agents) {
    const host = hostLabel(agent.hostname);
    const those = byHost.get(host);
    if (those === undefined) byHost.set(host, [agent]);
    else those.push(agent);
  }
  return { at, nodes: new Map(nodes.map((node) => [node.id, node])), agents: byHost, extras: undefined, group };
};

const none: readonly SeenAgent[] = [];

/** Agents of a host, connected or stopping; none where Buildkite shows none. */
export const agentsOf = (look: Pick<Look, "agents">, hostname: string): readonly SeenAgent[] =>
  look.agents.get(hostname) ?? none;

const bakeIdTag = "bake-id=";

/** Agents of a host that take jobs, from an image of one of these bake ids. */
const taking = (look: Pick<Look, "agents">, hostname: string, bakeIds: ReadonlySet<string>): number =>
  agentsOf(look, hostname).filter(
    ({ stopping, paused, tags }) =>
      !stopping && !paused && tags.some((tag) => tag.startsWith(bakeIdTag) && bakeIds.has(tag.slice(bakeIdTag.length))),
  ).length;

export interface Expected {
  readonly id: string;
  readonly hostname: string;
  readonly agents: number;
}

/** Whether a node takes jobs with all its agents, from the old image or the new one. */
export const isUsable = (look: Look, { hostname, agents }: Expected, bakeIds: ReadonlySet<string>): boolean =>
  taking(look, hostname, bakeIds) >= Math.max(1, agents);

/** How many agents of a node are back from an image. @param after Milliseconds: those that connected before do not count. */
export const agentsBack = (
  look: Pick<Look, "agents">,
  hostname: string,
  bakeId: string,
  after: number | undefined,
): number =>
  agentsOf(look, hostname).filter(
    ({ stopping, tags, connectedAt }) =>
      !stopping && tags.includes(`${bakeIdTag}${bakeId}`) && (after === undefined || connectedAt > after),
  ).length;

/** Whether the cloud leaves a node alone, with this image and its power on. */
export const hasImage = (seen: SeenNode | undefined, image: string): boolean =>
  seen !== undefined && seen.image === image && seen.task === undefined && seen.power === "active";

/** Whether a node is what it is to be: the image, and all its agents from it. A paused agent is there. */
export const isRight = (
  look: Pick<Look, "agents" | "nodes">,
  node: Expected,
  image: { readonly id: string; readonly bakeId: string },
  after?: number,
): boolean =>
  hasImage(look.nodes.get(node.id), image.id) &&
  agentsBack(look, node.hostname, image.bakeId, after) >= Math.max(1, node.agents);
