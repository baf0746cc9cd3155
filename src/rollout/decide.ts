/** What a rollout does next: from its state and a look to events and calls. Pure. */
import type { GateKind, RolloutEvent } from "./journal-events.ts";
import { isRight, isUsable, type Look } from "./look.ts";
import { type Action, mostTroubles, type Step, stepNode } from "./node-step.ts";
import { hasFailed, isUnderWay, type NodeRecord, type RolloutState } from "./state.ts";

export interface Decision {
  readonly events: readonly RolloutEvent[];
  readonly actions: readonly Action[];
  /** The look has to hold `extras` before more can be said. */
  readonly needsExtras?: boolean;
  /** Milliseconds after which something is due, if nothing else happens. */
  readonly due?: number;
}

/** Milliseconds that a node which was ready may look otherwise when its wave has soaked: an agent that registers anew is no fault. */
const soakGrace = 120_000;

const stands = (record: NodeRecord): boolean => !hasFailed(record) && !isUnderWay(record);

/**
 * Nodes that take jobs: connected with all agents, from the old image or the new one, not stopping, and not on their way.
 * @param look Of the same moment.
 */
const countUsable = (state: RolloutState, look: Look, bakeIds: ReadonlySet<string>): number => {
  let count = 0;
  for (const record of state.nodes.values()) if (stands(record) && isUsable(look, record.plan, bakeIds)) count += 1;
  for (const node of state.begun.already) if (isUsable(look, node, bakeIds)) count += 1;
  return count;
};

const bakeIdTable = ({ begun }: RolloutState): Map<string, string> =>
  new Map(begun.images.map(({ id, bakeId }) => [id, bakeId]));

/** A gate that closes, and nothing else. Pure. */
export const gateStep = (at: number, gate: GateKind, reason: string): Decision => ({
  events: [{ event: "gate", at, gate, reason }],
  actions: [],
});

const named = (records: readonly NodeRecord[]): string =>
  records
    .slice(0, 3)
    .map(({ plan, state, why }) => `${plan.name} ${state}${why === undefined ? "" : `: ${why}`}`)
    .join("; ") + (records.length > 3 ? `; and ${records.length - 3} more` : "");

/** One request for all agents of the look. */
export const merged = (actions: readonly Action[]): Action[] => {
  const stops = actions.filter((action) => action.call === "stop");
  const others = actions.filter((action) => action.call !== "stop");
  const of = (killJobs: boolean): Action[] => {
    const agents = stops.filter((stop) => stop.killJobs === killJobs).flatMap((stop) => stop.agents);
    return agents.length === 0 ? [] : [{ call: "stop", killJobs, agents }];
  };
  return [...others, ...of(false), ...of(true)];
};

interface Gate {
  readonly kind: GateKind;
  readonly reason: string;
}

/** The gate that a node closes whose calls come to nothing. */
export const stuckGate = (stuck: NodeRecord | undefined): Gate | undefined =>
  stuck === undefined
    ? undefined
    : { kind: "api", reason: `calls for ${stuck.plan.name} came to nothing ${stuck.troubles} times` };

/** The gate that failures close. */
export const failureGate = (state: RolloutState): Gate | undefined => {
  const failed = [...state.nodes.values()].filter(hasFailed);
  if (failed.length === 0) return undefined;
  if (failed.some(({ plan }) => plan.wave === 0) && state.wave <= 0) {
    return { kind: "canary", reason: `the canary failed: ${named(failed)}` };
  }
  const { maxFailed } = state.settings;
  return failed.length > maxFailed
    ? { kind: "failures", reason: `${failed.length} failed, ${maxFailed} may: ${named(failed)}` }
    : undefined;
};

const release = (record: NodeRecord): Action => ({ call: "release", node: record.plan.id });

/** Takes the tags of nodes off that still have them. @returns undefined when none has. */
const releaseAll = (records: readonly NodeRecord[], look: Look): Decision | undefined => {
  const held = records.filter(({ holdAt, troubles }) => holdAt !== undefined && troubles < mostTroubles);
  if (held.length === 0) return undefined;
  return { events: [], actions: held.filter(({ actedAt }) => look.at > actedAt).map(release) };
};

/** Towards the end, once nothing is begun any more. */
const close = (state: RolloutState, look: Look, now: number): Decision => {
  const { closing } = state;
  const records = [...state.nodes.values()];
  const followed = (record: NodeRecord): boolean =>
    record.state === "changing" || record.state === "booting" || (closing?.kind === "stop" && isUnderWay(record));
  if (records.some(followed)) return { events: [], actions: [] };
  if (closing?.kind === "gate") {
    return {
      events: [{ event: "paused", at: now, gate: closing.gate ?? "failures", reason: closing.reason }],
      actions: [],
    };
  }
  return releaseAll(records, look) ?? { events: [{ event: "stopped", at: now }], actions: [] };
};

/** The next wave begins, unless an image is gone or the queue paused; asks for extras first. Pure. */
export const beginWave = (state: RolloutState, look: Look, now: number): Decision => {
  if (look.extras === undefined) return { events: [], actions: [], needsExtras: true };
  const { missing, pausedQueues } = look.extras;
  const [gone] = missing;
  if (gone !== undefined) {
    return gateStep(
      now,
      "image",
      `the image ${gone} is there no more, or cannot be used: there would be no way on, or back`,
    );
  }
  if (pausedQueues.includes(state.begun.queue)) {
    return gateStep(
      now,
      "queue",
      `a person paused the queue ${state.begun.queue}: nothing shows whether nodes take jobs`,
    );
  }
  return { events: [{ event: "wave", at: now, wave: state.wave + 1, phase: "begun" }], actions: [] };
};

