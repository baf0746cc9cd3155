/** What `bake image` and `bake check` print of results: the table by guide row, failed checks, totals; or all of it as JSON. */
import pc from "picocolors";
import type { JobOutcome } from "../check/job-run.ts";
import type { CheckReport } from "../check/check-image.ts";
import type { CheckResult, Outcome, Subject } from "../check/results.ts";
import { summarize } from "../check/results.ts";
import {
  formatFailures,
  formatRows,
  formatTotals,
  hasFindings,
  hasSilence,
  type Paint,
  rowResults,
} from "../check/rows.ts";
import { cachedSteps } from "../check/ci-job.ts";
import { formatTimeline } from "../check/timeline.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { formatSeconds } from "../host/progress.ts";

/** Colours on a terminal, unless NO_COLOR says no. */
export const paintFor = (stream: NodeJS.WriteStream): Paint => {
  const colors = pc.createColors(stream.isTTY === true && !process.env["NO_COLOR"]);
  return (text, outcome) =>
    outcome === "failed" ? colors.red(text) : outcome === "passed" ? colors.green(text) : colors.yellow(text);
};

/** The table by guide row, failed checks and totals. Pure. */
export const formatReport = (results: readonly CheckResult[], paint: Paint): string => {
  const rows = rowResults(results);
  const failures = formatFailures(results, paint);
  const silent = results.some(({ outcome }) => outcome === "no answer");
  return [
    `guide rows\n${formatRows(rows, paint)}`,
    ...(failures === "" ? [] : [`${silent ? "checks that failed or had no answer" : "failed checks"}\n${failures}`]),
    formatTotals(results, rows),
  ].join("\n\n");
};

/**
 * The exit code of a check. Pure.
 * @returns 0 ok, 1 findings, 2 when something could not be checked and nothing else is wrong.
 */
export const exitCodeOf = (results: readonly CheckResult[], couldNotCheck: boolean): number =>
  hasFindings(rowResults(results)) ? 1 : couldNotCheck || hasSilence(rowResults(results)) ? 2 : 0;

/** The object of `--json`; docs/check.md describes it. Pure. */
export const reportObject = (
  plan: NodePlan,
  node: Readonly<Record<string, unknown>>,
  results: readonly CheckResult[],
  { problems, exitCode }: { readonly problems: readonly string[]; readonly exitCode: number },
) => {
  const rows = rowResults(results);
  const of = (outcome: Outcome): number => rows.filter((row) => row.outcome === outcome).length;
  return {
    profile: plan.profile,
    trial: plan.trial,
    node,
    results: results.map(({ check: { id, rows: guide, title, level, help }, outcome, detail, expected, found }) => ({
      id,
      rows: guide,
      title,
      level,
      outcome,
      detail: detail ?? "",
      ...(expected !== undefined && { expected }),
      ...(found !== undefined && { found }),
      ...(outcome === "failed" && help !== undefined && { help }),
    })),
    rows: rows.map(({ row, subject, outcome, note }) => ({ row, subject, outcome, note })),
    problems,
    summary: {
      rows: {
        passed: of("passed"),
        failed: of("failed"),
        noAnswer: of("no answer"),
        notChecked: of("not checked"),
      },
      checks: summarize(results),
      exitCode,
    },
  };
};

const outside = (subject: Omit<Subject, "level">, failure: string | undefined): CheckResult => ({
  check: { ...subject, level: "gating" },
  outcome: failure === undefined ? "passed" : "failed",
  ...(failure !== undefined && { detail: failure, found: failure }),
});

/** The checks on the node, and what was seen from outside of it. Pure. */
export const imageResults = (report: CheckReport): CheckResult[] => [
  ...report.results,
  outside(
    {
      id: "vm-registrations",
      rows: ["G5", "G6"],
      title: "names, hostname and tags of the agents are those of the contract",
    },
    report.problems.length === 0 ? undefined : report.problems.join("; "),
  ),
];

const tail = (log: string, lines: number): string =>
  log
    .trimEnd()
    .split("\n")
    .slice(-lines)
    .map((line) => `    | ${line.trimEnd()}`)
    .join("\n");

const formatJob = ({ agent, exitStatus, seconds, log, logFile }: JobOutcome): string => {
  const line = `  ${agent}: exit ${exitStatus} in ${formatSeconds(seconds)}, second build of a fresh builder: ${cachedSteps(log)} steps CACHED`;
  return exitStatus === 0 ? line : `${line}\n${tail(log, 20)}${logFile === undefined ? "" : `\n    log: ${logFile}`}`;
};

/**
 * Agents, jobs and boot timelines of a VM, and whether its kernel panicked. Pure. @param accel The accelerator, for the
 * headings.
 */
export const formatImageReport = (report: CheckReport, accel: string): string =>
  [
    ...report.boots.map(({ agents, jobs, timeline, seconds }, position) => {
      const [name, from] =
        position === 0 ? ["first boot, blank data disk", "power-on"] : ["after a reboot", "the reboot"];
      return [
        `${name}: agents and their jobs (loopback agent API)\n${
          jobs.length > 0 ? jobs.map(formatJob).join("\n") : agents.map((agent) => `  ${agent}`).join("\n")
        }`,
        `${name}: boot timeline (${accel})\n${formatTimeline(timeline)}\n  from ${from}: ssh ${formatSeconds(seconds.ssh)}, agents registered ${formatSeconds(seconds.agents)}, jobs done ${formatSeconds(seconds.jobs)}`,
      ].join("\n\n");
    }),
    ...report.panics.map(
      (words) =>
        `the VM's kernel panicked and started again: ${words}${accel === "tcg" ? " (emulation has panics of its own making; console.log has it all)" : ""}`,
    ),
  ].join("\n\n");
