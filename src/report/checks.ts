/** Checks of a report: what failed, the guide row by row, hosts one below the other. Pure. */
import { exitCodeOfNode, summaryLine } from "../check/compare.ts";
import { type CheckResult, gates, type Outcome, summarize } from "../check/results.ts";
import { rowResults } from "../check/rows.ts";
import { type Child, element, type Html } from "../formats/html.ts";
import type { ReportedNode } from "./input.ts";
import { count, factList, outcomeMark, section, table } from "./parts.ts";

/** Of a node: failed beats what could not be checked. */
export const verdictOf = (node: ReportedNode): readonly [outcome: Outcome, words: string] =>
  (
    [
      ["passed", "passed"],
      ["failed", "failed"],
      ["no answer", "could not check"],
    ] as const
  )[exitCodeOfNode(node)] ?? ["no answer", "could not check"];

const line = (name: string, text: string | undefined): Child =>
  text === undefined ? undefined : element("div", {}, element("dt", {}, name), element("dd", {}, text));

const failureOf = ({ check, outcome, expected, found, detail }: CheckResult): Html =>
  element(
    "li",
    { class: "failure" },
    element(
      "p",
      { class: "what" },
      outcomeMark(outcome, gates(check) || outcome !== "failed" ? outcome : `failed, ${check.level}`),
      " ",
      element("strong", {}, `${check.rows.join(" ")} ${check.title}`.trim()),
      " ",
      element("code", {}, check.id),
    ),
    element(
      "dl",
      {},
      line("expected", expected),
      line("found", found ?? detail),
      // What to do about a failure is wrong advice where nothing is known to have failed.
      line("to do", outcome === "failed" ? check.help : undefined),
    ),
  );

/** What failed or had no answer, and what could not be checked. */
const findingsOf = ({ results, problems, panics = [] }: ReportedNode): Child[] => {
  const failures = results.filter(({ outcome }) => outcome === "failed" || outcome === "no answer");
  return [
    ...problems.map((problem) =>
      element("p", { class: "problem" }, outcomeMark("no answer", "could not check"), ` ${problem}`),
    ),
    ...panics.map((words) =>
      element("p", { class: "problem" }, outcomeMark("no answer", "kernel panic"), ` the node started again: ${words}`),
    ),
    failures.length === 0 ? undefined : element("ul", { class: "failures" }, ...failures.map(failureOf)),
  ];
};

const rowsTable = (results: readonly CheckResult[], label: string): Html =>
  table(
    label,
    [{ head: "guide" }, { head: "subject" }, { head: "outcome" }, { head: "checks", kind: "words" }],
    rowResults(results).map(({ row, subject, outcome, note }) => [row, subject, outcomeMark(outcome), note]),
    "rows",
  );

/** How many rows of the guide came out how. */
const countsOf = ({ results }: ReportedNode): Readonly<Record<Outcome, number>> => {
  const rows = results.length === 0 ? [] : rowResults(results);
  const of = (outcome: Outcome): number => rows.filter((row) => row.outcome === outcome).length;
  return {
    passed: of("passed"),
    failed: of("failed"),
    "no answer": of("no answer"),
    "not checked": of("not checked"),
  };
};

/** `12 passed, 1 failed, 3 not checked`: rows, or checks. */
const told = (counts: readonly (readonly [number, string])[]): string =>
  counts
    .filter(([number], index) => index === 0 || number > 0)
    .map(([number, word]) => `${number} ${word}`)
    .join(", ");

const totalsOf = (node: ReportedNode): string => {
  const rows = countsOf(node);
  const checks = summarize(node.results);
  return `Guide rows: ${told([
    [rows.passed, "passed"],
    [rows.failed, "failed"],
    [rows["no answer"], "without an answer"],
    [rows["not checked"], "not checked"],
  ])}. Checks: ${told([
    [checks.passed, "passed"],
    [checks.failed, "failed"],
    [checks.advisory, "failed that no job waits for"],
    [checks.noAnswer, "without an answer"],
    [checks.notChecked, "not checked"],
  ])}.`;
};

/** Checks of one node or image. */
export const checksOfOne = (node: ReportedNode): Html =>
  section(
    "checks",
    "Checks",
    element("p", {}, totalsOf(node)),
    ...findingsOf(node),
    node.results.length === 0 ? undefined : rowsTable(node.results, "Rows of the guide"),
  );

const hostRow = (node: ReportedNode, index: number): Child[] => {
  const [outcome, words] = verdictOf(node);
  const rows = countsOf(node);
  const failed = rowResults(node.results).flatMap((row) => (row.outcome === "failed" ? [row.row] : []));
  const why = node.results.length === 0 ? (node.problems[0] ?? "") : failed.join(" ");
  return [
    element("a", { href: `#host-${index + 1}` }, node.name),
    outcomeMark(outcome, words),
    rows.passed,
    rows.failed,
    rows["no answer"],
    rows["not checked"],
    why,
  ];
};

/** Hosts, a row each, then each with what came of it. */
export const checksOfHosts = (nodes: readonly ReportedNode[]): Html =>
  section(
    "checks",
    "Hosts",
    element("p", {}, `${summaryLine(nodes)}. Numbers are rows of the guide.`),
    table(
      "Hosts",
      [
        { head: "host" },
        { head: "outcome" },
        { head: "passed", kind: "number" },
        { head: "failed", kind: "number" },
        { head: "no answer", kind: "number" },
        { head: "not checked", kind: "number" },
        { head: "which failed", kind: "words" },
      ],
      nodes.map(hostRow),
      "hosts",
    ),
    ...nodes.map((node, index) =>
      element(
        "section",
        { id: `host-${index + 1}`, class: "host", "aria-labelledby": `host-${index + 1}-title` },
        element(
          "h3",
          { id: `host-${index + 1}-title` },
          element("span", { class: "value" }, node.name),
          " ",
          outcomeMark(...verdictOf(node)),
        ),
        node.facts === undefined ? undefined : factList(node.facts),
        ...findingsOf(node),
        node.results.length === 0
          ? undefined
          : element(
              "details",
              {},
              element("summary", {}, `${count(rowResults(node.results).length, "row")} of the guide`),
              element("p", {}, totalsOf(node)),
              rowsTable(node.results, `Rows of the guide on ${node.name}`),
            ),
      ),
    ),
  );
