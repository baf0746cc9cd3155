/**
 * One wave over an AS group: as many new members as old ones are to go, then the old ones. What comes next is decided from what there
 * is to see, and from nothing that is remembered: whoever is cut off begins again by looking. Pure but for `performStep`.
 *
 * Nothing here lets AS choose who goes: the group never wants fewer members than it has, but by the removal of those that have drained.
 */
import { mostAtOnce } from "../../huaweicloud/scaling-group.ts";
import type { GroupCall, PlannedGroup } from "../journal-events.ts";
import type { GroupSizes, ScalingGroup, ScalingPolicy, SeenGroup, SeenMember } from "../ports.ts";

/** As the group was before the first wave. */
export type Before = Pick<PlannedGroup["before"], "sizes" | "policies" | "protected">;

/** What a wave is about. */
export interface ScalingWave {
  /** The configuration of the new members. */
  readonly configuration: string;
  /** Servers that go in this wave. */
  readonly old: readonly string[];
  /** Members that are no new ones, whatever they were made from: those that go in any wave, and those that nobody waits for. */
  readonly others: ReadonlySet<string>;
  /** New members that there are when the wave is over, with those of earlier waves. */
  readonly wanted: number;
  readonly before: Before;
}

/** What is known besides the group itself. */
export interface WaveFacts {
  readonly policies: readonly ScalingPolicy[];
  /** Servers whose agents are connected with the new bake id. */
  readonly ready: ReadonlySet<string>;
  /** Servers whose agents have gone, their jobs ended. */
  readonly drained: ReadonlySet<string>;
  /** Of them those whose removal was asked for. */
  readonly removing: ReadonlySet<string>;
}

/** A call that changes the group as it is. */
type Change = Exclude<GroupCall, { do: "configure" }>;

export type WaveStep =
  | Change
  | { readonly do: "drain"; readonly members: readonly string[] }
  | { readonly do: "wait"; readonly until: string }
  | { readonly do: "stop"; readonly why: string }
  | { readonly do: "done" };

const same = (a: GroupSizes, b: GroupSizes): boolean => a.min === b.min && a.max === b.max && a.desired === b.desired;

/** A busy group takes no other size and no removal. */
const free = (seen: SeenGroup, step: WaveStep): WaveStep =>
  seen.isScaling ? { do: "wait", until: "the group has added or removed what it is about to" } : step;

const stays = ({ state }: SeenMember): boolean => state !== "leaving";

/** The sizes of before; with more members than were wanted then, AS is not asked to choose which of them go. */
const restored = ({ sizes }: Before, seen: SeenGroup): GroupSizes => {
  const desired = Math.max(sizes.desired, seen.members.filter(stays).length);
  return { min: sizes.min, max: Math.max(sizes.max, desired), desired };
};

/** New members that there are. */
const newMembers = ({ configuration, others }: ScalingWave, seen: SeenGroup): SeenMember[] =>
  seen.members.filter((member) => stays(member) && member.configuration === configuration && !others.has(member.id));

/** The sizes while a wave is under way. @param mayGo Whether the old ones may be removed. */
const raised = (wave: ScalingWave, seen: SeenGroup, mayGo: boolean): GroupSizes => {
  const { sizes } = wave.before;
  const staying = seen.members.filter(stays);
  const missing = Math.max(0, wave.wanted - newMembers(wave, seen).length);
  const desired = Math.max(sizes.desired, staying.length + missing);
  const going = staying.filter(({ id }) => wave.old.includes(id)).length;
  return {
    // Until the old ones may go, nothing makes the group smaller: no policy either that somebody switches on again.
    min: mayGo ? Math.min(sizes.desired, staying.length - going) : desired,
    max: Math.max(sizes.max, seen.sizes.max, desired),
    desired,
  };
};

/**
 * What comes next in a wave.
 * @returns one step; then look again.
 */
