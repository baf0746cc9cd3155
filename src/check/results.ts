/** goss's JSON reports → one result per check of the plan. Pure. */
import * as z from "zod";
import { BakeError } from "../errors.ts";
import type { Check } from "../plan/check.ts";

const Report = z.object({
  results: z.array(
    z.object({
      successful: z.boolean(),
      skipped: z.boolean().optional(),
      "resource-type": z.string(),
      "resource-id": z.string(),
      property: z.string(),
      "summary-line-compact": z.string().optional(),
      "summary-line": z.string().optional(),
    }),
  ),
});

export interface CheckResult {
  readonly check: Check;
  readonly outcome: "passed" | "failed" | "not checked";
  /** Why it failed, or why it was not checked. */
  readonly detail?: string;
}

/**
 * @param json What `goss validate --format json` printed.
 * @throws BakeError BK510 when it is no report.
 */
export const parseReport = (json: string): z.infer<typeof Report>["results"] => {
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

/** A check passed when goss looked at it and every property held: one that goss did not report is a failure. */
export const judge = (checks: readonly Check[], results: ReturnType<typeof parseReport>): CheckResult[] =>
  checks.map((check) => {
    const [type, id] = check.resource;
    const own = results.filter(
      (result) =>
        result["resource-type"].toLowerCase() === type && result["resource-id"] === id && result.skipped !== true,
    );
    const wrong = own.filter(({ successful }) => !successful);
    if (own.length > 0 && wrong.length === 0) return { check, outcome: "passed" };
    const detail = wrong
      .map((result) =>
        (result["summary-line-compact"] ?? result["summary-line"] ?? result.property).replace(/\s+/g, " ").trim(),
      )
      .join("; ");
    return { check, outcome: "failed", detail: own.length === 0 ? "goss did not report it" : detail };
  });

export const notChecked = (checks: readonly Check[], why: string): CheckResult[] =>
  checks.map((check) => ({ check, outcome: "not checked", detail: why }));

const gates = ({ level }: Check): boolean => level === "gating" || level === "npu";

/** `n passed, n failed, n not checked`, advisory failures apart: they do not keep a node from jobs. */
export const summarize = (
  results: readonly CheckResult[],
): { passed: number; failed: number; advisory: number; notChecked: number } => {
  const count = (predicate: (result: CheckResult) => boolean): number => results.filter(predicate).length;
  return {
    passed: count(({ outcome }) => outcome === "passed"),
    failed: count(({ outcome, check }) => outcome === "failed" && gates(check)),
    advisory: count(({ outcome, check }) => outcome === "failed" && !gates(check)),
    notChecked: count(({ outcome }) => outcome === "not checked"),
  };
};

export const formatResults = (results: readonly CheckResult[]): string => {
  const rows = results.map(({ check, outcome, detail }) => ({
    outcome: outcome === "failed" && !gates(check) ? "advisory" : outcome,
    rows: check.rows.join(" "),
    title: check.title,
    detail,
  }));
  const width = Math.max(0, ...rows.map((row) => row.rows.length));
  return rows
    .map(
      ({ outcome, rows: guide, title, detail }) =>
        `  ${outcome.padEnd(11)}  ${guide.padEnd(width)}  ${title}${detail === undefined ? "" : `: ${detail}`}`,
    )
    .join("\n");
};
