/** Results of checks → the table by guide row. Pure. */
import { asksFor, guideRows, notProven } from "../node/guide.ts";
import { type CheckResult, gates, type Outcome, summarize } from "./results.ts";

export interface RowResult {
  /** `G1` … `G28`. */
  readonly row: string;
  readonly subject: string;
  readonly outcome: Outcome;
  /** How many checks, or why nothing was checked. */
  readonly note: string;
}

/** Whether it is a check of bake's own files, which says nothing about a host that was set up by hand. Pure. */
export const isAboutBake = ({ id }: { readonly id: string }): boolean => id.startsWith("bake-");

const count = (results: readonly CheckResult[], outcome: Outcome): number =>
  results.filter((result) => result.outcome === outcome).length;

const reasons = (results: readonly CheckResult[]): string =>
  [...new Set(results.flatMap(({ outcome, detail }) => (outcome === "not checked" && detail ? [detail] : [])))].join(
    "; ",
  );

/**
 * Failed: a check of the row failed, whatever waits for it. No answer: one that jobs wait for, or the only ones there are, did not
 * come to an end. Not checked: nothing was looked at, or not everything; bake's own files aside, which a host that was set up by
 * hand does not have.
 */
const outcomeOf = (results: readonly CheckResult[]): Outcome => {
  if (results.some(({ outcome }) => outcome === "failed")) return "failed";
  const looked = results.some(({ outcome }) => outcome === "passed");
  if (results.some(({ check, outcome }) => outcome === "no answer" && (gates(check) || !looked))) return "no answer";
  const missed = results.some(({ check, outcome }) => outcome !== "passed" && !isAboutBake(check));
  return missed || !looked ? "not checked" : "passed";
};

const noteOf = (results: readonly CheckResult[]): string => {
  const failed = results.filter(({ outcome }) => outcome === "failed");
  const advisory = failed.filter(({ check }) => !gates(check)).length;
  const missed = count(results, "not checked");
  const why = reasons(results);
  return [
    ...(failed.length - advisory > 0 ? [`${failed.length - advisory} failed`] : []),
    ...(advisory > 0 ? [`${advisory} failed (advisory)`] : []),
    ...(count(results, "passed") > 0 ? [`${count(results, "passed")} passed`] : []),
    ...(count(results, "no answer") > 0 ? [`${count(results, "no answer")} without an answer`] : []),
    ...(missed > 0 ? [`${missed} not checked${why === "" ? "" : `: ${why}`}`] : []),
  ].join(", ");
};

const whyNone = (row: string): string =>
  notProven[row] ?? (asksFor[row] === undefined ? "no check names this row" : `${asksFor[row]} is not set`);

/** Every row of the guide, and after them rows that only a check names. Pure. */
export const rowResults = (results: readonly CheckResult[]): RowResult[] => {
  const known = new Set(guideRows.map(({ row }) => row));
  const others = [...new Set(results.flatMap(({ check }) => check.rows))].filter((row) => !known.has(row));
  return [...guideRows, ...others.map((row) => ({ row, subject: "" }))].map(({ row, subject }) => {
    const own = results.filter(({ check }) => check.rows.includes(row));
    return own.length === 0
      ? { row, subject, outcome: "not checked", note: whyNone(row) }
      : { row, subject, outcome: outcomeOf(own), note: noteOf(own) };
  });
};

/** Whether a row had no answer: nobody can say whether something is wrong. Pure. */
export const hasSilence = (rows: readonly RowResult[]): boolean => rows.some(({ outcome }) => outcome === "no answer");

/** Whether something is wrong: a row failed. Pure. */
export const hasFindings = (rows: readonly RowResult[]): boolean => rows.some(({ outcome }) => outcome === "failed");

/** Colours an outcome, or leaves it. */
export type Paint = (text: string, outcome: Outcome) => string;

const plain: Paint = (text) => text;

/** The table by guide row, one line a row, in ASCII. Pure. */
export const formatRows = (rows: readonly RowResult[], paint: Paint = plain): string => {
  const width = (key: "row" | "subject"): number => Math.max(...rows.map((row) => row[key].length), 5);
  const [rowWidth, subjectWidth] = [width("row"), width("subject")];
  return [
    `  ${"guide".padEnd(rowWidth)}  ${"subject".padEnd(subjectWidth)}  ${"outcome".padEnd(11)}  checks`,
    ...rows.map(
      ({ row, subject, outcome, note }) =>
        `  ${row.padEnd(rowWidth)}  ${subject.padEnd(subjectWidth)}  ${paint(outcome.padEnd(11), outcome)}  ${note}`,
    ),
  ].join("\n");
};

/**
 * Each failed check with what was expected and found, and what to do. Pure. @returns an empty text when none failed.
 */
export const formatFailures = (results: readonly CheckResult[], paint: Paint = plain): string =>
  results
    .filter(({ outcome }) => outcome === "failed" || outcome === "no answer")
    .flatMap(({ check, outcome, expected, found, detail }) => [
      `  ${paint(outcome, outcome)}  ${check.rows.join(" ")}  ${check.title} [${check.id}${gates(check) ? "" : `, ${check.level}`}]`,
      ...(expected === undefined ? [] : [`          expected  ${expected}`]),
      ...(found === undefined
        ? detail === undefined
          ? []
          : [`          found     ${detail}`]
        : [`          found     ${found}`]),
      // What to do about a failure is wrong advice where nothing is known to have failed.
      ...(check.help === undefined || outcome === "no answer" ? [] : [`          to do     ${check.help}`]),
    ])
    .join("\n");

/** Two lines with the totals of rows and of checks. Pure. */
export const formatTotals = (results: readonly CheckResult[], rows: readonly RowResult[]): string => {
  const { passed, failed, advisory, noAnswer, notChecked } = summarize(results);
  const of = (outcome: Outcome): number => rows.filter((row) => row.outcome === outcome).length;
  const silent = (number: number): string => (number === 0 ? "" : `${number} without an answer, `);
  return `guide rows: ${of("passed")} passed, ${of("failed")} failed, ${silent(of("no answer"))}${of("not checked")} not checked\nchecks: ${passed} passed, ${failed} failed, ${silent(noAnswer)}${notChecked} not checked, ${advisory} advisory`;
};
