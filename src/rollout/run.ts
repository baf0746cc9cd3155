/** The loop of a rollout: look, decide, write down, call, write down. Whatever ends it leaves a journal that goes on from there. */
import { createHash } from "node:crypto";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { mapLimited } from "../host/map-limited.ts";
import { CloudError } from "../huaweicloud/client.ts";
import { decide } from "./decide.ts";
import { decideGroup } from "./decide-group.ts";
import type { Outcome, PlannedNode, RolloutEvent } from "./journal-events.ts";
import { type Look, type LookedGroup, lookOf } from "./look.ts";
import { performStep } from "./movers/scaling-wave.ts";
import type { Action } from "./node-step.ts";
import type { Agents, Mover, ScalingGroup } from "./ports.ts";
import { apply, type RolloutState } from "./state.ts";

/** An image as the catalogue has it. */
export interface KnownImage {
  readonly id: string;
  /** Empty for one that no bake made. */
  readonly bakeId: string;
  /** Whether nodes can be made from it now. */
  readonly usable: boolean;
  /** Undefined where the cloud does not say it. */
  readonly architecture?: string;
}

/** Everything outside that a rollout touches. */
export interface World {
  readonly movers: readonly Mover[];
  readonly agents: Agents;
  /** All images of the profile. */
  readonly images: () => Promise<readonly KnownImage[]>;
  /** What is attached to a node that is changed, or, without one, to all members of a group; undefined leaves what they have. Secret. */
  readonly userData: (node: PlannedNode | undefined) => Promise<string | undefined>;
  /** The AS group whose members are replaced. */
  readonly group?: ScalingGroup;
}

/** Calls to the cloud at a time. */
const atATime = 8;

/** Milliseconds that the cloud or Buildkite may be down before the rollout pauses. */
const downLimit = 600_000;

/** Steps that follow from one look: more would be a fault of bake. */
const mostSteps = 1000;

export interface RunOptions {
  /** Is changed. */
  readonly state: RolloutState;
  /** Writes events down; they are on the disk when it comes back. */
  readonly append: (events: readonly RolloutEvent[]) => Promise<void>;
  readonly world: World;
  readonly host: Pick<Host, "now" | "sleep" | "signal">;
  /** Whether a person asked for the end. */
  readonly stopRequested: () => Promise<boolean>;
  /** Told after each look, and what goes wrong in between. */
  readonly show: (state: RolloutState, now: number, trouble?: string) => void;
}

const lookAtGroup = async (group: ScalingGroup | undefined): Promise<LookedGroup | undefined> => {
  if (group === undefined) return undefined;
  const [seen, policies] = await Promise.all([group.look(), group.policies()]);
  return { seen, policies };
};

/** All nodes, all agents: one look. */
export const lookAround = async (
  { movers, agents, group }: Pick<World, "movers" | "agents" | "group">,
  host: Pick<Host, "now">,
): Promise<Look> => {
  const started = host.now();
  const [nodes, seen, looked] = await Promise.all([
    Promise.all(movers.map((mover) => mover.look())),
    agents.look(),
    lookAtGroup(group),
  ]);
  // The clock's difference is known by the answer.
  return lookOf(started + (agents.clockSkew() ?? 0), nodes.flat(), seen, looked);
};

/**
 * What a call that threw came to.
 * @param other For what is no answer of the cloud: a mover refuses so before it sends anything.
 * @throws what is no answer of an API.
 */
const outcomeOf = (error: unknown, other: Outcome): Outcome => {
  if (!(error instanceof BakeError)) throw error;
  if (!(error instanceof CloudError)) return other;
  if (error.status === 429 || error.code === "BK420") return "busy";
  return error.status === undefined || error.status >= 500 || error.code === "BK424" ? "unknown" : "refused";
};

const messageOf = (error: unknown): string => (error as Error).message;

