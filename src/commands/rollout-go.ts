/** A rollout that runs: its lock, its journal, its progress, and how it ends. */
import { rm } from "node:fs/promises";
import { BakeError } from "../errors.ts";
import { exists } from "../host/exists.ts";
import { acquireLock, type Release } from "../host/lock-file.ts";
import { findRollout, type FoundRollout, lockOf, openJournal, readRollout, stopFileOf } from "../rollout/journal.ts";
import type { RolloutEvent } from "../rollout/journal-events.ts";
import { runRollout } from "../rollout/run.ts";
import { apply, type RolloutState } from "../rollout/state.ts";
import { reportFailure } from "./profile-file.ts";
import { annotations } from "./rollout-annotation.ts";
import { formatEnd, formatMoment, formatRows, rolloutObject } from "./rollout-text.ts";
import { contextOf, look, type RolloutContext, type WorldOptions } from "./rollout-world.ts";

export interface RolloutOptions extends WorldOptions {
  readonly json?: boolean;
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Prints one of both: text for people, or the object of `--json`. */
export const print = (options: { readonly json?: boolean }, text: string, object: object): void =>
  say(options.json === true ? JSON.stringify(object, null, 2) : text);

/** The lock of a rollout. @throws BakeError BK710 when another process has it. */
export const take = async (id: string): Promise<Release> => {
  const lock = await acquireLock(lockOf(id));
  if (typeof lock !== "number") return lock;
  throw new BakeError(
    "BK710",
    `the rollout ${id} runs already, as process ${lock}`,
    "bake rollout status shows where it is; bake rollout stop ends it.",
  );
};

export interface ResumeOptions extends RolloutOptions {
  readonly maxFailed?: number;
  readonly killJobs?: boolean;
  readonly yes?: boolean;
}

interface Going {
  /** The folder's name. */
  readonly id: string;
  /** Written first. */
  readonly events: readonly RolloutEvent[];
  readonly state: RolloutState;
  readonly stop?: boolean;
}

/** Runs until the end. The lock is held. @returns the exit code. */
export const go = async (
  context: RolloutContext,
  options: RolloutOptions,
  { id, events, state, stop }: Going,
): Promise<number> => {
  const { host, world } = context;
  const journal = await openJournal(id);
  const live = process.stderr.isTTY === true && !host.env["CI"];
  const page = annotations(host, id);
  try {
    await journal.append(events);
    let last = "";
    await host.progress
      .step("rollout", `rollout ${id}`, async (update) => {
        await runRollout({
          state,
          append: journal.append,
          world,
          host,
          stopRequested: () => (stop === true ? Promise.resolve(true) : exists(stopFileOf(id))),
          show: (now, at, trouble) => {
            const moment = trouble ?? formatMoment(now);
            if (live) update(moment, formatRows(now, at));
            else if (moment !== last) update(moment);
            last = moment;
            page.follow(now, at);
          },
        });
      })
      .catch((error: unknown) => {
        // It had begun: what is refused from here on is not before anything was changed.
        if (host.signal.aborted || !(error instanceof BakeError)) throw error;
        reportFailure(error);
      });
    await page.end(state, host.now());
    print(options, formatEnd(id, state), rolloutObject(id, state, false));
    return state.status === "done" ? 0 : 1;
  } catch (error) {
    if (host.signal.aborted) {
      process.stderr.write(`${formatEnd(id, state)}\n`);
    }
    throw error;
  } finally {
    await journal.close();
  }
};

/** @throws BakeError BK711 for a rollout that has ended. */
export const requireOpen = ({ id, state }: FoundRollout): void => {
  if (state.status !== "done" && state.status !== "stopped") return;
  throw new BakeError(
    "BK711",
    `the rollout ${id} is ${state.status}`,
    "Begin a new one: what is right already is not touched. bake rollout run --back goes back.",
  );
};

/** @throws BakeError BK709 for a rollout of another profile, or of another kind of nodes. */
export const requireProfileOf = ({ id, state }: FoundRollout, { file, world }: RolloutContext): void => {
  const missing = state.begun.nodes.find(
    ({ kind }) => kind !== "as" && !world.movers.some((mover) => mover.kind === kind),
  );
  if (missing !== undefined) {
    throw new BakeError(
      "BK709",
      `the rollout ${id} is of nodes of the kind ${missing.kind}`,
      `Give --kind ${missing.kind}, and what it wants besides.`,
    );
  }
  if (state.begun.profile === file.name) return;
  throw new BakeError(
    "BK709",
    `the rollout ${id} is of the profile ${state.begun.profile}, not of ${file.name}`,
    `bake rollout status ${id} shows it; give --profile ${state.begun.profile}.`,
  );
};

/** Goes on with a rollout, from its journal. @returns the exit code. */
export const resume = async (
  opened: RolloutContext,
  options: ResumeOptions,
  named: string | undefined,
): Promise<number> => {
  const found = await findRollout(named);
  requireProfileOf(found, opened);
  requireOpen(found);
  const context = contextOf(opened, found.state);
  if (options.yes !== true) {
    print(
      options,
      `${formatEnd(found.id, found.state)}\nnothing was changed; add --yes to go on`,
      rolloutObject(found.id, found.state, false),
    );
    return 0;
  }
  const release = await take(found.id);
  try {
    // It may have gone on before the lock was ours.
    const { state } = await readRollout(found.id);
    requireOpen({ id: found.id, state });
    // Their clock is the journal's.
    await look(context);
    const { maxFailed, killJobs } = options;
    const event: RolloutEvent = {
      event: "resumed",
      at: context.host.now() + (context.world.agents.clockSkew() ?? 0),
      ...(maxFailed !== undefined && { maxFailed }),
      ...(killJobs === true && { killJobs }),
    };
    const events = state.status === "paused" || maxFailed !== undefined || killJobs === true ? [event] : [];
    await rm(stopFileOf(found.id), { force: true });
    for (const each of events) apply(state, each);
    return await go(context, options, { id: found.id, events, state });
  } finally {
    await release();
  }
};
