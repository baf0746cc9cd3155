/** What `bake rollout` prints, for people and for programs. Pure. */
import { formatSeconds } from "../host/progress.ts";
import { type NodeState, nodeStates } from "../rollout/journal-events.ts";
import { hasFailed, type NodeRecord, type RolloutState } from "../rollout/state.ts";
import type { RolloutPlan } from "../rollout/waves.ts";

const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? "" : "s"}`;

/** `2 h 05 min`, or as progress says shorter times. */
const formatLong = (seconds: number): string => {
  if (seconds < 3600) return formatSeconds(seconds);
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
};

const mostNames = 8;

const names = (nodes: readonly { readonly name: string }[]): string =>
  `${nodes
    .slice(0, mostNames)
    .map(({ name }) => name)
    .join(", ")}${nodes.length > mostNames ? `, and ${nodes.length - mostNames} more` : ""}`;

const waveName = (wave: number): string => (wave === 0 ? "canary" : `wave ${wave}`);

/** The plan: which nodes, which waves, how long. One that is only shown has no ID: the rollout that does it gets one. */
export const formatPlan = (
  { begun, least, most, usable, nothing }: RolloutPlan,
  { begins }: { readonly begins: boolean },
): string => {
  const { nodes, already, images, settings, waves, group } = begun;
  const bakeIdOf = (image: string): string => images.find(({ id }) => id === image)?.bakeId.slice(0, 10) ?? "?";
  const ends = [...new Set(nodes.map(({ from, to }) => `${from} (${bakeIdOf(from)}) -> ${to} (${bakeIdOf(to)})`))];
  if (nothing) return `nothing to do: ${count(already.length, "node")} right already: ${names(already)}`;
  return [
    `${begins ? `rollout ${begun.rollout}` : "plan of a rollout"} of ${begun.profile}${begun.back === undefined ? "" : `: the way back of ${begun.back}`}`,
    ...ends.map((end) => `  ${end}`),
    ...(group === undefined
      ? []
      : [
          `  the AS group ${group.name} makes new members of ${group.to}, up to as many more as go in a wave; then the old ones go, ${group.before.sizes.desired} stay`,
        ]),
    ...Array.from({ length: waves }, (_, wave) => {
      const members = nodes.filter((node) => node.wave === wave);
      const soak = wave === 0 ? settings.canarySoak : settings.soak;
      return `  ${waveName(wave).padEnd(9)} ${String(members.length).padStart(4)}  ${names(members)}; soaks ${formatLong(soak)}`;
    }),
    ...(already.length > 0 ? [`  not touched ${already.length}  ${names(already)}`] : []),
    `  ${usable} of ${nodes.length + already.length} nodes take jobs now, ${settings.minHealthy} have to at any moment; ${settings.maxFailed} may fail`,
    `  it soaks for ${formatLong(least)}, and ends or pauses within ${formatLong(most)}`,
  ].join("\n");
};

/** How many nodes of a wave are in which state: `3 ready, 1 booting`. */
const counts = (records: readonly NodeRecord[]): string => {
  const by = new Map<NodeState, number>();
  for (const { state } of records) by.set(state, (by.get(state) ?? 0) + 1);
  return nodeStates
    .filter((state) => by.has(state))
    .map((state) => `${by.get(state) ?? 0} ${state}`)
    .join(", ");
};

/** Seconds that are left, by the waves that are done; undefined before the first. */
const leftOf = (state: RolloutState, now: number): number | undefined => {
  const done = state.wave + (state.phase === "done" ? 1 : 0);
  if (done < 1 || state.status !== "running") return undefined;
  const each = (state.since - state.begun.at) / done;
  return Math.max(0, (each * (state.begun.waves - done) - (now - state.since)) / 1000);
};

/** One line: where it is. */
export const formatMoment = (state: RolloutState): string => {
  if (state.closing !== undefined) return `begins nothing more: ${state.closing.reason}`;
  const members = [...state.nodes.values()].filter(({ plan }) => plan.wave === state.wave);
  const soaks = state.phase === "soaking" ? " soaks" : "";
  const of = state.wave > 0 ? ` of ${state.begun.waves - 1}` : "";
  return `${waveName(Math.max(0, state.wave))}${of}${soaks}: ${counts(members)}`;
};

/** A line a wave; the last says what is left. */
export const formatRows = (state: RolloutState, now: number): string[] => {
  const left = leftOf(state, now);
  return [
    ...Array.from({ length: state.begun.waves }, (_, wave) => {
      const members = [...state.nodes.values()].filter(({ plan }) => plan.wave === wave);
      const phase = wave < state.wave ? "done" : wave === state.wave ? state.phase : "";
      return `${waveName(wave).padEnd(9)} ${phase.padEnd(8)} ${counts(members)}`;
    }).slice(0, 12),
    ...(left === undefined ? [] : [`about ${formatLong(left)} left`]),
  ];
};

const failureLines = (records: readonly NodeRecord[]): string[] =>
  records.flatMap(({ plan, state, why, job }) => [
    `  ${plan.name}  ${state}${why === undefined ? "" : `: ${why}`}`,
    ...(job === undefined ? [] : [`    last job: ${job}`]),
  ]);

/** What to do next, with the exact command. @param id Its folder's name. */
const nextLines = (id: string, { status, begun, settings }: RolloutState, failed: number): string[] => {
  const profile = `--profile ${begun.profile}`;
  if (status === "paused") {
    return [
      `go on, once the cause is gone:  bake rollout run --resume ${id} ${profile} --yes`,
      ...(failed > settings.maxFailed
        ? [`go on without what failed:      bake rollout run --resume ${id} ${profile} --max-failed ${failed} --yes`]
        : []),
      `go back to the old image:       bake rollout run --back ${id} ${profile} --yes`,
      `end it, nodes stay as they are: bake rollout stop ${id} ${profile}`,
    ];
  }
  if (status === "running") return [`go on:  bake rollout run --resume ${id} ${profile} --yes`];
  return begun.back === undefined ? [`go back:  bake rollout run --back ${id} ${profile} --yes`] : [];
};

/** How it ended or where it stands. @param id Its folder's name. */
export const formatEnd = (id: string, state: RolloutState): string => {
  const records = [...state.nodes.values()];
  const failed = records.filter(hasFailed);
  const left = records.filter((record) => record.state === "draining" || record.state === "drained");
  return [
    `rollout ${id}: ${state.status}${state.status === "paused" ? `, ${state.closing?.gate ?? "gate"}: ${state.closing?.reason ?? ""}` : ""}`,
    `  ${counts(records)}${state.begun.already.length > 0 ? `; ${state.begun.already.length} not touched` : ""}`,
    ...failureLines(failed),
    ...(state.status !== "running" && left.length > 0
      ? [`  their agents were stopped, their image was not changed: ${names(left.map(({ plan }) => plan))}`]
      : []),
    ...(state.status === "stopped" && state.group?.trouble !== undefined
      ? [
          `  the AS group was not put back as it was, look at its sizes, configuration and policies: ${state.group.trouble}`,
        ]
      : []),
    ...nextLines(id, state, failed.length),
  ].join("\n");
};

/** The object of `--json`. */
export const rolloutObject = (id: string, state: RolloutState, running: boolean) => ({
  id,
  profile: state.begun.profile,
  group: state.begun.group?.name ?? null,
  status: state.status,
  running,
  back: state.begun.back ?? null,
  began: new Date(state.begun.at).toISOString(),
  last: new Date(state.last).toISOString(),
  wave: state.wave,
  waves: state.begun.waves,
  phase: state.phase,
  gate: state.closing?.gate ?? null,
  reason: state.closing?.reason ?? null,
  images: state.begun.images,
  settings: state.settings,
  nodes: [...state.nodes.values()].map(({ plan, state: at, why, job, since }) => ({
    id: plan.id,
    name: plan.name,
    wave: plan.wave,
    from: plan.from,
    to: plan.to,
    state: at,
    since: new Date(since).toISOString(),
    why: why ?? null,
    job: job ?? null,
  })),
  already: state.begun.already.map(({ name }) => name),
});