export const nextStep = (wave: ScalingWave, seen: SeenGroup, facts: WaveFacts): WaveStep => {
  const old = seen.members.filter((member) => wave.old.includes(member.id) && stays(member));
  const inService = newMembers(wave, seen).filter(({ state, health }) => state === "in service" && health === "good");
  if (old.length === 0 && inService.length >= wave.wanted) {
    const leaving = seen.members.some(({ id }) => wave.old.includes(id));
    return leaving ? { do: "wait", until: "the old members have gone" } : { do: "done" };
  }
  if (seen.isPaused) return { do: "stop", why: `the AS group ${seen.name} is paused: somebody did that` };
  if (seen.members.some(({ state }) => state === "standby"))
    return { do: "stop", why: `the AS group ${seen.name} has members in standby: somebody did that` };
  // A policy that fires takes members away, or adds some, while they are counted.
  const on = facts.policies.filter(({ isOn }) => isOn).map(({ id }) => id);
  if (on.length > 0) return { do: "switch policies", policies: on, on: false };
  if (seen.configuration !== wave.configuration) return { do: "use", configuration: wave.configuration };
  // Whatever makes the group smaller finds nobody with a job.
  const unprotected = seen.members
    .filter(({ id, state, isProtected }) => state === "in service" && !isProtected && !facts.drained.has(id))
    .map(({ id }) => id);
  if (unprotected.length > 0) return { do: "protect", members: unprotected, isProtected: true };
  const isReady = inService.filter(({ id }) => facts.ready.has(id)).length;
  const busy = old.filter(({ id }) => !facts.drained.has(id)).map(({ id }) => id);
  const sizes = raised(wave, seen, isReady >= wave.wanted && busy.length === 0);
  if (!same(seen.sizes, sizes)) return free(seen, { do: "resize", sizes });
  if (isReady < wave.wanted) {
    return {
      do: "wait",
      until: `${wave.wanted} new members take jobs: ${isReady} do, ${inService.length} are in service`,
    };
  }
  if (busy.length > 0) return { do: "drain", members: busy };
  const drained = old.filter(({ state }) => state === "in service");
  const kept = drained.filter(({ isProtected }) => isProtected).map(({ id }) => id);
  if (kept.length > 0) return { do: "protect", members: kept, isProtected: false };
  // One that was asked for is not asked for again at once.
  const going = drained.map(({ id }) => id).filter((id) => !facts.removing.has(id));
  return going.length > 0
    ? free(seen, { do: "remove", members: going.slice(0, mostAtOnce) })
    : { do: "wait", until: "AS has settled what becomes of the old members" };
};

/**
 * What comes next when all waves are over, or none is to begin any more: what was raised, protected and switched off is put back.
 * @param configuration What the group makes members from, from now on.
 */
export const lastStep = (
  before: Before,
  seen: SeenGroup,
  policies: readonly ScalingPolicy[],
  configuration: string,
): WaveStep => {
  if (seen.configuration !== configuration) return { do: "use", configuration };
  const sizes = restored(before, seen);
  if (!same(seen.sizes, sizes)) return free(seen, { do: "resize", sizes });
  const members = seen.members
    .filter(({ id, state, isProtected }) => isProtected && state === "in service" && !before.protected.includes(id))
    .map(({ id }) => id);
  if (members.length > 0) return { do: "protect", members, isProtected: false };
  const off = policies.filter(({ id, isOn }) => !isOn && before.policies.includes(id)).map(({ id }) => id);
  return off.length > 0 ? { do: "switch policies", policies: off, on: true } : { do: "done" };
};

/**
 * Does a step.
 * @throws CloudError; BakeError BK457 when the group stays busy.
 */
export const performStep = async (group: ScalingGroup, step: Change): Promise<void> => {
  switch (step.do) {
    case "switch policies":
      return group.switchPolicies(step.policies, step.on);
    case "use":
      return group.use(step.configuration);
    case "resize":
      return group.resize(step.sizes);
    case "protect":
      return group.protect(step.members, step.isProtected);
    case "remove":
      return group.remove(step.members);
    default:
      return step;
  }
};
