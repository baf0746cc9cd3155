/** What a rollout over an AS group does next: from its state and a look to events and calls. Pure. */
import { beginWave, type Decision, failureGate, gateStep, merged, stuckGate } from "./decide.ts";
import type { GroupCall, PlannedGroup, RolloutEvent } from "./journal-events.ts";
import { groupFacts, type GroupFacts } from "./group-facts.ts";
import { stepMember } from "./group-member.ts";
import { lastStep, nextStep, type ScalingWave, type WaveStep } from "./movers/scaling-wave.ts";
import { type Action, mostTroubles, type Step, stopOf, to } from "./node-step.ts";
import { agentsOf, type Look } from "./look.ts";
import { hasFailed, isUnderWay, type NodeRecord, type RolloutState } from "./state.ts";

/** Milliseconds that new members which were ready may look otherwise when their wave has soaked. */
const soakGrace = 120_000;

const idle: Decision = { events: [], actions: [] };

/** One call for the group: then look again. */
const groupCall = (step: GroupCall): Decision => ({ events: [], actions: [{ call: "group", step }] });

/** What follows from nothing that can be done now: since when is written down. */
const waiting = ({ group }: RolloutState, now: number, until: string): Decision =>
  group?.waits === undefined ? { events: [{ event: "waits", at: now, until }], actions: [] } : idle;

const failed = (records: readonly NodeRecord[], now: number, why: string): RolloutEvent[] =>
  records.flatMap((record) => to(record, now, "not-ready", why).events);

/** A configuration's name has no dots; an ID of a rollout may have some. */
const configurationName = ({ begun }: RolloutState): string => `bake-${begun.rollout.replaceAll(".", "-")}`;

interface Context {
  readonly state: RolloutState;
  readonly look: Look;
  readonly now: number;
  readonly group: PlannedGroup;
  readonly facts: GroupFacts;
}

/** Why new members do not take jobs: the first of them. */
const shortOf = ({ look, group, facts }: Context, short: number, since: number, now: number): string => {
  const [first] = facts.members.filter((member) => facts.isNew(member) && !facts.ready.has(member.id));
  const waited = `${short} new member${short === 1 ? " does" : "s do"} not take jobs after ${Math.round((now - since) / 1000)} s`;
  if (first === undefined) return `${waited}: AS made none`;
  const node = look.nodes.get(first.id);
  const there = node === undefined ? 0 : agentsOf(look, node.hostname).length;
  const health = first.state === "in service" ? "" : `, ${first.state}`;
  return `${waited}: ${node?.name ?? first.id} has ${there} of ${Math.max(1, group.agents)} agents${health}`;
};

const moreMembers = "more members take jobs";

/** Members of this wave that may stop taking jobs, and those that have to wait for others. */
const drain = ({ state, look, now, facts, group }: Context, members: readonly string[]): Decision => {
  let { usable } = facts;
  const records = members.flatMap((id) => state.nodes.get(id) ?? []).filter((record) => record.state === "locked");
  const may = records.filter(({ plan }) => {
    // One that takes no jobs costs nothing.
    if (!facts.isUsable(plan)) return true;
    if (usable - 1 < state.settings.minHealthy) return false;
    usable -= 1;
    return true;
  });
  if (may.length === 0) {
    if (records.length === 0 || [...state.nodes.values()].some(({ state: at }) => at === "draining")) return idle;
    const { waits } = state.group ?? {};
    if (waits?.until !== moreMembers) return { events: [{ event: "waits", at: now, until: moreMembers }], actions: [] };
    if (now - waits.at < state.settings.readyTimeout * 1000) return idle;
    return gateStep(
      now,
      "capacity",
      `${usable} members of ${group.name} take jobs, and ${state.settings.minHealthy} have to`,
    );
  }
  const agents = (record: NodeRecord) => agentsOf(look, record.plan.hostname).filter(({ stopping }) => !stopping);
  return {
    events: may.flatMap((record) => to(record, now, "draining").events),
    actions: merged(may.flatMap((record) => stopOf(record, agents(record), false))),
  };
};

/** A wave, as far as it has come. @param records Of its members, those that go now. */
const waveOf = (
  { state, group, facts }: Context,
  records: readonly NodeRecord[],
  configuration: string,
): ScalingWave => ({
  configuration,
  old: records.map(({ plan }) => plan.id),
  others: facts.others,
  wanted: facts.wanted(state.wave, records),
  before: group.before,
});

