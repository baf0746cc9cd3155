/** One step of one node: from its record and a look to what is written down and called. Pure. */
import type { GateKind, GroupCall, NodeState, RolloutEvent } from "./journal-events.ts";
import { agentsBack, agentsOf, hasImage, isRight, type Look } from "./look.ts";
import type { SeenAgent, SeenNode } from "./ports.ts";
import type { NodeRecord, RolloutState } from "./state.ts";

/** What is to be called. An intent is written before each; `ask` only looks. */
export type Action =
  | { readonly call: "group"; readonly step: GroupCall }
  | { readonly call: "hold" | "release" | "change" | "ask"; readonly node: string }
  | {
      readonly call: "stop";
      readonly killJobs: boolean;
      readonly agents: readonly { readonly id: string; readonly node: string }[];
    };

export interface Step {
  readonly events: readonly RolloutEvent[];
  readonly actions: readonly Action[];
  readonly gate?: { readonly kind: GateKind; readonly reason: string };
}

/** What a step is decided from. */
export interface Seen {
  readonly state: RolloutState;
  readonly look: Look;
  /** Milliseconds, by the journal's clock. */
  readonly now: number;
}

interface StepContext extends Seen {
  /** Whether this node's agents may stop now; counts it when they may. */
  readonly mayStop: (record: NodeRecord) => boolean;
  readonly bakeIdOf: (image: string) => string;
}

/** Milliseconds until an agent that does not stop is asked again, and a tag that is not read back is written again. */
const repeatAfter = 60_000;

/** Least milliseconds between two looks that show a node left alone, before a change counts as not taken. */
export const idleFor = 30_000;

/** Milliseconds that jobs may take to be cancelled. */
const killFor = 300_000;

/** Changes that are sent for a node, without a person in between. */
export const mostChanges = 3;

/** Changes that the cloud has no time for. */
const mostBusy = 20;

/** Calls of one kind that come to nothing in a row. */
export const mostTroubles = 5;

const nothing: Step = { events: [], actions: [] };

const wait = nothing;

/** The node comes to a state, with the reason where there is one. Pure. */
export const to = ({ plan }: NodeRecord, at: number, state: NodeState, why?: string, job?: string): Step => ({
  events: [
    {
      event: "node",
      at,
      node: plan.id,
      state,
      ...(why !== undefined && { why }),
      ...(job !== undefined && { job }),
    },
  ],
  actions: [],
});

const call = (record: NodeRecord, name: "hold" | "release" | "change" | "ask"): Step => ({
  events: [],
  actions: [{ call: name, node: record.plan.id }],
});

const seconds = (milliseconds: number): string => `${Math.round(milliseconds / 1000)} s`;

/** The gate of a node that another rollout holds. Pure. */
export const heldByOther = (record: NodeRecord, other: string): Step => ({
  ...nothing,
  gate: { kind: "held", reason: `${record.plan.name} is held by the rollout ${other}` },
});

const shownImage = (seen: SeenNode): string => seen.image ?? "unknown";

/** A node that is not held yet: its tag is written, then read back. Pure. */
export const stepPlanned = (record: NodeRecord, seen: SeenNode | undefined, { state, look, now }: Seen): Step => {
  const { rollout } = state.begun;
  if (seen === undefined) return to(record, now, "change-failed", "the cloud does not list it any more");
  if (seen.heldBy === rollout) return to(record, now, "locked");
  if (look.at <= record.actedAt) return wait;
  if (record.holdAt === undefined) {
    if (seen.heldBy !== undefined && !isTakenOver(state, seen.heldBy)) return heldByOther(record, seen.heldBy);
    return call(record, "hold");
  }
  // Written after us, since ours was not refused.
  if (seen.heldBy !== undefined && !isTakenOver(state, seen.heldBy)) return heldByOther(record, seen.heldBy);
  return now - record.holdAt < repeatAfter ? wait : call(record, "hold");
};

/** The rollout whose way back this is has ended: its tags are ours. */
export const isTakenOver = ({ begun }: RolloutState, holder: string): boolean => holder === begun.back;

/** Agents of a node that are asked to stop, none without agents. Pure. */
export const stopOf = (record: NodeRecord, agents: readonly SeenAgent[], killJobs: boolean): Action[] =>
  agents.length === 0
    ? []
    : [{ call: "stop", killJobs, agents: agents.map(({ id }) => ({ id, node: record.plan.id })) }];

