/** `bake rollout`: nodes are brought to an image in waves. Nothing is changed without `--yes`. */
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { randomName } from "../host/random-name.ts";
import { groupWayBack, wayBack } from "../rollout/back.ts";
import {
  beganAt,
  findRollout,
  type FoundRollout,
  newId,
  openJournal,
  readRollout,
  requireId,
  stepIdOf,
} from "../rollout/journal.ts";
import type { RolloutEvent } from "../rollout/journal-events.ts";
import type { Look } from "../rollout/look.ts";
import { imageOfConfiguration } from "../rollout/movers/scaling.ts";
import { groupNow, replaceable, type WantedGroup } from "../rollout/plan-group.ts";
import { fold, hasFailed, type RolloutState } from "../rollout/state.ts";
import { planRollout, type PlanRequest, type RolloutPlan } from "../rollout/waves.ts";
import { endOf, makeHost } from "./host.ts";
import { reportFailure } from "./profile-file.ts";
import { go, print, requireProfileOf, resume, type ResumeOptions, type RolloutOptions, take } from "./rollout-go.ts";
import { formatEnd, formatPlan, rolloutObject } from "./rollout-text.ts";
import {
  contextOf,
  groupMeant,
  imageOf,
  look,
  nodesOf,
  openRollout,
  type RolloutContext,
  withGroup,
} from "./rollout-world.ts";

export interface PlanOptions extends RolloutOptions {
  readonly image: string;
  readonly to: string;
  readonly wave?: number | string;
  readonly maxFailed?: number;
}

export interface RunOptions extends ResumeOptions {
  readonly image?: string;
  readonly to?: string;
  readonly wave?: number | string;
  /** `true` for the newest. */
  readonly resume?: string | true;
  readonly back?: string | true;
  /** Its ID, where a caller repeats it. */
  readonly rollout?: string;
}

const withContext = async (
  options: RolloutOptions,
  work: (context: RolloutContext) => Promise<number>,
): Promise<number> => {
  const { host } = await makeHost(process.stderr);
  try {
    const context = await openRollout(host, options);
    return context === undefined ? 2 : await work(context);
  } catch (error) {
    return endOf(host, error);
  }
};

/** @returns the plan; undefined after the reasons against it were printed. */
const planned = (request: PlanRequest): RolloutPlan | undefined => {
  const plan = planRollout(request);
  if ("begun" in plan) return plan;
  for (const reason of plan) reportFailure(reason);
  return undefined;
};

type Asked = Pick<RunOptions, "wave" | "maxFailed" | "killJobs">;

/** What a request has of the profile and the command line. */
const commonOf = async (
  { profile, file, self, world }: RolloutContext,
  { wave, maxFailed, killJobs }: Asked,
): Promise<Omit<PlanRequest, "rollout" | "nodes" | "look">> => ({
  profile: file.name,
  queue: profile.agents.queue,
  settings: profile.rollout,
  stopTimeout: profile.agents.stopTimeout,
  spawn: profile.agents.spawn,
  images: await world.images(),
  self,
  ...(wave !== undefined && { wave }),
  ...(maxFailed !== undefined && { maxFailed }),
  ...(killJobs === true && { killJobs }),
});

const freshId = ({ now }: Pick<Host, "now">): string => newId(now(), randomName(3));

/** The AS group that was looked at, if there is one, on its way to an image. */
const groupTo = async (
  { cloud }: RolloutContext,
  { group: looked }: Look,
  to: string,
): Promise<WantedGroup | undefined> =>
  looked === undefined
    ? undefined
    : { looked, to, before: groupNow(looked, await imageOfConfiguration(cloud, looked.seen.configuration)) };

/** A plan, and what it is run in. */
interface Planned {
  readonly context: RolloutContext;
  readonly found: RolloutPlan;
}

