/** `bake check` of many hosts at once, and what CI reads of a check: JUnit and an annotation. */
import { exitCodeOfAll, exitCodeOfNode, formatAnnotation, formatSideBySide, summaryLine } from "../check/compare.ts";
import { formatJunit } from "../check/junit.ts";
import { formatFailures } from "../check/rows.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { formatSshTarget, type SshTarget } from "../vm/ssh.ts";
import type { ReportedNode } from "../report/input.ts";
import { type About, nodesPage, writeReport } from "./report-file.ts";
import { paintFor, reportObject } from "./report.ts";

/** Files that CI and people read, where they were asked for. */
export interface ReportFiles {
  readonly junit?: string;
  readonly annotation?: string;
  readonly report?: string;
}

/** Writes them. @param page The text of the report, for what was found. @throws BakeError BK518 */
export const writeReports = async (
  { junit, annotation, report }: ReportFiles,
  profile: string,
  nodes: readonly ReportedNode[],
  page: (nodes: readonly ReportedNode[]) => string | Promise<string>,
): Promise<void> => {
  if (junit !== undefined) await writeReport(junit, formatJunit(profile, nodes));
  if (annotation !== undefined) await writeReport(annotation, formatAnnotation(profile, nodes));
  if (report !== undefined) await writeReport(report, await page(nodes));
};

/** What a host says of itself, where it could be reached. */
interface Seen extends ReportedNode {
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
  look: (target: SshTarget) => Promise<Pick<Seen, "results" | "problems" | "node" | "facts">>,
  {
    plan,
    json,
    files,
    secrets,
  }: Pick<About, "secrets"> & { readonly plan: NodePlan; readonly json: boolean; readonly files: ReportFiles },
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
  await writeReports(files, plan.profile, nodes, (all) =>
    nodesPage({ profile: plan.profile, trial: plan.trial, now: host.now(), secrets }, all),
  );
  const exitCode = exitCodeOfAll(nodes);
  if (json) {
    const hosts = nodes.map(({ node, results, problems, failure, name }) => ({
      ...reportObject(plan, node, results, { problems, exitCode: exitCodeOfNode({ results, problems }) }),
      name,
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
