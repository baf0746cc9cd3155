/** The state of a rollout: what the events of its journal come to, at any line. Pure; `apply` changes the state that it is given. */
import { answerGroup, beginGroup, type GroupRecord, resumeGroup } from "./group-state.ts";
import type { Begun, GateKind, NodeState, PlannedNode, RolloutEvent, RolloutSettings } from "./journal-events.ts";
import type { JobState } from "../huaweicloud/change-os.ts";

/** Times are milliseconds since the epoch, by the journal's clock. */
export interface NodeRecord {
  readonly plan: PlannedNode;
  state: NodeState;
  /** When it came to this state. */
  since: number;
  /** Why it failed. */
  why: string | undefined;
  /** Its agents' last job that was seen. */
  job: string | undefined;
  /** When something was last called for it, or answered: an older look says nothing of it. */
  actedAt: number;
  /** Its tag was written, and when; it may not have been read back. */
  holdAt: number | undefined;
  /** Calls of one kind in a row that came to nothing. */
  troubles: number;
  drainSince: number;
  /** When each of its agents was asked to stop. */
  readonly stops: Map<string, number>;
  killed: boolean;
  /** When the last change was announced. */
  changeAt: number | undefined;
  /** Since a person resumed. */
  changes: number;
  /** Changes that were not taken for want of time. */
  busy: number;
  /** Why Buildkite did not stop an agent. */
  refusal: string | undefined;
  /** `lost`: nobody knows whether the cloud has it. */
  answer: "lost" | "accepted";
  cloudJob: string | undefined;
  idleSince: number | undefined;
  told: (JobState & { readonly at: number }) | undefined;
}

export interface RolloutState {
  readonly begun: Begun;
  readonly nodes: ReadonlyMap<string, NodeRecord>;
  readonly group: GroupRecord | undefined;
  settings: RolloutSettings;
  status: "running" | "paused" | "stopped" | "done";
  /** Begins nothing: by a gate; by a person (what is under way ends); by a person after a gate (nothing is changed any more). */
  closing:
    | { readonly kind: "gate" | "stop" | "abandon"; readonly gate?: GateKind; readonly reason: string }
    | undefined;
  /** −1 before the first. */
  wave: number;
  phase: "begun" | "soaking" | "done";
  /** Of the phase. */
  since: number;
  /** When the last event was. */
  last: number;
}

const failedStates: ReadonlySet<NodeState> = new Set(["drain-timeout", "change-failed", "not-ready"]);

/** Whether a node is at an end that is none of the good ones. */
export const hasFailed = ({ state }: NodeRecord): boolean => failedStates.has(state);

/** Whether a node is on its way: it takes no jobs on purpose. */
export const isUnderWay = ({ state }: NodeRecord): boolean =>
  state === "draining" || state === "drained" || state === "changing" || state === "booting";

const begin = (begun: Begun): RolloutState => ({
  begun,
  nodes: new Map(
    begun.nodes.map((plan) => [
      plan.id,
      {
        plan,
        state: plan.booting === true ? "booting" : "planned",
        since: begun.at,
        why: undefined,
        job: undefined,
        actedAt: 0,
        holdAt: plan.booting === true ? begun.at : undefined,
        troubles: 0,
        drainSince: begun.at,
        stops: new Map(),
        killed: false,
        changeAt: undefined,
        changes: 0,
        busy: 0,
        refusal: undefined,
        answer: "lost",
        cloudJob: undefined,
        idleSince: undefined,
        told: undefined,
      },
    ]),
  ),
  group: begun.group === undefined ? undefined : beginGroup(begun.group),
  settings: begun.settings,
  status: "running",
  closing: undefined,
  wave: -1,
  phase: "done",
  since: begun.at,
  last: begun.at,
});

const enter = (record: NodeRecord, state: NodeState, at: number, why?: string): void => {
  record.state = state;
  record.since = at;
  record.why = why;
  record.troubles = 0;
  record.idleSince = undefined;
  if (state === "locked") record.holdAt ??= at;
  if (state === "draining" && record.drainSince < at && record.stops.size === 0) record.drainSince = at;
};

/** A failed node is tried again from where it failed: nothing is repeated that may have been done. */
const retry = (record: NodeRecord, at: number): void => {
  [record.changes, record.busy] = [0, 0];
  record.told = undefined;
  if (record.state === "drain-timeout") {
    record.stops.clear();
    record.killed = false;
    enter(record, "draining", at);
  } else if (record.plan.kind === "as") {
    // Whatever failed about it, the next look says how far it is.
    enter(record, "locked", at);
  } else if (record.state === "not-ready") enter(record, "booting", at);
  else if (record.state === "change-failed") {
    record.answer = "lost";
    enter(record, record.changeAt === undefined ? "planned" : "changing", at);
  }
};

type GroupIntent = Extract<RolloutEvent, { event: "intent"; call: "group" }>;
type GroupResult = Extract<RolloutEvent, { event: "result"; call: "group" }>;

const applyGroupCall = (state: RolloutState, event: GroupIntent | GroupResult): void => {
  const { group } = state;
  const { step, at } = event;
  const isIntent = event.event === "intent";
  if (!isIntent) answerGroup(group, event);
  else if (group !== undefined) [group.actedAt, group.waits] = [at, undefined];
  for (const id of step.do === "remove" ? step.members : []) {
    const record = state.nodes.get(id);
    if (record === undefined) continue;
    record.actedAt = at;
    if (isIntent || event.outcome === "busy" || event.outcome === "refused") {
      record.changes += isIntent ? 1 : -1;
      enter(record, isIntent ? "changing" : "drained", at);
    }
  }
};

