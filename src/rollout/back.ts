/** The way back of a rollout: the same kind of rollout, ends exchanged. Pure. */
import type { Bystander, WantedNode } from "./waves.ts";
import type { Look } from "./look.ts";
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