const unexpectedImage = (record: NodeRecord, seen: SeenNode, now: number): Step | undefined =>
  seen.image !== undefined && seen.image !== record.plan.from && seen.image !== record.plan.to
    ? to(
        record,
        now,
        "change-failed",
        `it has the image ${seen.image}, which this rollout knows nothing of: somebody else changed it`,
      )
    : undefined;

const inGroup = (record: NodeRecord, seen: SeenNode, now: number): Step | undefined =>
  seen.group !== undefined && record.plan.kind !== "as"
    ? to(
        record,
        now,
        "change-failed",
        `it is a member of the AS group ${seen.group.name}, which would delete it: it was not changed`,
      )
    : undefined;

const stepLocked = (record: NodeRecord, seen: SeenNode, context: StepContext): Step => {
  const { look, now, bakeIdOf, mayStop } = context;
  const { plan } = record;
  if (isRight(look, plan, { id: plan.to, bakeId: bakeIdOf(plan.to) })) return to(record, now, "ready");
  const refused = unexpectedImage(record, seen, now) ?? inGroup(record, seen, now);
  if (refused !== undefined) return refused;
  if (!mayStop(record)) return wait;
  const agents = agentsOf(look, plan.hostname);
  return {
    events: to(record, now, "draining").events,
    actions: stopOf(
      record,
      agents.filter(({ stopping }) => !stopping),
      false,
    ),
  };
};

/** A node whose agents stop: waits for their jobs, within the limit, and asks those that come again. Pure. */
export const stepDraining = (record: NodeRecord, { state, look, now }: Seen): Step => {
  const { settings } = state;
  const agents = agentsOf(look, record.plan.hostname);
  const job = agents.map((agent) => agent.job).find((link) => link !== undefined);
  if (agents.length === 0) return to(record, now, "drained");
  const limit = settings.drainTimeout * 1000;
  if (now - record.drainSince >= limit) {
    if (settings.killJobs && !record.killed) return { events: [], actions: stopOf(record, agents, true) };
    if (!settings.killJobs || now - record.drainSince >= limit + killFor) {
      const count = `${agents.length} of its agents ${agents.length === 1 ? "is" : "are"}`;
      const refusal = record.refusal === undefined ? "" : `; Buildkite refused to stop one: ${record.refusal}`;
      const why = `${count} still there after ${seconds(now - record.drainSince)}${refusal}`;
      return to(record, now, "drain-timeout", why, job);
    }
  }
  // One that registered again is another agent.
  const ask = agents.filter(({ id, stopping }) => !stopping && now - (record.stops.get(id) ?? 0) >= repeatAfter);
  return { events: [], actions: stopOf(record, ask, record.killed) };
};

const stepDrained = (record: NodeRecord, seen: SeenNode, context: StepContext): Step => {
  const { state, look, now } = context;
  const { plan } = record;
  if (agentsOf(look, plan.hostname).length > 0) return to(record, now, "draining");
  const refused = unexpectedImage(record, seen, now) ?? inGroup(record, seen, now);
  if (refused !== undefined) return refused;
  if (plan.from !== plan.to && hasImage(seen, plan.to)) return to(record, now, "booting");
  if (record.changes >= mostChanges || record.busy >= mostBusy) {
    return to(record, now, "change-failed", `the cloud took none of ${record.changes + record.busy} changes`);
  }
  const isLeftAlone = seen.task === undefined && (seen.power === "active" || seen.power === "stopped");
  if (isLeftAlone) return call(record, "change");
  if (now - record.since < state.settings.changeTimeout * 1000) return wait;
  return to(record, now, "change-failed", `the cloud does not leave it alone: ${seen.task ?? seen.power}`);
};

const failedChange = (record: NodeRecord, now: number, why: string): Step => to(record, now, "change-failed", why);

/** Where the cloud was asked what became of a change. */
const stepTold = (record: NodeRecord, seen: SeenNode, now: number, limit: number): Step | undefined => {
  const { told, plan } = record;
  if (told === undefined) return undefined;
  const reason = told.reason === undefined ? "" : `: ${told.reason}`;
  if (told.state === "failed") return failedChange(record, now, `the cloud could not change it${reason}`);
  if (told.state === "done" && seen.task === undefined && plan.from !== plan.to && seen.image !== plan.to) {
    return failedChange(
      record,
      now,
      `the cloud's job has ended well, and the node has the image ${shownImage(seen)} instead of ${plan.to}`,
    );
  }
  const late = now - (record.changeAt ?? record.since) >= 2 * limit || told.state === "unknown";
  return late && now - record.since >= limit
    ? failedChange(record, now, `the change does not end: ${seen.task ?? "nothing is being done to it"}${reason}`)
    : undefined;
};