const planForward = async (
  opened: RolloutContext,
  { image, to, ...asked }: Asked & { readonly image: string; readonly to: string },
  rollout = freshId(opened.host),
): Promise<Planned | undefined> => {
  const wanted = await imageOf(opened, image);
  const all = await look(opened);
  const meant = await groupMeant(opened, all, to);
  const context = meant === undefined ? opened : withGroup(opened, meant);
  const seen = meant === undefined ? all : await look(context);
  const group = await groupTo(context, seen, wanted);
  const going =
    group === undefined ? nodesOf(seen, to) : replaceable(group.looked).flatMap(({ id }) => seen.nodes.get(id) ?? []);
  const nodes = going.map((node) => ({ seen: node, to: wanted }));
  const begun = await beganAt(going.flatMap((node) => node.heldBy ?? []));
  const found = planned({
    ...(await commonOf(context, asked)),
    rollout,
    nodes,
    look: seen,
    begunAt: (id) => begun.get(id),
    ...(group !== undefined && { group }),
  });
  return found === undefined ? undefined : { context, found };
};

const planObject = ({ begun, least, most, usable }: RolloutPlan) => ({
  waves: begun.waves,
  usable,
  leastSeconds: least,
  mostSeconds: most,
  settings: begun.settings,
  images: begun.images,
  nodes: begun.nodes,
  already: begun.already.map(({ name }) => name),
});

/** `bake rollout plan`. @returns the exit code. */
export const plan = (options: PlanOptions): Promise<number> =>
  withContext({ ...options, keepUserData: true }, async (context) => {
    const way = await planForward(context, options);
    if (way === undefined) return 2;
    print(options, formatPlan(way.found, { begins: false }), planObject(way.found));
    return 0;
  });

const stateOf = (begun: RolloutEvent): RolloutState => {
  const state = fold([begun]);
  if (state === undefined) throw new Error("a plan that does not begin");
  return state;
};

const showOnly = (options: RolloutOptions, found: RolloutPlan): number => {
  print(options, `${formatPlan(found, { begins: false })}\nnothing was changed; add --yes to do it`, planObject(found));
  return 0;
};

/** Begins what was planned. @param id The folder's name. @returns the exit code. */
const beginPlanned = async (
  context: RolloutContext,
  options: RunOptions,
  { begun, ...rest }: RolloutPlan,
  id = begun.rollout,
): Promise<number> => {
  if (options.yes !== true) return showOnly(options, { begun, ...rest });
  if (rest.nothing) {
    print(options, formatPlan({ begun, ...rest }, { begins: false }), planObject({ begun, ...rest }));
    return 0;
  }
  const release = await take(id);
  try {
    if (options.json !== true) process.stderr.write(`${formatPlan({ begun, ...rest }, { begins: true })}\n`);
    return await go(context, options, { id, events: [begun], state: stateOf(begun) });
  } finally {
    await release();
  }
};

/** The AS group of a rollout, as the way back has to leave it: as it was before, or as it is where the rollout has put it back. */
const groupBack = async (
  context: RolloutContext,
  { begun, status, nodes }: RolloutState,
  seen: Look,
): Promise<WantedGroup | undefined> => {
  if (begun.group === undefined) return undefined;
  const { configuration, image, ...before } = begun.group.before;
  const now = await groupTo(context, seen, image);
  if (now === undefined) return undefined;
  // One that failed or was ended has left more members than there were.
  const isPutBack = status === "done" && ![...nodes.values()].some(hasFailed);
  return { ...now, configuration, before: isPutBack ? now.before : { ...now.before, ...before } };
};