/** Credentials that are refused: nothing is called any more, since repeated refusals lock the key. */
const isFatal = (error: unknown): boolean =>
  error instanceof BakeError && (error.code === "BK420" || error.code === "BK441");

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/**
 * Goes on with a rollout until it is done, paused or stopped: `state.status` says which.
 * @throws the signal's reason when it is interrupted; what the journal throws.
 */
export const runRollout = async ({ state, append, world, host, stopRequested, show }: RunOptions): Promise<void> => {
  const movers = new Map(world.movers.map((mover) => [mover.kind, mover]));
  const now = (): number => host.now() + (world.agents.clockSkew() ?? 0);
  let fatal: unknown;

  const tell = async (...events: RolloutEvent[]): Promise<void> => {
    if (events.length === 0) return;
    await append(events);
    for (const event of events) apply(state, event);
  };

  const planOf = (id: string): PlannedNode => {
    const record = state.nodes.get(id);
    if (record === undefined) throw new Error(`no node ${id} in this rollout`);
    return record.plan;
  };
  /** New members of a group are no nodes of the plan. */
  const moverOf = (id: string): Mover => {
    const kind = state.group !== undefined ? "as" : planOf(id).kind;
    const mover = movers.get(kind);
    if (mover === undefined) throw new Error(`no mover for ${kind}`);
    return mover;
  };

  /** Does it, and says what came of it; an interrupt leaves the intent without a result. */
  const attempt = async <T>(
    work: () => Promise<T>,
    other: Outcome = "refused",
  ): Promise<{ outcome: Outcome; value?: T; error?: string }> => {
    try {
      return { outcome: "ok", value: await work() };
    } catch (error) {
      host.signal.throwIfAborted();
      const outcome = outcomeOf(error, other);
      if (isFatal(error)) fatal ??= error;
      return { outcome, error: messageOf(error) };
    }
  };

  const stop = async ({ agents, killJobs }: Extract<Action, { call: "stop" }>): Promise<void> => {
    await tell({ event: "intent", at: now(), call: "stop", agents: [...agents], killJobs });
    const ids = agents.map(({ id }) => id);
    const { outcome, value, error } = await attempt(() => world.agents.stop(ids, { killJobs }), "unknown");
    const refused = agents.flatMap(({ id, node }) => {
      const answer = value?.get(id);
      return typeof answer === "object" ? [{ id, node, why: answer.refused }] : [];
    });
    await tell({ event: "result", at: now(), call: "stop", outcome, refused, ...(error !== undefined && { error }) });
  };

  const changeGroup = async ({ step: wanted }: Extract<Action, { call: "group" }>): Promise<void> => {
    const { group } = world;
    if (group === undefined) throw new Error("no AS group in this rollout");
    const userData = wanted.do === "configure" ? await world.userData(undefined) : undefined;
    const step =
      wanted.do === "configure" ? { ...wanted, userData: userData === undefined ? null : sha256(userData) } : wanted;
    await tell({ event: "intent", at: now(), call: "group", step });
    const { outcome, value, error } = await attempt(async () => {
      if (step.do === "configure") return group.configure({ image: step.image, userData }, step.name);
      await performStep(group, step);
      return undefined;
    });
    await tell({
      event: "result",
      at: now(),
      call: "group",
      step,
      outcome,
      ...(value !== undefined && { configuration: value }),
      ...(error !== undefined && { error }),
    });
  };

  const act = async (action: Action): Promise<void> => {
    if (fatal !== undefined) return;
    host.signal.throwIfAborted();
    if (action.call === "stop") return stop(action);
    if (action.call === "group") return changeGroup(action);
    const { call, node } = action;
    const mover = moverOf(node);
    const { rollout } = state.begun;
    if (call === "ask") {
      const { value, error } = await attempt(() => mover.changeState(node, state.nodes.get(node)?.cloudJob));
      const { reason } = value ?? {};
      if (value === undefined) return show(state, now(), error);
      return tell({ event: "answered", at: now(), node, state: value.state, ...(reason !== undefined && { reason }) });
    }
    if (call === "change") {
      const plan = planOf(node);
      const userData = await world.userData(plan);
      const { from, to: image } = plan;
      const digest = userData === undefined ? null : sha256(userData);
      await tell({ event: "intent", at: now(), call, node, from, to: image, userData: digest });
      const { outcome, value, error } = await attempt(() => mover.change(node, { image, userData }));
      const job = value?.job;
      return tell({
        event: "result",
        at: now(),
        call,
        node,
        outcome,
        ...(job !== undefined && { job }),
        ...(error !== undefined && { error }),
      });
    }
    await tell({ event: "intent", at: now(), call, node });
    const { outcome, error } = await attempt(() => mover[call](node, rollout));
    await tell({ event: "result", at: now(), call, node, outcome, ...(error !== undefined && { error }) });
  };

  const pause = (reason: string): Promise<void> =>
    tell({ event: "gate", at: now(), gate: "api", reason }, { event: "paused", at: now(), gate: "api", reason });

  let downSince: number | undefined;
  /** @returns undefined when an API did not answer. */
  const seeing = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      const seen = await work();
      downSince = undefined;
      return seen;
    } catch (error) {
      host.signal.throwIfAborted();
      if (!(error instanceof BakeError)) throw error;
      if (isFatal(error)) fatal ??= error;
      downSince ??= now();
      show(state, now(), messageOf(error));
      if (fatal === undefined && now() - downSince >= downLimit) await pause(messageOf(error));
      return undefined;
    }
  };

  const askExtras = async (look: Look): Promise<Look> => {
    const [images, pausedQueues] = await Promise.all([world.images(), world.agents.pausedQueues()]);
    const there = new Set(images.filter(({ usable }) => usable).map(({ id }) => id));
    const missing = state.begun.images.map(({ id }) => id).filter((id) => !there.has(id));
    return { ...look, extras: { missing, pausedQueues } };
  };

  const next = state.group === undefined ? decide : decideGroup;

  /** Everything that follows from a look. @returns milliseconds to the next one. */
  const follow = async (first: Look): Promise<number> => {
    const { interval } = state.settings;
    let look = first;
    let pausing = interval * 1000;
    for (let step = 0; state.status === "running"; step++) {
      if (step === mostSteps) throw new Error("a rollout makes no progress");
      const { events, actions, needsExtras, due } = next(state, look, now());
      if (due !== undefined) pausing = Math.min(pausing, due);
      if (needsExtras === true) {
        const fuller = await seeing(() => askExtras(look));
        if (fuller === undefined) return pausing;
        look = fuller;
        continue;
      }
      if (events.length === 0 && actions.length === 0) return pausing;
      await tell(...events);
      const thrown: unknown[] = [];
      // All of them come to an end, and are written down, before one that threw ends the run.
      await mapLimited(actions, atATime, (action) => act(action).catch((error: unknown) => void thrown.push(error)));
      if (thrown.length > 0) throw thrown[0];
      if (fatal !== undefined) return 0;
      // A tag is read back at once, and a group looked at before its next step.
      if (actions.some(({ call }) => call === "hold" || call === "group")) pausing = 0;
    }
    return 0;
  };

  while (state.status === "running" || state.status === "paused") {
    host.signal.throwIfAborted();
    const { kind } = state.closing ?? {};
    if (kind !== "stop" && kind !== "abandon" && (await stopRequested())) await tell({ event: "stopping", at: now() });
    if (state.status === "paused") return;
    const look = await seeing(() => lookAround(world, host));
    const pausing = look === undefined ? state.settings.interval * 1000 : await follow(look);
    if (fatal !== undefined) {
      await pause(messageOf(fatal));
      return;
    }
    show(state, now());
    if (state.status === "running") await host.sleep(Math.max(pausing, 1), host.signal);
  }
};
