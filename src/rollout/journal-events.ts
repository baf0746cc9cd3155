/**
 * What a rollout's journal says, a line an event: what was decided, what is about to be called, and what came of it. The state of a
 * rollout is what its events come to (state.ts). No secret is among them: of user-data its digest alone.
 */
import * as z from "zod";
import { moverKinds } from "./ports.ts";

export const nodeStates = [
  "planned",
  /** Its tag `bake-rollout` was read back. */
  "locked",
  /** Its agents were asked to stop; their jobs end first. */
  "draining",
  /** None of its agents is connected. */
  "drained",
  /** The change of its system was announced, and perhaps sent. */
  "changing",
  /** It has the image; its agents are waited for. */
  "booting",
  /** All its agents are back, from the right image. */
  "ready",
  /** Its wave has soaked, and it is held no more. */
  "unlocked",
  "drain-timeout",
  "change-failed",
  "not-ready",
] as const;
export type NodeState = (typeof nodeStates)[number];

/** Why a rollout pauses. */
const gateKinds = ["canary", "failures", "capacity", "held", "image", "queue", "group", "api"] as const;
export type GateKind = (typeof gateKinds)[number];

/** Milliseconds in memory; in the journal a text that people can read. By Buildkite's clock as far as it is known. */
const at = z.iso.datetime().transform((text) => Date.parse(text));

const Settings = z.object({
  maxFailed: z.int(),
  /** Nodes. */
  minHealthy: z.int(),
  /** Cancel jobs that run beyond the limit of the drain. */
  killJobs: z.boolean(),
  /** Seconds, as all that follow. */
  canarySoak: z.number(),
  soak: z.number(),
  drainTimeout: z.number(),
  changeTimeout: z.number(),
  readyTimeout: z.number(),
  interval: z.number(),
});
export type RolloutSettings = z.infer<typeof Settings>;

const Image = z.object({ id: z.string(), bakeId: z.string() });
export type FrozenImage = z.infer<typeof Image>;

const PlannedNode = z.object({
  id: z.string(),
  name: z.string(),
  hostname: z.string(),
  kind: z.enum(moverKinds),
  /** Image that it has at the beginning, and the one that it gets. */
  from: z.string(),
  to: z.string(),
  /** Agents that it has to have: as many as at the beginning, or those of the profile where it had none. */
  agents: z.int(),
  /** From 0, which is the canary. */
  wave: z.int(),
  /** It has the image already, by the same rollout from another machine: its agents alone are waited for. */
  booting: z.boolean().optional(),
});
export type PlannedNode = z.infer<typeof PlannedNode>;

const RightNode = z.object({ id: z.string(), name: z.string(), hostname: z.string(), agents: z.int(), to: z.string() });

const Sizes = z.object({ min: z.int(), max: z.int(), desired: z.int() });
const ids = z.array(z.string()).readonly();

/** The AS group whose members are replaced. */
const PlannedGroup = z.object({
  id: z.string(),
  name: z.string(),
  /** The image that it gets. */
  to: z.string(),
  /** The configuration of that image, where there is one already: on the way back. */
  configuration: z.string().optional(),
  /** What is put back at the end. */
  before: z.object({
    configuration: z.string(),
    /** Of that configuration. */
    image: z.string(),
    sizes: Sizes,
    /** IDs of policies that were on. */
    policies: ids,
    /** Members that were protected. */
    protected: ids,
  }),
  /** Members of that configuration that stay: so many take jobs, and these do not and are not waited for. */
  base: z.int(),
  aside: ids,
  /** New members that it takes in all. */
  replacements: z.int(),
  /** Agents that a new member has to have. */
  agents: z.int(),
});
export type PlannedGroup = z.infer<typeof PlannedGroup>;

/** What is called for an AS group. */
const GroupCall = z.union([
  z.object({
    do: z.literal("configure"),
    name: z.string(),
    image: z.string(),
    /** SHA-256 of the user-data; null when it stays as it is. */
    userData: z.string().nullable(),
  }),
  z.object({ do: z.literal("switch policies"), policies: ids, on: z.boolean() }),
  z.object({ do: z.literal("use"), configuration: z.string() }),
  z.object({ do: z.literal("resize"), sizes: Sizes }),
  z.object({ do: z.literal("protect"), members: ids, isProtected: z.boolean() }),
  z.object({ do: z.literal("remove"), members: ids }),
]);
export type GroupCall = z.infer<typeof GroupCall>;

