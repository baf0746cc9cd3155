/** The way back of a rollout: the same kind of rollout, ends exchanged. Pure. */
import type { Bystander, WantedNode } from "./waves.ts";
import type { Look, LookedGroup } from "./look.ts";
import { replaceable } from "./plan-group.ts";
import type { SeenMember } from "./ports.ts";
import type { NodeRecord, RolloutState } from "./state.ts";

/** Whether a rollout did anything to a node but write its tag. */
const isTouched = ({ state, stops, changeAt }: NodeRecord): boolean =>
  changeAt !== undefined || stops.size > 0 || (state !== "planned" && state !== "locked");

interface WayBack {
  readonly nodes: readonly WantedNode[];
  /** Of the same fleet, untouched. */
  readonly bystanders: readonly Bystander[];
  /** Untouched nodes that carry its tag. */
  readonly held: readonly NodeRecord[];
  /** Names of nodes that the cloud does not list any more. */
  readonly gone: readonly string[];
}

/**
 * The way back over an AS group: what it made goes, and members whose agents it stopped. The others stay.
 * @param looked The group now.
 */
export const groupWayBack = (
  { nodes, begun, group: made }: RolloutState,
  look: Look,
  { looked, to }: { readonly looked: LookedGroup; readonly to: string },
): Pick<WayBack, "nodes" | "bystanders" | "held"> => {
  const kept = new Set(begun.already.map(({ id }) => id));
  const agents = begun.group?.agents ?? 0;
  const isGoing = ({ id, configuration }: SeenMember): boolean => {
    const record = nodes.get(id);
    if (record !== undefined) return record.stops.size > 0 || record.changes > 0;
    return made?.configuration !== undefined && configuration === made.configuration && !kept.has(id);
  };
  const all = replaceable(looked).flatMap((member) => {
    const seen = look.nodes.get(member.id);
    return seen === undefined ? [] : [{ member, seen }];
  });
  return {
    nodes: all.filter(({ member }) => isGoing(member)).map(({ seen }) => ({ seen, to, agents })),
    bystanders: all
      .filter(({ member }) => !isGoing(member))
      .map(({ seen: { id, name, hostname, image } }) => ({ id, name, hostname, agents, to: image ?? to })),
    held: [...nodes.values()].filter(({ plan, holdAt }) => holdAt !== undefined && look.nodes.has(plan.id)),
  };
};

/** Only what the rollout touched goes back, each node to the image that it had. */
export const wayBack = ({ nodes, begun }: RolloutState, look: Look): WayBack => {
  const records = [...nodes.values()];
  const touched = records.filter(isTouched);
  const untouched = records.filter((record) => !isTouched(record));
  return {
    nodes: touched.flatMap(({ plan }) => {
      const seen = look.nodes.get(plan.id);
      return seen === undefined ? [] : [{ seen, to: plan.from, agents: plan.agents }];
    }),
    bystanders: [
      ...untouched.map(({ plan: { id, name, hostname, agents, from } }) => ({ id, name, hostname, agents, to: from })),
      ...begun.already,
    ],
    held: untouched.filter(({ holdAt }) => holdAt !== undefined),
    gone: touched.filter(({ plan }) => !look.nodes.has(plan.id)).map(({ plan }) => plan.name),
  };
};
