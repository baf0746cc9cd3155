/** A rollout over the world in memory: planned, run, killed at any line, and gone on with. */
import { BakeError } from "../../src/errors.ts";
import type { RolloutEvent } from "../../src/rollout/journal-events.ts";
import { lineOf, readLine } from "../../src/rollout/journal-events.ts";
import { lookAround, runRollout } from "../../src/rollout/run.ts";
import { fold, type RolloutState } from "../../src/rollout/state.ts";
import { planRollout, type PlanRequest, type RolloutPlan } from "../../src/rollout/waves.ts";
import { Rollout } from "../../src/profile/schema/rollout.ts";
import type { TestWorld } from "./world.ts";

export const settingsOf = (rest: object = {}) => Rollout.parse(rest);

export const requestOf = async (
  world: TestWorld,
  to: string,
  rest: Partial<PlanRequest> = {},
): Promise<PlanRequest> => {
  const look = await lookAround(world.world, world.host);
  return {
    rollout: "rollout-1",
    profile: "2cards",
    queue: "ascend",
    settings: settingsOf(),
    stopTimeout: 1500,
    nodes: [...look.nodes.values()].map((seen) => ({ seen, to })),
    spawn: 4,
    look,
    images: world.images,
    self: { agentId: undefined, agentName: undefined, hostname: "runner" },
    ...rest,
  };
};

export const isPlan = (planned: RolloutPlan | readonly BakeError[]): planned is RolloutPlan => "begun" in planned;

/** Puts the plan into the journal. @throws the first reason against it. */
export const begin = async (world: TestWorld, to: string, rest: Partial<PlanRequest> = {}): Promise<RolloutPlan> => {
  const planned = planRollout(await requestOf(world, to, rest));
  if (!isPlan(planned)) throw planned[0] ?? new Error("no plan, and no reason");
  world.journal.splice(0, world.journal.length, planned.begun);
  world.minHealthy = planned.begun.settings.minHealthy;
  return planned;
};

/** The process died. */
export class Killed extends Error {}

export interface Going {
  /** Lines that this process writes before it dies. */
  readonly lines?: number;
  readonly stop?: () => boolean;
  readonly resume?: Partial<Extract<RolloutEvent, { event: "resumed" }>>;
  readonly signal?: AbortSignal;
}

/** One process: goes on from what the journal says. @returns the state it came to. @throws Killed */
export const goOn = async (world: TestWorld, { lines, stop, resume, signal }: Going = {}): Promise<RolloutState> => {
  // As it is on the disk.
  const read = world.journal.map((event) => {
    const again = readLine(lineOf(event));
    if (typeof again === "string") throw new Error(again);
    return again;
  });
  const state = fold(read);
  if (state === undefined) throw new Error("no rollout");
  let left = lines ?? Number.POSITIVE_INFINITY;
  world.alive = true;
  const append = async (events: readonly RolloutEvent[]): Promise<void> => {
    for (const event of events) {
      if (left === 0 || !world.alive) {
        world.alive = false;
        throw new Killed("killed");
      }
      left -= 1;
      world.journal.push(event);
    }
  };
  if (state.status === "paused" && resume !== undefined) {
    const event: RolloutEvent = { event: "resumed", at: world.now + world.skew, ...resume };
    await append([event]);
    const fresh = fold(world.journal);
    if (fresh !== undefined) return go(world, fresh, append, stop, signal);
  }
  return go(world, state, append, stop, signal);
};

const go = async (
  world: TestWorld,
  state: RolloutState,
  append: (events: readonly RolloutEvent[]) => Promise<void>,
  stop: (() => boolean) | undefined,
  signal: AbortSignal | undefined,
): Promise<RolloutState> => {
  let looks = 0;
  await runRollout({
    state,
    append,
    world: world.world,
    host: { ...world.host, ...(signal !== undefined && { signal }) },
    stopRequested: async () => stop?.() ?? false,
    show: () => {
      looks += 1;
      if (looks > 50_000) throw new Error("it never ends");
    },
  });
  return state;
};

export const stateOf = (state: RolloutState): string[] =>
  [...state.nodes.values()].map(({ plan, state: each }) => `${plan.name} ${each}`);
