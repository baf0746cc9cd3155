/** What a look says of an AS group and its members, for a rollout over it. Pure. */
import type { PlannedGroup } from "./journal-events.ts";
import { type Expected, isRight, isUsable, type Look } from "./look.ts";
import type { SeenMember } from "./ports.ts";
import { hasFailed, isUnderWay, type NodeRecord, type RolloutState } from "./state.ts";

export interface GroupFacts {
  /** That stay, or are to go. */
  readonly members: readonly SeenMember[];
  /** By ID, with those that leave. */
  readonly all: ReadonlyMap<string, SeenMember>;
  /** Members that are no new ones, whatever they were made from. */
  readonly others: ReadonlySet<string>;
  readonly isNew: (member: SeenMember) => boolean;
  /** New members that take jobs. */
  readonly ready: ReadonlySet<string>;
  /** Nodes of the plan whose agents have gone. */
  readonly drained: ReadonlySet<string>;
  /** Of them those whose removal was asked for: what became of it, their own step finds out. */
  readonly removing: ReadonlySet<string>;
  /** Members that take jobs, from the old image or the new one. */
  readonly usable: number;
  readonly isUsable: (node: Expected) => boolean;
  /** New members that there have to be after a wave. @param going Of its nodes, those that go though they have not gone yet. */
  readonly wanted: (wave: number, going: readonly NodeRecord[]) => number;
  /** Whether the look is later than what was last called for a server. */
  readonly isFresh: (id: string) => boolean;
}

/** What a look says of a group: who is old, new, coming, right; by the journal. Pure. */
export const groupFacts = (state: RolloutState, group: PlannedGroup, look: Look): GroupFacts => {
  const { nodes } = state;
  const records = [...nodes.values()];
  const bakeIds = new Map(state.begun.images.map(({ id, bakeId }) => [id, bakeId]));
  const known = new Set(bakeIds.values());
  const all = new Map((look.group?.seen.members ?? []).map((member) => [member.id, member]));
  const members = [...all.values()].filter((member) => member.state !== "leaving");
  const others = new Set([...nodes.keys(), ...group.aside, ...(state.group?.aside ?? [])]);
  const made = state.group?.configuration;
  const isNew = ({ id, configuration }: SeenMember): boolean =>
    made !== undefined && configuration === made && !others.has(id);
  const expected = (id: string): Expected | undefined => {
    const plan = nodes.get(id)?.plan;
    const seen = look.nodes.get(id);
    return plan ?? (seen === undefined ? undefined : { id, hostname: seen.hostname, agents: group.agents });
  };
  const image = { id: group.to, bakeId: bakeIds.get(group.to) ?? "" };
  const isReady = (member: SeenMember): boolean => {
    const node = expected(member.id);
    const isThere = member.state === "in service" && member.health === "good";
    return isNew(member) && isThere && node !== undefined && isRight(look, node, image);
  };
  const takes = ({ id }: SeenMember): boolean => {
    const record = nodes.get(id);
    const node = expected(id);
    return node !== undefined && !(record !== undefined && isUnderWay(record)) && isUsable(look, node, known);
  };
  const idsOf = (...states: readonly NodeRecord["state"][]): ReadonlySet<string> =>
    new Set(records.filter(({ state: at }) => states.includes(at)).map(({ plan }) => plan.id));
  return {
    members,
    all,
    others,
    isNew,
    ready: new Set(members.filter(isReady).map(({ id }) => id)),
    drained: idsOf("drained", "changing"),
    removing: idsOf("changing"),
    usable: members.filter(takes).length,
    isUsable: (node) => isUsable(look, node, known),
    wanted: (wave, going) => {
      const counted = new Set(going);
      const gone = records.filter(
        (record) =>
          record.plan.wave <= wave &&
          !hasFailed(record) &&
          (counted.has(record) || record.state === "ready" || record.state === "unlocked"),
      );
      return group.base + Math.min(group.replacements, gone.length);
    },
    isFresh: (id) => look.at > (nodes.get(id)?.actedAt ?? state.group?.actedAt ?? 0),
  };
};