/** Goes back from a rollout. @returns the exit code. */
const goBack = async (opened: RolloutContext, options: RunOptions, named: string | undefined): Promise<number> => {
  const found = await findRollout(named);
  requireProfileOf(found, opened);
  const context = contextOf(opened, found.state);
  const release = await take(found.id);
  try {
    const old = (await readRollout(found.id)).state;
    const seen = await look(context);
    const group = await groupBack(context, old, seen);
    const { gone, ...ways } = wayBack(old, seen);
    const { nodes, bystanders, held } = group === undefined ? ways : groupWayBack(old, seen, group);
    if (nodes.length === 0 && group === undefined) {
      print(options, `the rollout ${found.id} changed nothing: there is no way back to go`, {
        id: found.id,
        nodes: [],
      });
      return 0;
    }
    // Members that are gone are what a rollout over a group comes to.
    for (const name of group === undefined ? gone : [])
      process.stderr.write(`warning: the cloud does not list ${name} any more: it is left out\n`);
    const begun = await beganAt(nodes.flatMap((node) => node.seen.heldBy ?? []));
    const wayPlan = planned({
      ...(await commonOf(context, options)),
      rollout: freshId(context.host),
      back: old.begun.rollout,
      minHealthy: Math.max(0, Math.min(old.settings.minHealthy, nodes.length + bystanders.length - 1)),
      nodes,
      bystanders,
      look: seen,
      begunAt: (id) => begun.get(id),
      ...(group !== undefined && { group }),
    });
    if (wayPlan === undefined) return 2;
    if (options.yes !== true) return showOnly(options, wayPlan);
    if (old.status === "running" || old.status === "paused") {
      const journal = await openJournal(found.id);
      await journal.append([{ event: "stopped", at: seen.at, by: wayPlan.begun.rollout }]);
      await journal.close();
    }
    for (const { plan: node } of held) {
      const mover = context.world.movers.find(({ kind }) => kind === node.kind);
      await mover?.release(node.id, old.begun.rollout);
    }
    return await beginPlanned(context, options, wayPlan);
  } finally {
    await release();
  }
};

/** What a journal says, if there is one. @param id The folder's name. @throws BakeError BK708 */
const readBefore = (id: string): Promise<FoundRollout | undefined> =>
  readRollout(id).catch((error: unknown) => {
    if (error instanceof BakeError && error.code === "BK709") return undefined;
    throw error;
  });

/** `bake rollout run`. @returns the exit code. */
export const run = (options: RunOptions): Promise<number> =>
  withContext({ ...options, keepUserData: options.keepUserData === true || options.yes !== true }, async (context) => {
    const { resume: resumed, back, image, to, rollout } = options;
    if (resumed !== undefined) return resume(context, options, resumed === true ? undefined : resumed);
    if (back !== undefined) return goBack(context, options, back === true ? undefined : back);
    const before = rollout === undefined ? undefined : await readBefore(requireId(rollout));
    if (before !== undefined) {
      const { nodes, already, group } = before.state.begun;
      const wanted = await imageOf(context, image ?? "");
      const other = [...nodes, ...already, ...(group === undefined ? [] : [group])].find(
        ({ to: each }) => each !== wanted,
      );
      if (other !== undefined) {
        throw new BakeError(
          "BK714",
          `the rollout ${before.id} was begun to the image ${other.to}, not to ${wanted}`,
          "Take another ID.",
        );
      }
    }
    if (before?.state.status === "done") {
      print(options, formatEnd(before.id, before.state), rolloutObject(before.id, before.state, false));
      return 0;
    }
    if (before !== undefined) return resume(context, options, before.id);
    const way = await planForward(context, { ...options, image: image ?? "", to: to ?? "" }, rollout);
    return way === undefined ? 2 : beginPlanned(way.context, options, way.found);
  });

export interface NodeOptions extends RolloutOptions {
  readonly image: string;
  readonly rollout?: string;
  readonly yes?: boolean;
  readonly killJobs?: boolean;
}

/**
 * `bake rollout node`: the step of one node, which does nothing that is done. Of one rollout it can be called again, and from another
 * machine. @returns the exit code.
 */
export const node = (name: string, options: NodeOptions): Promise<number> =>
  withContext({ ...options, keepUserData: options.keepUserData === true || options.yes !== true }, async (context) => {
    const rollout = options.rollout === undefined ? freshId(context.host) : requireId(options.rollout);
    const folder = options.rollout === undefined ? rollout : stepIdOf(rollout, name);
    const before = await readBefore(folder);
    if (before !== undefined && (before.state.status === "running" || before.state.status === "paused"))
      return resume(context, options, folder);
    const profile = { ...context.profile, rollout: { ...context.profile.rollout, canarySoak: 0, minHealthy: 0 } };
    const way = await planForward({ ...context, profile }, { ...options, to: name }, rollout);
    if (way === undefined) return 2;
    if (way.found.begun.group !== undefined) {
      throw new BakeError(
        "BK701",
        `${name} is an AS group, and no node`,
        `bake rollout run --to ${name} replaces its members in waves.`,
      );
    }
    return beginPlanned(context, options, way.found, before === undefined ? folder : freshId(context.host));
  });
