/** `bake doctor`: what a bake needs, looked at before anything is made or paid for. */
import { join } from "node:path";
import type { Architecture } from "../artifact.ts";
import { bakeTargets, chooseTarget } from "../bake/targets.ts";
import type { Host } from "../host/host.ts";
import { targetNames } from "../profile/schema.ts";
import type { TargetName } from "../profile/schema.ts";
import { planTarget, targetsOf } from "../targets/index.ts";
import { endOf, makeHost, storeOf } from "./host.ts";
import { type Line, lookAtMachine } from "./machine.ts";
import { planAsked, readAsked } from "./planned.ts";
import { paintFor } from "./report.ts";

export interface DoctorOptions {
  /** Without one this machine alone is looked at. */
  readonly profile?: string;
  /** Without it the profile's target in a cloud, where it has one. */
  readonly target?: TargetName;
  /** Asks no host. */
  readonly offline?: boolean;
  readonly json?: boolean;
}

/** How a preflight ends. Pure. @returns 0 ok, 1 something is wrong, 2 something could not be checked and nothing else is wrong. */
const exitCodeOf = (lines: readonly Line[]): number =>
  lines.some(({ outcome }) => outcome === "wrong") ? 1 : lines.some(({ outcome }) => outcome === "not checked") ? 2 : 0;

type Outcome = Line["outcome"];

const outcomes: readonly Outcome[] = ["ok", "note", "wrong", "not checked", "real run"];

const countsOf = (lines: readonly Line[]): Record<Outcome, number> =>
  Object.fromEntries(outcomes.map((name) => [name, lines.filter(({ outcome }) => outcome === name).length])) as Record<
    Outcome,
    number
  >;

const colorOf = {
  ok: "passed",
  note: "not checked",
  wrong: "failed",
  "not checked": "not checked",
  "real run": "not checked",
} as const;

/** The table, with what to do below each line. Pure but for colours. */
const formatLines = (lines: readonly Line[], paint: ReturnType<typeof paintFor>): string => {
  const width = Math.max(...lines.map(({ title }) => title.length));
  const counts = countsOf(lines);
  return [
    ...lines.flatMap(({ title, outcome, detail, help }) => [
      `  ${paint(outcome.padEnd(11), colorOf[outcome])}  ${title.padEnd(width)}  ${detail}`,
      ...(outcome === "ok" ? [] : (help?.split("\n") ?? [])).map((line) => `${" ".repeat(width + 17)}${line}`),
    ]),
    "",
    [
      `${counts.ok} ok`,
      `${counts.wrong} wrong`,
      ...(counts.note > 0 ? [`${counts.note} to know`] : []),
      `${counts["not checked"]} not checked`,
      ...(counts["real run"] > 0 ? [`${counts["real run"]} that only a bake shows`] : []),
    ].join(", "),
  ].join("\n");
};

/** Prints them. @returns the exit code. */
const tell = (
  lines: readonly Line[],
  title: string,
  about: Readonly<Record<string, unknown>>,
  json: boolean | undefined,
): number => {
  const exitCode = exitCodeOf(lines);
  if (json === true) {
    const { ok, wrong, note, "not checked": notChecked, "real run": realRun } = countsOf(lines);
    const summary = { ok, wrong, ...(note > 0 && { note }), notChecked, realRun, exitCode };
    process.stdout.write(`${JSON.stringify({ ...about, lines, summary }, null, 2)}\n`);
  } else process.stdout.write(`${title}\n${formatLines(lines, paintFor(process.stdout))}\n`);
  return exitCode;
};

/** Nodes are of this machine's kind, where no profile says otherwise. */
const architectureHere = ({ architecture }: Pick<Host, "architecture">): Architecture =>
  architecture === "arm64" ? "aarch64" : "x86_64";

/** The first of all targets is the one of this machine. */
const [localTarget] = targetNames;

/** `bake doctor`. @returns the exit code: 0 ok, 1 something is wrong, 2 could not check. */
export const doctor = async (options: DoctorOptions): Promise<number> => {
  const { host } = await makeHost(process.stderr);
  const { json, offline = false } = options;
  try {
    if (options.profile === undefined) {
      const architecture = architectureHere(host);
      const lines = await lookAtMachine(host, { architecture, out: "out", offline });
      return tell(
        lines,
        `this machine, to bake ${architecture} in a local VM`,
        { profile: null, target: localTarget },
        json,
      );
    }
    const asked = await readAsked({ profile: options.profile });
    if (asked === undefined) return 2;
    const { file, profile } = asked;
    const name = chooseTarget(profile, file.file, {
      asked: options.target ?? targetsOf(profile).find((each) => bakeTargets[each].preflight !== undefined),
      trial: false,
      offline: false,
    });
    const { preflight, where } = bakeTargets[name];
    const about = { profile: file.name, target: name };
    if (preflight === undefined) {
      const { architecture } = planTarget(file.name, profile, name).plan;
      const lines = await lookAtMachine(host, { profile, architecture, out: join(file.home, "out"), offline });
      return tell(lines, `this machine, to bake ${file.file} ${where}`, about, json);
    }
    const { plan, files } = await planAsked(host, storeOf(host), asked, name);
    const lines = await preflight(host, { plan, files });
    return tell(lines, `preflight of ${file.file}, to bake ${where}`, about, json);
  } catch (error) {
    return endOf(host, error);
  }
};