const stepWave = (context: Context, records: readonly NodeRecord[]): Decision => {
  const { state, look, now, group, facts } = context;
  const { configuration, waits } = state.group ?? {};
  if (configuration === undefined)
    return groupCall({ do: "configure", name: configurationName(state), image: group.to, userData: null });
  const seen = look.group;
  if (seen === undefined) return idle;
  const wave = waveOf(context, records, configuration);
  const step: WaveStep = nextStep(wave, seen.seen, { ...facts, policies: seen.policies });
  switch (step.do) {
    case "done":
      return state.closing === undefined
        ? { events: [{ event: "wave", at: now, wave: state.wave, phase: "soaking" }], actions: [] }
        : idle;
    case "stop":
      return gateStep(now, "group", step.why);
    case "drain":
      return drain(context, step.members);
    case "wait": {
      const limit = (state.settings.changeTimeout + state.settings.readyTimeout) * 1000;
      if (waits === undefined || now - waits.at < limit) return waiting(state, now, step.until);
      const short = Math.max(0, wave.wanted - facts.ready.size);
      const open = records.filter((record) => record.state !== "ready" && record.state !== "changing");
      // Those that have not begun stay as they are.
      const order = [...open].toSorted((a, b) => Number(b.state === "locked") - Number(a.state === "locked"));
      const late = facts.members.filter((member) => facts.isNew(member) && !facts.ready.has(member.id));
      return short > 0 && order.length > 0
        ? {
            events: [
              ...failed(order.slice(0, short), now, shortOf(context, short, waits.at, now)),
              { event: "aside", at: now, members: late.map(({ id }) => id) },
            ],
            actions: [],
          }
        : gateStep(now, "group", `the AS group ${group.name} does not get on: waited until ${step.until}`);
    }
    default:
      return groupCall(step);
  }
};

/** The end: the group as it was before but for its members, then no tag. */
const finish = ({ state, look, now, group, facts }: Context, isDone: boolean): Decision => {
  const { configuration: made, waits, troubles = 0 } = state.group ?? {};
  if (isDone && made === undefined)
    return groupCall({ do: "configure", name: configurationName(state), image: group.to, userData: null });
  const configuration = isDone && made !== undefined ? made : group.before.configuration;
  if (look.group === undefined) return idle;
  const step = lastStep(group.before, look.group.seen, look.group.policies, configuration);
  const isLate = waits !== undefined && now - waits.at >= state.settings.changeTimeout * 1000;
  // Whoever ends it has the tags off, though the group takes no call; what is left to do is said.
  const givesUp = !isDone && (troubles >= mostTroubles || (step.do === "wait" && isLate));
  if (!givesUp && step.do === "wait") {
    return isLate
      ? gateStep(now, "group", `the AS group ${group.name} does not get on: waited until ${step.until}`)
      : waiting(state, now, step.until);
  }
  if (!givesUp && step.do !== "done" && step.do !== "stop" && step.do !== "drain" && step.do !== "wait")
    return groupCall(step);
  // Also of one that a person took out of the group.
  const held = [...look.nodes.values()].filter(
    ({ id, heldBy }) => heldBy === state.begun.rollout && (state.nodes.get(id)?.troubles ?? 0) < mostTroubles,
  );
  if (held.length > 0) {
    const fresh = held.filter(({ id }) => facts.isFresh(id));
    return { events: [], actions: fresh.map(({ id }): Action => ({ call: "release", node: id })) };
  }
  const over = [...state.nodes.values()].filter((record) => isDone && record.state === "ready");
  return {
    events: [
      ...over.flatMap((record) => to(record, now, "unlocked").events),
      isDone ? { event: "done", at: now } : { event: "stopped", at: now },
    ],
    actions: [],
  };
};

/** Members that were ready and are not any more, when a wave or all of them have soaked. */
const verify = ({ state, now, facts }: Context, wave: number, deadline: number): Decision | undefined => {
  const records = [...state.nodes.values()].filter(({ plan, state: at }) => plan.wave <= wave && at === "ready");
  const short = Math.min(records.length, facts.wanted(wave, []) - facts.ready.size);
  if (short <= 0) return undefined;
  return now < deadline
    ? idle
    : {
        events: failed(records.slice(-short), now, "a new member in its place was ready, and is not any more"),
        actions: [],
      };
};

