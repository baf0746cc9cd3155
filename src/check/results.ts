/** goss's JSON reports → one result per check of the plan. Pure. */
import * as z from "zod";
import { BakeError } from "../errors.ts";
import type { Check } from "../node/check.ts";

const Report = z.object({
  results: z.array(
    z.object({
      successful: z.boolean(),
      skipped: z.boolean().optional(),
      "resource-type": z.string(),
      "resource-id": z.string(),
      property: z.string(),
      meta: z.object({ check: z.string().optional() }).nullish(),
      err: z.unknown().optional(),
      "matcher-result": z
        .object({ actual: z.unknown(), expected: z.unknown(), "missing-elements": z.unknown().optional() })
        .optional(),
    }),
  ),
});
type GossResult = z.infer<typeof Report>["results"][number];

/** `no answer`: it was asked twice and did not come to an end; nothing is known to be wrong. */
export type Outcome = "passed" | "failed" | "no answer" | "not checked";

/** What a result is about: a check of the plan, or something seen from outside the node. */
export type Subject = Pick<Check, "id" | "rows" | "title" | "level" | "help">;

export interface CheckResult {
  readonly check: Subject;
  readonly outcome: Outcome;
  /** Why it failed, or why it was not checked; one line. */
  readonly detail?: string;
  /** Of a failed check. */
  readonly expected?: string;
  readonly found?: string;
}

/**
 * Reads a report of goss. Pure.
 * @param json What `goss validate --format json` printed.
 * @throws BakeError BK510 when it is no report.
 */
export const parseReport = (json: string): GossResult[] => {
  let value: unknown;
  try {
    value = JSON.parse(json.slice(json.indexOf("{")));
  } catch {
    throw new BakeError("BK510", "goss gave no report", json.trim().split("\n").slice(-8).join("\n"));
  }
  const parsed = Report.safeParse(value);
  if (!parsed.success) throw new BakeError("BK510", "goss gave a report of another shape", parsed.error.message);
  return parsed.data.results;
};

/**
 * Whether goss speaks of this check: by the meta data that the goss file carries, else by the resource's id.
 * goss prints the id as `id`, or as `id: path` where a `path`, `name` or `address` says what it stands for.
 */
const isOf = ({ id, resource: [type, key] }: Check, result: GossResult): boolean => {
  if (result["resource-type"].toLowerCase() !== type) return false;
  if (result.meta?.check !== undefined) return result.meta.check === id;
  const reported = result["resource-id"];
  return [id, key].some((name) => reported === name || reported.startsWith(`${name}: `));
};

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();

/** A pattern for one whole line, without its escapes, is easier to read. */
const readable = (pattern: string): string => {
  const body = /^\/\^(.*)\$\/$/s.exec(pattern)?.[1];
  if (body === undefined) return pattern;
  const escapes = /\\([\\^$.*+?()[\]{}|/-])/g;
  return /[\\^$.*+?()[\]{}|]/.test(body.replace(escapes, "")) ? pattern : JSON.stringify(body.replace(escapes, "$1"));
};

const show = (value: unknown): string =>
  Array.isArray(value)
    ? value.map(show).join(", ")
    : typeof value === "string"
      ? readable(value)
      : (JSON.stringify(value) ?? String(value));

/** goss keeps the output of a command to itself: it says that something is missing, not what is there. */
const keptBack = (value: unknown): boolean => typeof value === "string" && value.startsWith("object: ");

const expectedOf = ({ property, "matcher-result": matcher }: GossResult): string => {
  const missing = matcher?.["missing-elements"];
  const wanted = Array.isArray(missing) && missing.length > 0 ? missing : matcher?.expected;
  return wanted === undefined || wanted === null ? property : `${property} ${show(wanted)}`;
};

const foundOf = ({ property, err, "matcher-result": matcher }: GossResult): string => {
  if (err !== undefined && err !== null) return oneLine(typeof err === "string" ? err : JSON.stringify(err));
  if (matcher === undefined || keptBack(matcher.actual)) return `${property} without it`;
  return `${property} ${show(matcher.actual)}`;
};

/** goss's words for a command that ran into its time-out. */
const outOfTime = ({ err }: GossResult): boolean =>
  /\btimed out\b/.test(typeof err === "string" ? err : JSON.stringify(err ?? ""));

/** A check with four times its time, to ask it once more. Pure. */
export const withMoreTime = (check: Check): Check => {
  const [type, key, attributes] = check.resource;
  const { timeout } = attributes;
  return typeof timeout === "number"
    ? { ...check, resource: [type, key, { ...attributes, timeout: timeout * 4 }] }
    : check;
};

/** Those of the checks that had no answer. Pure. */
export const unanswered = (checks: readonly Check[], results: readonly CheckResult[]): Check[] =>
  checks.filter(({ id }) => results.some(({ check, outcome }) => check.id === id && outcome === "no answer"));