const outcome = z.enum(["ok", "busy", "refused", "unknown"]);
export type Outcome = z.infer<typeof outcome>;

const error = z.string().optional();
const node = z.string();

const Event = z.union([
  z.object({
    event: z.literal("begun"),
    at,
    rollout: z.string(),
    profile: z.string(),
    /** The rollout whose way back this is. */
    back: z.string().optional(),
    queue: z.string(),
    /** All that `nodes` name: they stay these to the end. */
    images: z.array(Image),
    settings: Settings,
    waves: z.int(),
    nodes: z.array(PlannedNode),
    /** What had the image and all its agents: it is not touched. */
    already: z.array(RightNode),
    /** Then the nodes are its members. */
    group: PlannedGroup.optional(),
  }),
  z.object({ event: z.literal("intent"), at, call: z.enum(["hold", "release"]), node }),
  z.object({
    event: z.literal("intent"),
    at,
    call: z.literal("stop"),
    agents: z.array(z.object({ id: z.string(), node })),
    killJobs: z.boolean(),
  }),
  z.object({
    event: z.literal("intent"),
    at,
    call: z.literal("change"),
    node,
    from: z.string(),
    to: z.string(),
    /** SHA-256 of the user-data that goes with it; null when it stays as it is. */
    userData: z.string().nullable(),
  }),
  z.object({ event: z.literal("intent"), at, call: z.literal("group"), step: GroupCall }),
  z.object({ event: z.literal("result"), at, call: z.enum(["hold", "release"]), node, outcome, error }),
  z.object({
    event: z.literal("result"),
    at,
    call: z.literal("group"),
    step: GroupCall,
    outcome,
    /** What was made. */
    configuration: z.string().optional(),
    error,
  }),
  z.object({
    event: z.literal("result"),
    at,
    call: z.literal("stop"),
    outcome,
    error,
    refused: z.array(z.object({ id: z.string(), node, why: z.string() })),
  }),
  z.object({
    event: z.literal("result"),
    at,
    call: z.literal("change"),
    node,
    outcome,
    job: z.string().optional(),
    error,
  }),
  z.object({
    event: z.literal("node"),
    at,
    node,
    state: z.enum(nodeStates),
    why: z.string().optional(),
    /** Where the last job of its agents can be looked at. */
    job: z.string().optional(),
  }),
  /** The cloud does nothing to a node whose change was announced, though it has the old image. */
  z.object({ event: z.literal("idle"), at, node }),
  z.object({ event: z.literal("busy"), at, node }),
  /** What the cloud says became of a change. */
  z.object({
    event: z.literal("answered"),
    at,
    node,
    state: z.enum(["running", "done", "failed", "unknown"]),
    reason: z.string().optional(),
  }),
  /** Nothing can be done for the AS group until then. */
  z.object({ event: z.literal("waits"), at, until: z.string() }),
  /** New members that are not waited for any more, until a person resumes. */
  z.object({ event: z.literal("aside"), at, members: ids }),
  z.object({ event: z.literal("wave"), at, wave: z.int(), phase: z.enum(["begun", "soaking", "done"]) }),
  /** From now on nothing is begun; when what is under way has ended it is `paused`. */
  z.object({ event: z.literal("gate"), at, gate: z.enum(gateKinds), reason: z.string() }),
  z.object({ event: z.literal("paused"), at, gate: z.enum(gateKinds), reason: z.string() }),
  z.object({
    event: z.literal("resumed"),
    at,
    maxFailed: z.int().optional(),
    killJobs: z.boolean().optional(),
  }),
  /** A person asked for the end. */
  z.object({ event: z.literal("stopping"), at }),
  z.object({ event: z.literal("stopped"), at, by: z.string().optional() }),
  z.object({ event: z.literal("done"), at }),
]);

export type RolloutEvent = z.infer<typeof Event>;
export type Begun = Extract<RolloutEvent, { event: "begun" }>;

/** Its line in the journal, with its end. Pure. */
export const lineOf = (event: RolloutEvent): string =>
  `${JSON.stringify({ ...event, at: new Date(event.at).toISOString() })}\n`;

/** @returns what a line says; a text with what is wrong with it. Pure. */
export const readLine = (line: string): RolloutEvent | string => {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (problem) {
    return (problem as Error).message;
  }
  const read = Event.safeParse(value);
  if (read.success) return read.data;
  const kind = (value as { event?: unknown } | null)?.event;
  return `no event of a rollout${typeof kind === "string" ? ` (${JSON.stringify(kind.slice(0, 20))})` : ""}`;
};
