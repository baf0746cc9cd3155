/** `bake doctor`: what a bake needs, looked at before anything is made or paid for. */
import { bakeTargets, chooseTarget } from "../bake/targets.ts";
import type { Line, Outcome } from "../huaweicloud/preflight/index.ts";
import { BakeError } from "../errors.ts";
import type { TargetName } from "../profile/schema.ts";
import { targetsOf } from "../targets/index.ts";
import { endOf, makeHost, storeOf } from "./host.ts";
import { planAsked, readAsked } from "./planned.ts";
import { paintFor } from "./report.ts";

export interface DoctorOptions {
  readonly profile: string;
  /** Without it the first that the profile has and that can be looked at. */
  readonly target?: TargetName;
  readonly json?: boolean;
}

/** How a preflight ends. Pure. @returns 0 ok, 1 something is wrong, 2 something could not be checked and nothing else is wrong. */
const exitCodeOf = (lines: readonly Line[]): number =>
  lines.some(({ outcome }) => outcome === "wrong") ? 1 : lines.some(({ outcome }) => outcome === "not checked") ? 2 : 0;

const outcomes: readonly Outcome[] = ["ok", "wrong", "not checked", "real run"];

const countsOf = (lines: readonly Line[]): Record<Outcome, number> =>
  Object.fromEntries(outcomes.map((name) => [name, lines.filter(({ outcome }) => outcome === name).length])) as Record<
    Outcome,
    number
  >;

const colorOf = { ok: "passed", wrong: "failed", "not checked": "not checked", "real run": "not checked" } as const;

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
    `${counts.ok} ok, ${counts.wrong} wrong, ${counts["not checked"]} not checked, ${counts["real run"]} that only a bake shows`,
  ].join("\n");
};

/** `bake doctor`. @returns the exit code: 0 ok, 1 something is wrong, 2 could not check. */
export const doctor = async (options: DoctorOptions): Promise<number> => {
  const { host } = await makeHost(process.stderr);
  try {
    const asked = await readAsked({ profile: options.profile });
    if (asked === undefined) return 2;
    const { file, profile } = asked;
    const name = chooseTarget(profile, file.file, {
      asked: options.target ?? targetsOf(profile).find((each) => bakeTargets[each].preflight !== undefined),
      trial: false,
      offline: false,
    });
    const { preflight, where } = bakeTargets[name];
    if (preflight === undefined) {
      throw new BakeError(
        "BK413",
        `there is nothing to look at before a bake ${where}`,
        `bake doctor knows: ${Object.entries(bakeTargets)
          .flatMap(([each, target]) => (target.preflight === undefined ? [] : [each]))
          .join(", ")}.`,
      );
    }
    const { plan, files } = await planAsked(host, storeOf(host), asked, name);
    const lines = await preflight(host, { plan, files });
    const exitCode = exitCodeOf(lines);
    if (options.json === true) {
      const { ok, wrong, "not checked": notChecked, "real run": realRun } = countsOf(lines);
      const summary = { ok, wrong, notChecked, realRun, exitCode };
      process.stdout.write(`${JSON.stringify({ profile: file.name, target: name, lines, summary }, null, 2)}\n`);
    } else {
      process.stdout.write(
        `preflight of ${file.file}, to bake ${where}\n${formatLines(lines, paintFor(process.stdout))}\n`,
      );
    }
    return exitCode;
  } catch (error) {
    return endOf(host, error);
  }
};
