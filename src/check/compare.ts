/** Several nodes against one plan, side by side. Pure. */
import { markdownCell } from "../formats/markdown.ts";
import { type CheckResult, gates, type Outcome } from "./results.ts";
import { hasFindings, hasSilence, type Paint, type RowResult, rowResults } from "./rows.ts";

/** What came of looking at one node. */
export interface NodeReport {
  /** `root@node`, or the path of an image. */
  readonly name: string;
  /** None when it could not be looked at. */
  readonly results: readonly CheckResult[];
  /** What could not be checked, and why: one line each. */
  readonly problems: readonly string[];
}

/** The exit code for a node. @returns 0 ok, 1 findings, 2 when something could not be checked and nothing else is wrong. */
export const exitCodeOfNode = ({ results, problems }: Pick<NodeReport, "results" | "problems">): number => {
  const rows = results.length === 0 ? [] : rowResults(results);
  return hasFindings(rows) ? 1 : problems.length > 0 || hasSilence(rows) ? 2 : 0;
};

/** 1 when any has findings, else the worst. */
export const exitCodeOfAll = (nodes: readonly NodeReport[]): number => {
  const codes = nodes.map(exitCodeOfNode);
  return codes.includes(1) ? 1 : Math.max(0, ...codes);
};

const verdicts = ["passed", "failed", "could not check"] as const;

const verdictOf = (node: NodeReport): (typeof verdicts)[number] => verdicts[exitCodeOfNode(node)] ?? "could not check";

/** Nodes with nothing at all have no rows. */
const rowsOf = (node: NodeReport): readonly RowResult[] => (node.results.length === 0 ? [] : rowResults(node.results));

interface Line {
  readonly row: string;
  readonly subject: string;
  readonly cells: readonly (Outcome | "-")[];
}

/** Rows that were looked at on some node, in the guide's order. */
const linesOf = (nodes: readonly NodeReport[]): Line[] => {
  const all = nodes.map(rowsOf);
  const rows = [...new Map(all.flat().map((each) => [each.row, each.subject])).entries()];
  return rows
    .map(([row, subject]) => ({
      row,
      subject,
      cells: all.map((own) => own.find((each) => each.row === row)?.outcome ?? ("-" as const)),
    }))
    .filter(({ cells }) => cells.some((cell) => cell !== "not checked" && cell !== "-"));
};

/** A table with a column a node: rows of the guide, then what came of each node. */
export const formatSideBySide = (nodes: readonly NodeReport[], paint: Paint = (text) => text): string => {
  const lines = linesOf(nodes);
  const widths = nodes.map(({ name }) => Math.max(name.length, 15));
  const first = Math.max(5, ...lines.map(({ row }) => row.length));
  const second = Math.max(7, ...lines.map(({ subject }) => subject.length));
  const head = `  ${"guide".padEnd(first)}  ${"subject".padEnd(second)}`;
  const cell = (text: string, index: number): string => text.padEnd(widths[index] ?? 0);
  const painted = (text: string, index: number, outcome: Outcome | "-"): string =>
    outcome === "-" ? cell(text, index) : paint(cell(text, index), outcome);
  return [
    `${head}  ${nodes.map(({ name }, index) => cell(name, index)).join("  ")}`.trimEnd(),
    ...lines.map(({ row, subject, cells }) =>
      `  ${row.padEnd(first)}  ${subject.padEnd(second)}  ${cells.map((outcome, index) => painted(outcome, index, outcome)).join("  ")}`.trimEnd(),
    ),
    `  ${"".padEnd(first)}  ${"all of it".padEnd(second)}  ${nodes
      .map((node, index) => {
        const verdict = verdictOf(node);
        return painted(verdict, index, verdict === "could not check" ? "no answer" : verdict);
      })
      .join("  ")}`.trimEnd(),
  ].join("\n");
};

/** `2 of 3 nodes passed, 1 failed`. */
export const summaryLine = (nodes: readonly NodeReport[]): string => {
  const of = (verdict: string): number => nodes.filter((node) => verdictOf(node) === verdict).length;
  const rest = (["failed", "could not check"] as const)
    .filter((verdict) => of(verdict) > 0)
    .map((verdict) => `, ${of(verdict)} ${verdict === "failed" ? "failed" : "could not be checked"}`);
  return `${of("passed")} of ${nodes.length} node${nodes.length === 1 ? "" : "s"} passed${rest.join("")}`;
};

const marks: Readonly<Record<Outcome | "-", string>> = {
  passed: ":white_check_mark:",
  failed: ":x:",
  "no answer": ":hourglass:",
  "not checked": "not checked",
  "-": "",
};

/** Longer annotations are cut by Buildkite at a megabyte; nobody reads a hundred of one kind. */
const mostFailures = 50;

const code = (text: string): string => {
  const fence = "`".repeat(Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length)) + 1);
  const pad = text.startsWith("`") || text.endsWith("`") ? " " : "";
  return `${fence}${pad}${text}${pad}${fence}`;
};

/** Markdown for `buildkite-agent annotate`: the table, what failed and what to do. */
export const formatAnnotation = (profile: string, nodes: readonly NodeReport[]): string => {
  const lines = linesOf(nodes);
  const table = [
    `| guide | subject | ${nodes.map(({ name }) => markdownCell(code(name))).join(" | ")} |`,
    `|---|---|${nodes.map(() => "---|").join("")}`,
    ...lines.map(
      ({ row, subject, cells }) =>
        `| ${markdownCell(row)} | ${markdownCell(subject)} | ${cells.map((each) => marks[each]).join(" | ")} |`,
    ),
  ];
  const failures = nodes.flatMap(({ name, results }) =>
    results
      .filter(({ outcome }) => outcome === "failed")
      .map(({ check, detail, found }) =>
        [
          `- ${code(name)} **${check.rows.join(" ")}** ${markdownCell(check.title)} (${code(check.id)}${gates(check) ? "" : ", advisory"})`,
          ...((found ?? detail) === undefined
            ? []
            : [`  <br>found ${code((found ?? detail ?? "").replace(/\s+/g, " "))}`]),
          ...(check.help === undefined ? [] : [`  <br>to do: ${markdownCell(check.help)}`]),
        ].join("\n"),
      ),
  );
  const problems = nodes.flatMap(({ name, problems: own }) =>
    own.map((problem) => `- could not check ${code(name)}: ${code(problem.replace(/\s+/g, " "))}`),
  );
  const told = [...failures, ...problems];
  return `${[
    `### bake check ${code(profile)}: ${summaryLine(nodes)}`,
    ...(lines.length === 0 ? [] : [table.join("\n")]),
    ...(told.length === 0
      ? []
      : [
          [
            ...told.slice(0, mostFailures),
            ...(told.length > mostFailures ? [`- and ${told.length - mostFailures} more`] : []),
          ].join("\n"),
        ]),
  ].join("\n\n")}\n`;
};
