/** preflight.json: what was seen before a bake in Huawei Cloud, and what the bake itself then showed. */
import { join } from "node:path";
import { listed } from "../errors.ts";
import { writeFileAtomic } from "../host/write-file-atomic.ts";
import type { Line } from "../huaweicloud/preflight/index.ts";
import type { Made, Stage } from "./cloud-lines.ts";

export const reportName = "preflight.json";

export interface PreflightReport {
  readonly profile: string;
  readonly target: "huaweicloud";
  readonly bakeId: string;
  readonly region: string;
  readonly zone?: string;
  /** ISO 8601 */
  readonly at: string;
  readonly lines: readonly Line[];
}

/** Writes what the preflight found, whole or not at all. @throws NodeJS.ErrnoException */
export const writeReport = (folder: string, report: PreflightReport): Promise<void> =>
  writeFileAtomic(join(folder, reportName), `${JSON.stringify(report, null, 2)}\n`);

const count = (lines: readonly Line[], outcome: Line["outcome"]): number =>
  lines.filter((line) => line.outcome === outcome).length;

/** Lines with what to do below each. */
export const explained = (lines: readonly Line[]): string =>
  lines
    .flatMap(({ title, outcome, detail, help }) => [
      `  ${outcome.padEnd(11)}  ${title}: ${detail}`,
      ...(help?.split("\n") ?? []).map((line) => `${" ".repeat(15)}${line}`),
    ])
    .join("\n");

/** One line for the run's output, with those that could not be checked below it. */
export const summary = (lines: readonly Line[], place: string): string => {
  const notChecked = lines.filter(({ outcome }) => outcome === "not checked");
  return [
    `  preflight: ${count(lines, "ok")} ok, ${count(lines, "wrong")} wrong, ${notChecked.length} not checked, ${count(lines, "real run")} that only the bake shows (${place})`,
    ...(notChecked.length === 0
      ? []
      : [
          listed(
            notChecked.map(({ title, detail }) => `not checked: ${title}: ${detail}`),
            8,
          ),
        ]),
  ].join("\n");
};

const order: readonly Stage[] = ["server", "reach", "provision", "stop", "image", "clean-up"];

/** What shows each of the lines that only a bake can: the stage that it came to, and what it says then. */
const shown: Readonly<Record<string, readonly [from: Stage, detail: string]>> = {
  capacity: ["reach", "there was room for the server"],
  account: ["reach", "the account may make servers"],
  reach: ["provision", "Packer reached the server by ssh"],
  "image-inside": ["stop", "cloud-init, the upload and every step worked in the source image"],
};

/**
 * The lines of a preflight after the bake. Pure.
 * @param ended Undefined when it came to its end; else why not, on one line.
 */
export const afterBake = (lines: readonly Line[], made: Made, ended: string | undefined): Line[] => {
  const at = order.indexOf(made.stage);
  return lines.map((line): Line => {
    if (line.outcome !== "real run") return line;
    if (line.id === "write-rights") {
      return ended === undefined
        ? { id: line.id, title: line.title, outcome: "ok", detail: "all that was asked for was allowed" }
        : line;
    }
    const [from, detail] = shown[line.id] ?? [];
    if (from === undefined || detail === undefined || at < order.indexOf(from)) return line;
    return { id: line.id, title: line.title, outcome: "ok", detail };
  });
};
