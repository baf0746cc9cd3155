/** `bake check` of many hosts at once, and what CI reads of a check: JUnit and an annotation. */
import { writeFile } from "node:fs/promises";
import {
  exitCodeOfAll,
  exitCodeOfNode,
  formatAnnotation,
  formatSideBySide,
  type NodeReport,
  summaryLine,
} from "../check/compare.ts";
import { formatJunit } from "../check/junit.ts";
import { formatFailures } from "../check/rows.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { formatSshTarget, type SshTarget } from "../vm/ssh.ts";
import { paintFor, reportObject } from "./report.ts";

/** Files that CI reads, where they were asked for. */
export interface ReportFiles {
  readonly junit?: string;
  readonly annotation?: string;
}

/** Writes them. @throws BakeError BK518 */
export const writeReports = async (
  { junit, annotation }: ReportFiles,
  profile: string,
  nodes: readonly NodeReport[],
): Promise<void> => {
  for (const [file, text] of [
    [junit, formatJunit(profile, nodes)],
    [annotation, formatAnnotation(profile, nodes)],
  ] as const) {
    if (file === undefined) continue;
    await writeFile(file, text).catch((error: Error) => {
      throw new BakeError("BK518", `${file} cannot be written: ${error.message}`);
    });
  }
};

/** What a host says of itself, where it could be reached. */
interface Seen extends NodeReport {
  readonly node: Readonly<Record<string, unknown>>;
  readonly failure?: BakeError;
}

/** So many hosts at a time: each is an ssh connection and one file that is sent. */
const atOnce = 8;

const inParallel = async <In, Out>(list: readonly In[], work: (item: In) => Promise<Out>): Promise<Out[]> => {
  const results: Out[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < list.length; index = next++) results[index] = await work(list[index] as In);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, list.length) }, worker));
  return results;
};

/**
 * Looks at all of them, whatever happens to one, and prints a table with a column a host, then what failed on each.
 * @returns the exit code: 1 when one has findings, else 2 when one could not be checked.
 */
export const checkSeveral = async (
  host: Host,
  targets: readonly SshTarget[],
  look: (target: SshTarget) => Promise<Pick<Seen, "results" | "problems" | "node">>,
  { plan, json, files }: { readonly plan: NodePlan; readonly json: boolean; readonly files: ReportFiles },
): Promise<number> => {
  const nodes = await inParallel(targets, async (target): Promise<Seen> => {
    const name = formatSshTarget(target);
    try {
      return { ...(await look(target)), name };
    } catch (error) {
      host.signal.throwIfAborted();
      if (!(error instanceof BakeError)) throw error;
      const help = error.help === undefined ? "" : ` (${error.help.replaceAll("\n", " ")})`;
      return {
        name,
        results: [],
        problems: [`${error.code}: ${error.message}${help}`],
        node: { kind: "host", target: name },
        failure: error,
      };
    }
  });
  await writeReports(files, plan.profile, nodes);
  const exitCode = exitCodeOfAll(nodes);
  if (json) {
    const hosts = nodes.map(({ node, results, problems, failure, ...each }) => ({
      ...reportObject(plan, node, results, { problems, exitCode: exitCodeOfNode({ results, problems }) }),
      name: each.name,
      ...(failure !== undefined && { failure: { code: failure.code, message: failure.message, help: failure.help } }),
    }));
    process.stdout.write(
      `${JSON.stringify({ profile: plan.profile, trial: plan.trial, hosts, summary: { exitCode } }, null, 2)}\n`,
    );
    return exitCode;
  }
  const paint = paintFor(process.stdout);
  const told = nodes.flatMap(({ name, results, problems }) => {
    const failures = formatFailures(results, paint);
    return failures === "" && problems.length === 0
      ? []
      : [
          [name, ...(failures === "" ? [] : [failures]), ...problems.map((each) => `  could not check: ${each}`)].join(
            "\n",
          ),
        ];
  });
  process.stdout.write(`\n${[formatSideBySide(nodes, paint), ...told, summaryLine(nodes)].join("\n\n")}\n`);
  return exitCode;
};
