/** Boots of a report: agents, jobs, when each unit started and was up, and which took longest. Pure. */
import type { JobResult } from "../check/agent-api/jobs.ts";
import type { BootReport } from "../check/check-image.ts";
import { cachedSteps } from "../check/ci-job.ts";
import { formatSeeding, type Timeline, type UnitTime } from "../check/timeline.ts";
import { element, type Html } from "../formats/html.ts";
import { formatSeconds } from "../host/progress.ts";
import { axis, bar, ticksOf } from "./charts.ts";
import type { ReportedNode } from "./input.ts";
import { factList, outcomeMark, section, table } from "./parts.ts";

const fixed = (seconds: number | undefined): string => (seconds === undefined ? "–" : seconds.toFixed(1));

/** When units started and were up, in seconds since the kernel started: a bar each. */
const timelineChart = ({ userspace, finished, units }: Timeline, name: string): Html => {
  const end = Math.max(1, userspace, finished ?? 0, ...units.flatMap(({ start, up }) => [start ?? 0, up ?? 0]));
  const ticks = ticksOf(end).map((at) => at / end);
  const row = ({ unit, start, up, state }: UnitTime) => [
    state === "active" ? unit : [unit, " ", outcomeMark(state === "failed" ? "failed" : "not checked", state)],
    fixed(start),
    fixed(up),
    bar(
      start === undefined
        ? []
        : [{ from: start / end, to: (up ?? end) / end, kind: up === undefined ? "failed" : "main" }],
      ticks,
    ),
  ];
  return table(
    `When units started and were up, ${name}`,
    [
      { head: "unit" },
      { head: "start", kind: "number" },
      { head: "up", kind: "number" },
      { head: [element("span", { class: "hidden" }, "from start to up"), axis(end, "s")], kind: "bar" },
    ],
    [
      ["kernel", fixed(0), fixed(userspace), bar([{ from: 0, to: userspace / end, kind: "quiet" }], ticks)],
      ...units.map(row),
      ...(finished === undefined
        ? []
        : [["boot finished", "", fixed(finished), bar([{ from: 0, to: finished / end, kind: "quiet" }], ticks)]]),
    ],
    "chart",
  );
};

/** So many of the longest. */
const mostUnits = 10;

/** Units by how long they took, whoever they belong to. */
const longestChart = ({ units, longest }: Timeline, name: string): Html | undefined => {
  const own = units.flatMap(({ unit, start, up }) =>
    start === undefined || up === undefined || up <= start ? [] : [{ unit, seconds: up - start, kind: "main" }],
  );
  const all = [...own, ...longest.map((each) => ({ ...each, kind: "quiet" }))]
    .toSorted((a, b) => b.seconds - a.seconds)
    .slice(0, mostUnits);
  const end = all[0]?.seconds;
  if (end === undefined) return undefined;
  return table(
    `Longest units, ${name}`,
    [
      { head: "longest units" },
      { head: "seconds", kind: "number" },
      { head: element("span", { class: "hidden" }, "share"), kind: "bar" },
    ],
    all.map(({ unit, seconds, kind }) => [unit, fixed(seconds), bar([{ from: 0, to: seconds / end, kind }])]),
    "chart short",
  );
};

/** Lines of a failed job's log that are shown. */
const mostLines = 20;

const jobsTable = (jobs: readonly JobResult[], name: string): Html =>
  table(
    `Jobs, ${name}`,
    [
      { head: "agent" },
      { head: "job" },
      { head: "took", kind: "number" },
      { head: "steps from the cache, second build of a fresh builder", kind: "number" },
    ],
    jobs.map((job) => [
      job.agent,
      outcomeMark(job.exitStatus === 0 ? "passed" : "failed", `exit ${job.exitStatus}`),
      formatSeconds(job.seconds),
      cachedSteps(job.log),
    ]),
    "jobs",
  );

const logOf = ({ agent, exitStatus, log }: JobResult): Html | undefined =>
  exitStatus === 0
    ? undefined
    : element(
        "details",
        { open: true },
        element("summary", {}, `Last lines of the job of ${agent}`),
        element("pre", { tabindex: 0 }, log.trimEnd().split("\n").slice(-mostLines).join("\n")),
      );

const bootOf = ({ agents, jobs, timeline, seconds }: BootReport, position: number): Html => {
  const [name, from] = position === 0 ? ["first boot, blank data disk", "power-on"] : ["after a reboot", "the reboot"];
  return element(
    "section",
    { class: "boot", "aria-labelledby": `boot-${position + 1}` },
    element("h3", { id: `boot-${position + 1}` }, `${name[0]?.toUpperCase()}${name.slice(1)}`),
    factList([
      [`from ${from} to ssh`, formatSeconds(seconds.ssh)],
      ["to agents that are registered", formatSeconds(seconds.agents)],
      ["to jobs that are done", formatSeconds(seconds.jobs)],
      ...(jobs.length > 0 ? [] : [["agents", agents.join(", ") || "none"] as const]),
    ]),
    element(
      "p",
      { class: "note" },
      "Seconds since the kernel started; a bar goes from a unit's start until it was up.",
    ),
    timeline.seeding === undefined
      ? undefined
      : element("p", { class: "note" }, `In bake-storage the ${formatSeeding(timeline.seeding)}.`),
    timelineChart(timeline, name),
    longestChart(timeline, name),
    jobs.length === 0 ? undefined : jobsTable(jobs, name),
    ...jobs.map(logOf),
  );
};

/** Boots of what was booted; nothing where nothing was. */
export const bootsOf = ({ boots = [] }: ReportedNode): Html | undefined =>
  boots.length === 0 ? undefined : section("boot", "Boot", ...boots.map(bootOf));