/** Nodes of a wave that has soaked, or of all waves, that are not right any more: given up after a grace, waited for until then. */
const verify = (
  records: readonly NodeRecord[],
  {
    look,
    now,
    deadline,
    bakeIdOf,
  }: {
    readonly look: Look;
    readonly now: number;
    readonly deadline: number;
    readonly bakeIdOf: (image: string) => string;
  },
): Decision | undefined => {
  const wrong = records.filter(({ plan }) => !isRight(look, plan, { id: plan.to, bakeId: bakeIdOf(plan.to) }));
  if (wrong.length === 0) return undefined;
  if (now < deadline) return { events: [], actions: [] };
  return {
    events: wrong.map(({ plan }) => ({
      event: "node" as const,
      at: now,
      node: plan.id,
      state: "not-ready" as const,
      why: "it was ready, and is not any more",
    })),
    actions: [],
  };
};

const stepWave = (state: RolloutState, look: Look, now: number, bakeIdOf: (image: string) => string): Decision => {
  const idle: Decision = { events: [], actions: [] };
  const records = [...state.nodes.values()];
  if (state.phase === "done") {
    if (state.wave + 1 < state.begun.waves) return beginWave(state, look, now);
    if (records.some((record) => record.state === "ready" || isUnderWay(record))) return idle;
    const unlocked = records.filter((record) => record.state === "unlocked");
    const wrong = verify(unlocked, { look, now, deadline: state.since + soakGrace, bakeIdOf });
    return wrong ?? releaseAll(records, look) ?? { events: [{ event: "done", at: now }], actions: [] };
  }
  const members = records.filter(({ plan }) => plan.wave === state.wave);
  const ready = members.filter((record) => record.state === "ready");
  if (state.phase === "begun") {
    const open = members.filter(
      (record) => record.state !== "ready" && record.state !== "unlocked" && !hasFailed(record),
    );
    if (open.length > 0) return idle;
    return { events: [{ event: "wave", at: now, wave: state.wave, phase: "soaking" }], actions: [] };
  }
  const { canarySoak, soak } = state.settings;
  const end = state.since + (ready.length === 0 ? 0 : state.wave === 0 ? canarySoak : soak) * 1000;
  if (now < end || look.at < end) return { ...idle, due: Math.max(end - now, 1) };
  const wrong = verify(ready, { look, now, deadline: end + soakGrace, bakeIdOf });
  return wrong ?? { events: [{ event: "wave", at: now, wave: state.wave, phase: "done" }], actions: [] };
};

/**
 * The next step. It is asked again with the same look until it says nothing: what was done meanwhile is in the state.
 * @param now Milliseconds, by the journal's clock.
 */
export const decide = (state: RolloutState, look: Look, now: number): Decision => {
  if (state.status !== "running") return { events: [], actions: [] };
  const table = bakeIdTable(state);
  const bakeIds = new Set(table.values());
  const bakeIdOf = (image: string): string => table.get(image) ?? "";
  let usable: number | undefined;
  let blocked = 0;
  const mayStop = ({ plan }: NodeRecord): boolean => {
    usable ??= countUsable(state, look, bakeIds);
    // One that takes no jobs costs nothing.
    if (!isUsable(look, plan, bakeIds)) return true;
    if (usable - 1 < state.settings.minHealthy) {
      blocked += 1;
      return false;
    }
    usable -= 1;
    return true;
  };
  const steps: Step[] = [];
  const releases: Action[] = [];
  let stuck: NodeRecord | undefined;
  for (const record of state.nodes.values()) {
    if (record.state === "unlocked" || hasFailed(record)) continue;
    if (record.troubles >= mostTroubles) stuck ??= record;
    else steps.push(stepNode(record, { state, look, now, mayStop, bakeIdOf }));
    const isOver = record.plan.wave < state.wave || (record.plan.wave === state.wave && state.phase === "done");
    const isDue = record.state === "ready" && isOver && look.at > record.actedAt && record.troubles < mostTroubles;
    if (isDue && state.closing === undefined) releases.push(release(record));
  }
  const events = steps.flatMap((step) => step.events);
  const actions = merged([...steps.flatMap((step) => step.actions), ...releases]);
  const gate = failureGate(state) ?? steps.find((step) => step.gate !== undefined)?.gate ?? stuckGate(stuck);
  if (gate !== undefined && state.closing?.kind !== "gate" && state.closing?.kind !== "abandon") {
    return gateStep(now, gate.kind, gate.reason);
  }
  if (events.length > 0 || actions.length > 0) return { events, actions };
  if (state.closing !== undefined) return close(state, look, now);
  const records = [...state.nodes.values()];
  if (blocked > 0 && !records.some(isUnderWay)) {
    const failed = records.filter(hasFailed);
    const reason = `${countUsable(state, look, bakeIds)} nodes take jobs, and ${state.settings.minHealthy} have to`;
    const since = Math.max(state.since, ...records.map((record) => record.since));
    if (failed.length > 0) return gateStep(now, "capacity", `${reason}; failed: ${named(failed)}`);
    if (now - since >= state.settings.readyTimeout * 1000) return gateStep(now, "capacity", reason);
  }
  return stepWave(state, look, now, bakeIdOf);
};
