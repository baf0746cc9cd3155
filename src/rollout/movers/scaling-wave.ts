/**
 * One wave over an AS group: as many new members as old ones are to go, then the old ones. What comes next is decided from what there
 * is to see, and from nothing that is remembered: whoever is cut off begins again by looking. Pure but for `performStep`.
 */
import { mostAtOnce } from "../../huaweicloud/scaling-group.ts";
import type { GroupSizes, ScalingGroup, ScalingPolicy, SeenGroup } from "../ports.ts";

/** What a wave is about; written down before its first step. */
export interface ScalingWave {
  /** The configuration of the new members. */
  readonly configuration: string;
  /** Servers that go in this wave. */
  readonly old: readonly string[];
  /** New members that there are when the wave is over, with those of earlier waves. */
  readonly wanted: number;
  /** As the group was before the first wave. */
  readonly before: { readonly sizes: GroupSizes; readonly policies: readonly string[] };
  /** Then protection and policies are as before again. */
  readonly isLast: boolean;
}

/** What is known besides the group itself. */
export interface WaveFacts {
  readonly policies: readonly ScalingPolicy[];
  /** Servers whose agents are connected with the new bake id. */
  readonly ready: ReadonlySet<string>;
  /** Servers whose agents have gone, their jobs ended. */
  readonly drained: ReadonlySet<string>;
}

export type WaveStep =
  | { readonly do: "switch policies"; readonly policies: readonly string[]; readonly on: boolean }
  | { readonly do: "use"; readonly configuration: string }
  | { readonly do: "resize"; readonly sizes: GroupSizes }
  | { readonly do: "protect"; readonly members: readonly string[]; readonly isProtected: boolean }
  | { readonly do: "drain"; readonly members: readonly string[] }
  | { readonly do: "remove"; readonly members: readonly string[] }
  | { readonly do: "wait"; readonly until: string }
  | { readonly do: "stop"; readonly why: string }
  | { readonly do: "done" };

const same = (a: GroupSizes, b: GroupSizes): boolean => a.min === b.min && a.max === b.max && a.desired === b.desired;

/** A busy group takes no other size and no removal. */
const free = (seen: SeenGroup, step: WaveStep): WaveStep =>
  seen.isScaling ? { do: "wait", until: "the group has added or removed what it is about to" } : step;

/** After the old ones have gone: what was raised and switched off for the wave is put back. */
const ending = (wave: ScalingWave, seen: SeenGroup, { policies }: WaveFacts): WaveStep => {
  if (!same(seen.sizes, wave.before.sizes)) return free(seen, { do: "resize", sizes: wave.before.sizes });
  if (!wave.isLast) return { do: "done" };
  const members = seen.members
    .filter(
      (member) => member.isProtected && member.state === "in service" && member.configuration === wave.configuration,
    )
    .map(({ id }) => id);
  if (members.length > 0) return { do: "protect", members, isProtected: false };
  const off = policies.filter(({ id, isOn }) => !isOn && wave.before.policies.includes(id)).map(({ id }) => id);
  return off.length > 0 ? { do: "switch policies", policies: off, on: true } : { do: "done" };
};

/**
 * What comes next.
 * @returns one step; then look again.
 */
export const nextStep = (wave: ScalingWave, seen: SeenGroup, facts: WaveFacts): WaveStep => {
  const { before } = wave;
  const old = seen.members.filter(({ id, state }) => wave.old.includes(id) && state !== "leaving");
  const fresh = seen.members.filter(
    ({ configuration, state }) => configuration === wave.configuration && state !== "leaving",
  );
  const inService = fresh.filter(({ state, health }) => state === "in service" && health === "good");
  const isOver = old.length === 0 && inService.length >= wave.wanted;
  if (isOver) {
    const leaving = seen.members.some(({ id }) => wave.old.includes(id));
    return leaving ? { do: "wait", until: "the old members have gone" } : ending(wave, seen, facts);
  }
  if (seen.isPaused) return { do: "stop", why: `the AS group ${seen.name} is paused: somebody did that` };
  // A policy that fires takes members away, or adds some, while they are counted.
  const on = facts.policies.filter(({ isOn }) => isOn).map(({ id }) => id);
  if (on.length > 0) return { do: "switch policies", policies: on, on: false };
  if (seen.configuration !== wave.configuration) return { do: "use", configuration: wave.configuration };
  const unprotected = inService.filter(({ isProtected }) => !isProtected).map(({ id }) => id);
  if (unprotected.length > 0) return { do: "protect", members: unprotected, isProtected: true };
  const isReady = inService.filter(({ id }) => facts.ready.has(id)).length;
  const busy = old.filter(({ id }) => !facts.drained.has(id)).map(({ id }) => id);
  // A removal wants as many fewer by itself: what is wanted now is what was, and the old ones that are still there.
  const desired = before.sizes.desired + old.length;
  const sizes = {
    // Until the old ones may go, nothing makes the group smaller: no policy either that somebody switches on again.
    min: isReady >= wave.wanted && busy.length === 0 ? before.sizes.desired : desired,
    max: Math.max(before.sizes.max, before.sizes.desired + wave.old.length),
    desired,
  };
  if (!same(seen.sizes, sizes)) return free(seen, { do: "resize", sizes });
  if (isReady < wave.wanted) {
    return {
      do: "wait",
      until: `${wave.wanted} new members take jobs: ${isReady} do, ${inService.length} are in service`,
    };
  }
  if (busy.length > 0) return { do: "drain", members: busy };
  const going = old.filter(({ state }) => state === "in service").map(({ id }) => id);
  return going.length > 0
    ? free(seen, { do: "remove", members: going.slice(0, mostAtOnce) })
    : { do: "wait", until: "AS has settled what becomes of the old members" };
};

/**
 * Does a step; waiting, draining and stopping are the caller's.
 * @throws CloudError; BakeError BK457 when the group stays busy.
 */
export const performStep = async (group: ScalingGroup, step: WaveStep): Promise<void> => {
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
    case "drain":
    case "wait":
    case "stop":
    case "done":
      return undefined;
    default:
      return step;
  }
};