const applyIntent = (state: RolloutState, event: Extract<RolloutEvent, { event: "intent" }>): void => {
  if (event.call === "group") return applyGroupCall(state, event);
  if (event.call === "stop") {
    for (const { id, node } of event.agents) {
      const record = state.nodes.get(node);
      if (record === undefined) continue;
      record.stops.set(id, event.at);
      record.actedAt = event.at;
      if (event.killJobs) record.killed = true;
    }
    return;
  }
  const record = state.nodes.get(event.node);
  if (record === undefined) return;
  record.actedAt = event.at;
  if (event.call === "hold") record.holdAt = event.at;
  if (event.call !== "change") return;
  enter(record, "changing", event.at);
  record.changeAt = event.at;
  record.changes += 1;
  record.answer = "lost";
  record.cloudJob = undefined;
  record.told = undefined;
};

const applyResult = (state: RolloutState, event: Extract<RolloutEvent, { event: "result" }>): void => {
  if (event.call === "group") return applyGroupCall(state, event);
  if (event.call === "stop") {
    if (event.outcome === "ok") {
      for (const { id, node, why } of event.refused) {
        const record = state.nodes.get(node);
        record?.stops.delete(id);
        if (record !== undefined) record.refusal = why;
      }
    }
    return;
  }
  const record = state.nodes.get(event.node);
  if (record === undefined) return answerGroup(state.group, event);
  record.actedAt = event.at;
  const troubles = event.outcome === "ok" ? 0 : record.troubles + 1;
  if (event.call === "release" && event.outcome === "ok" && record.state === "ready")
    enter(record, "unlocked", event.at);
  if (event.call === "release" && event.outcome === "ok") record.holdAt = undefined;
  if (event.call === "hold" && event.outcome !== "ok") record.holdAt = undefined;
  if (event.call === "change") {
    if (event.outcome === "ok") {
      record.answer = "accepted";
      record.cloudJob = event.job;
    } else if (event.outcome === "busy") {
      enter(record, "drained", event.at);
      record.changes -= 1;
      record.busy += 1;
    } else if (event.outcome === "refused") enter(record, "change-failed", event.at, event.error);
  }
  record.troubles = troubles;
};

const applyNode = (state: RolloutState, event: Extract<RolloutEvent, { event: "node" }>): void => {
  const record = state.nodes.get(event.node);
  if (record === undefined) return;
  if (event.job !== undefined) record.job = event.job;
  if (state.group !== undefined) state.group.waits = undefined;
  enter(record, event.state, event.at, event.why);
};

const resume = (state: RolloutState, event: Extract<RolloutEvent, { event: "resumed" }>): void => {
  state.status = "running";
  state.closing = undefined;
  resumeGroup(state.group);
  state.settings = {
    ...state.settings,
    ...(event.maxFailed !== undefined && { maxFailed: event.maxFailed }),
    ...(event.killJobs !== undefined && { killJobs: event.killJobs }),
  };
  let again = false;
  for (const record of state.nodes.values()) {
    record.troubles = 0;
    // Members of a group go by waves alone: those of an earlier one go with this.
    again ||= hasFailed(record) && (record.plan.wave === state.wave || state.group !== undefined);
    if (hasFailed(record)) retry(record, event.at);
  }
  // What was soaking soaks anew once they are ready.
  if (again && state.wave >= 0 && (state.phase === "soaking" || state.group !== undefined))
    [state.phase, state.since] = ["begun", event.at];
  if (state.wave >= 0) state.since = Math.max(state.since, state.phase === "done" ? event.at : 0);
};

/** Adds an event. @param state Is changed. */
export const apply = (state: RolloutState, event: RolloutEvent): void => {
  state.last = event.at;
  switch (event.event) {
    case "begun":
      throw new Error("a rollout begins once");
    case "intent":
      return applyIntent(state, event);
    case "result":
      return applyResult(state, event);
    case "node":
      return applyNode(state, event);
    case "idle":
    case "busy": {
      const record = state.nodes.get(event.node);
      if (record !== undefined) record.idleSince = event.event === "idle" ? event.at : undefined;
      return;
    }
    case "answered": {
      const record = state.nodes.get(event.node);
      if (record === undefined) return;
      record.told = {
        at: event.at,
        state: event.state,
        ...(event.reason !== undefined && { reason: event.reason }),
      };
      return;
    }
    case "waits":
      if (state.group !== undefined) state.group.waits = { at: event.at, until: event.until };
      return;
    case "aside":
      if (state.group !== undefined) state.group.aside = [...new Set([...state.group.aside, ...event.members])];
      return;
    case "wave":
      if (state.group !== undefined) state.group.waits = undefined;
      [state.wave, state.phase, state.since] = [event.wave, event.phase, event.at];
      return;
    case "gate":
      state.closing = { kind: "gate", gate: event.gate, reason: event.reason };
      return;
    case "paused":
      state.status = "paused";
      state.closing = { kind: "gate", gate: event.gate, reason: event.reason };
      return;
    case "resumed":
      return resume(state, event);
    case "stopping":
      resumeGroup(state.group);
      state.closing =
        state.status === "running" && state.closing?.kind !== "gate"
          ? { kind: "stop", reason: "a person stopped it" }
          : { kind: "abandon", reason: "a person ended it" };
      state.status = "running";
      return;
    case "stopped":
      state.status = "stopped";
      return;
    case "done":
      state.status = "done";
  }
};

/** What the events come to. @returns undefined where they do not begin with `begun`. */
export const fold = (events: readonly RolloutEvent[]): RolloutState | undefined => {
  const [first, ...rest] = events;
  if (first?.event !== "begun") return undefined;
  const state = begin(first);
  for (const event of rest) apply(state, event);
  return state;
};