/** Puts what came of asking again in the place of what came first. Pure. */
export const askedAgain = (first: readonly CheckResult[], second: readonly CheckResult[]): CheckResult[] =>
  first.map((result) => second.find(({ check }) => check.id === result.check.id) ?? result);

/**
 * One result for each check. Pure.
 * A check passed when goss looked at it and every property held; one that goss did not report failed.
 */
export const judge = (checks: readonly Check[], results: readonly GossResult[]): CheckResult[] =>
  checks.map((check) => {
    const own = results.filter((result) => result.skipped !== true && isOf(check, result));
    if (own.length === 0) return { check, outcome: "failed", detail: "goss did not report it" };
    const wrong = own.filter(({ successful }) => !successful);
    if (wrong.length === 0) return { check, outcome: "passed" };
    // One property that is wrong is enough, whatever ran out of time beside it.
    if (wrong.every(outOfTime)) {
      return {
        check,
        outcome: "no answer",
        detail: `${foundOf(wrong[0] ?? own[0]!)}: the machine is slow (load, disk)`,
      };
    }
    const expected = wrong.map(expectedOf).join("; ");
    const found = [...new Set(wrong.map(foundOf))].join("; ");
    return { check, outcome: "failed", detail: `expected ${expected}; found ${found}`, expected, found };
  });

/** Results of checks that nobody looked at. Pure. @param why One line. */
export const notChecked = (checks: readonly Subject[], why: string): CheckResult[] =>
  checks.map((check) => ({ check, outcome: "not checked", detail: why }));

/**
 * A result about something that was seen from outside the node. Pure.
 * @param wrong What is wrong, one phrase each; nothing when it passed.
 * @param unreached Why nothing came of looking, if so.
 */
export const fromOutside = (
  id: string,
  rows: readonly string[],
  title: string,
  wrong: readonly string[],
  unreached?: string,
): CheckResult => {
  const check = { id, rows, title, level: "gating" as const };
  if (unreached !== undefined) return { check, outcome: "no answer", detail: unreached };
  return wrong.length === 0 ? { check, outcome: "passed" } : { check, outcome: "failed", detail: wrong.join("; ") };
};

/**
 * One result for each check, from those of all boots. Pure.
 * A check that failed in any boot failed, and says in which.
 * @param boots The results of each boot, in order.
 */
export const worstOfBoots = (boots: readonly (readonly CheckResult[])[]): CheckResult[] => {
  const results = new Map<string, CheckResult>();
  for (const [position, own] of boots.entries()) {
    for (const result of own) {
      const there = results.get(result.check.id);
      const detail = position === 0 || result.detail === undefined ? result.detail : `after a reboot: ${result.detail}`;
      if (there === undefined || (there.outcome !== "failed" && ["failed", "no answer"].includes(result.outcome))) {
        results.set(result.check.id, { ...result, ...(detail !== undefined && { detail }) });
      }
    }
  }
  return [...results.values()];
};

/**
 * Adds what the commands of failed checks print. Pure.
 * @param outputs By check id.
 */
export const withOutputs = (results: readonly CheckResult[], outputs: ReadonlyMap<string, string>): CheckResult[] =>
  results.map((result) => {
    const output = outputs.get(result.check.id);
    if (result.outcome !== "failed" || output === undefined) return result;
    const lines = output
      .split("\n")
      .map(oneLine)
      .filter((line) => line !== "");
    const tail = lines.slice(-3).join(" | ");
    const printed = tail === "" ? "prints nothing" : `prints ${tail.length > 300 ? `${tail.slice(0, 300)} ...` : tail}`;
    // What it prints says more than goss's "without it".
    const found = [...(result.found?.split("; ").filter((part) => !part.endsWith(" without it")) ?? []), printed];
    return {
      ...result,
      found: found.join("; "),
      detail: `expected ${result.expected ?? result.check.title}; found ${found.join("; ")}`,
    };
  });

/** Whether jobs wait for it. Pure. */
export const gates = ({ level }: Pick<Check, "level">): boolean => level === "gating" || level === "npu";

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly advisory: number;
  readonly noAnswer: number;
  readonly notChecked: number;
}

/** Counts the outcomes. Pure. Advisory failures are counted apart: they do not keep a node from jobs. */
export const summarize = (results: readonly CheckResult[]): Totals => {
  const count = (predicate: (result: CheckResult) => boolean): number => results.filter(predicate).length;
  return {
    passed: count(({ outcome }) => outcome === "passed"),
    failed: count(({ outcome, check }) => outcome === "failed" && gates(check)),
    advisory: count(({ outcome, check }) => outcome === "failed" && !gates(check)),
    noAnswer: count(({ outcome }) => outcome === "no answer"),
    notChecked: count(({ outcome }) => outcome === "not checked"),
  };
};