const stepChanging = (record: NodeRecord, seen: SeenNode, context: StepContext): Step => {
  const { state, look, now, bakeIdOf } = context;
  const { plan } = record;
  const limit = state.settings.changeTimeout * 1000;
  const after = record.changeAt;
  // Where old and new image are one, its agents alone say that it was made anew; or the cloud does.
  const isNew =
    plan.from === plan.to
      ? agentsBack(look, plan.hostname, bakeIdOf(plan.to), after) > 0 || record.told?.state === "done"
      : true;
  if (isNew && hasImage(seen, plan.to)) return to(record, now, "booting");
  const refused = seen.task === undefined ? unexpectedImage(record, seen, now) : undefined;
  if (refused !== undefined) return refused;
  const ended = stepTold(record, seen, now, limit);
  if (ended !== undefined) return ended;
  const mayAsk = record.told === undefined || now - record.told.at >= repeatAfter;
  if (seen.task !== undefined || seen.image !== plan.from || seen.power === "building") {
    if (record.idleSince !== undefined) return { events: [{ event: "busy", at: now, node: plan.id }], actions: [] };
    return now - record.since >= limit && mayAsk ? call(record, "ask") : wait;
  }
  if (record.idleSince === undefined) return { events: [{ event: "idle", at: now, node: plan.id }], actions: [] };
  if (look.at - record.idleSince < Math.max(idleFor, state.settings.interval * 1000)) return wait;
  if (record.answer === "lost") {
    return to(
      record,
      now,
      "drained",
      "nobody knows whether the change was taken, and the cloud does nothing to the node",
    );
  }
  return mayAsk && (record.cloudJob !== undefined || now - record.since >= limit) ? call(record, "ask") : wait;
};

const stepBooting = (record: NodeRecord, seen: SeenNode, { state, look, now, bakeIdOf }: StepContext): Step => {
  const { plan, changeAt } = record;
  if (isRight(look, plan, { id: plan.to, bakeId: bakeIdOf(plan.to) }, changeAt)) return to(record, now, "ready");
  if (seen.image !== undefined && seen.image !== plan.to && seen.task === undefined) {
    return to(record, now, "change-failed", `it had the new image, and has ${seen.image} now`);
  }
  if (now - record.since < state.settings.readyTimeout * 1000) return wait;
  const agents = agentsOf(look, plan.hostname);
  const back = agentsBack(look, plan.hostname, bakeIdOf(plan.to), changeAt);
  const others = agents.length - back;
  return to(
    record,
    now,
    "not-ready",
    [
      `${back} of ${Math.max(1, plan.agents)} agents came back in ${seconds(now - record.since)}`,
      ...(others > 0 ? [`${others} with another bake id, from before the change, or stopping`] : []),
      ...(seen.power === "active" ? [] : [`the server is ${seen.power}`]),
    ].join("; "),
    agents.map((agent) => agent.job).find((link) => link !== undefined),
  );
};

/** What a node that is not at its end does next. */
export const stepNode = (record: NodeRecord, context: StepContext): Step => {
  const { state, look, now } = context;
  const closing = state.closing?.kind;
  const seen = look.nodes.get(record.plan.id);
  const begins = record.state === "planned" || record.state === "locked";
  if (begins && (closing !== undefined || record.plan.wave > state.wave || state.phase !== "begun")) return wait;
  // A change that was sent is followed to its end; none is sent any more once a gate has closed.
  if ((record.state === "draining" || record.state === "drained") && closing !== undefined && closing !== "stop")
    return wait;
  if (record.state === "planned") return stepPlanned(record, seen, context);
  if (look.at <= record.actedAt) return wait;
  if (seen === undefined) {
    const limit = state.settings.changeTimeout * 1000;
    return now - Math.max(record.since, record.actedAt) < limit
      ? wait
      : to(record, now, "change-failed", "the cloud does not list it any more");
  }
  const other = seen.heldBy;
  const isLost = other !== undefined && other !== state.begun.rollout && !isTakenOver(state, other);
  switch (record.state) {
    case "locked":
      return isLost ? heldByOther(record, other) : stepLocked(record, seen, context);
    case "draining":
      return isLost ? heldByOther(record, other) : stepDraining(record, context);
    case "drained":
      return isLost ? heldByOther(record, other) : stepDrained(record, seen, context);
    case "changing":
      return stepChanging(record, seen, context);
    case "booting":
      return stepBooting(record, seen, context);
    default:
      return wait;
  }
};