const close = (context: Context): Decision => {
  const { state, now } = context;
  const { closing } = state;
  const records = [...state.nodes.values()];
  if (closing?.kind === "stop" && records.some(isUnderWay)) return stepWave(context, records.filter(isUnderWay));
  if (records.some((record) => record.state === "changing")) return idle;
  if (closing?.kind !== "gate") return finish(context, false);
  return {
    events: [{ event: "paused", at: now, gate: closing.gate ?? "failures", reason: closing.reason }],
    actions: [],
  };
};

/** New members get the tag too: who looks at the group sees that a rollout has it. */
const holdNew = ({ state, look, facts }: Context): Decision | undefined => {
  if (state.closing !== undefined || state.phase !== "begun") return undefined;
  const already = new Set(state.begun.already.map(({ id }) => id));
  const free = facts.members.filter(
    (member) =>
      facts.isNew(member) &&
      !already.has(member.id) &&
      member.state === "in service" &&
      look.nodes.get(member.id)?.heldBy === undefined,
  );
  // Those that the cloud's list of servers does not have yet are tagged by a later look.
  const listed = free.filter(({ id }) => look.nodes.has(id) && facts.isFresh(id));
  return listed.length === 0
    ? undefined
    : { events: [], actions: listed.map(({ id }): Action => ({ call: "hold", node: id })) };
};

/**
 * The next step. It is asked again with the same look until it says nothing: what was done meanwhile is in the state.
 * @param now Milliseconds, by the journal's clock.
 */
export const decideGroup = (state: RolloutState, look: Look, now: number): Decision => {
  const { group } = state.begun;
  const record = state.group;
  if (state.status !== "running" || group === undefined || record === undefined) return idle;
  const facts = groupFacts(state, group, look);
  const context: Context = { state, look, now, group, facts };
  const records = [...state.nodes.values()];
  const steps = records
    .filter((each) => !hasFailed(each) && each.troubles < mostTroubles)
    .map((each): Step => stepMember(each, { state, look, now, facts }));
  const gate =
    failureGate(state) ??
    steps.find((step) => step.gate !== undefined)?.gate ??
    stuckGate(records.find(({ troubles }) => troubles >= mostTroubles)) ??
    (record.troubles < mostTroubles
      ? undefined
      : { kind: "group" as const, reason: `${group.name}: ${record.trouble ?? "calls came to nothing"}` });
  const isClosed = state.closing?.kind === "gate" || state.closing?.kind === "abandon";
  if (gate !== undefined && !isClosed) return gateStep(now, gate.kind, gate.reason);
  const events = steps.flatMap((step) => step.events);
  const actions = merged(steps.flatMap((step) => step.actions));
  if (events.length > 0 || actions.length > 0) return { events, actions };
  // A call for the group is judged by a later look.
  if (look.at <= record.actedAt) return idle;
  if (state.closing !== undefined) return close(context);
  if (records.some((each) => each.state === "planned")) return idle;
  const held = holdNew(context);
  if (held !== undefined) return held.actions.length > 0 ? held : idle;
  if (state.phase === "begun") {
    const open = records.filter(({ plan, state: at }) => plan.wave <= state.wave && at !== "ready");
    return stepWave(
      context,
      open.filter((each) => !hasFailed(each)),
    );
  }
  if (state.phase === "soaking") {
    const { canarySoak, soak } = state.settings;
    const ready = records.some(({ plan, state: at }) => plan.wave === state.wave && at === "ready");
    const end = state.since + (ready ? (state.wave === 0 ? canarySoak : soak) * 1000 : 0);
    if (now < end || look.at < end) return { ...idle, due: Math.max(end - now, 1) };
    const wrong = verify(context, state.wave, end + soakGrace);
    return wrong ?? { events: [{ event: "wave", at: now, wave: state.wave, phase: "done" }], actions: [] };
  }
  if (state.wave + 1 < state.begun.waves) return beginWave(state, look, now);
  return verify(context, state.begun.waves, state.since + soakGrace) ?? finish(context, true);
};
