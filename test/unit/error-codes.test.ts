/** A code is one of the table, or it does not compile: `tsc` fails where an expected error is none. */
import { expect, test } from "vitest";
import { errorCodes, type ErrorCode } from "../../src/error-codes.ts";
import { BakeError } from "../../src/errors.ts";
import type { Diagnostic } from "../../src/profile/diagnostics.ts";
import type { Rule } from "../../src/profile/rules/rule.ts";
import type { ShapeProblem } from "../../src/profile/shape-problems.ts";

test("a code that the table does not have compiles nowhere", () => {
  // @ts-expect-error no such code
  const unknown: ErrorCode = "BK999";
  // @ts-expect-error no such code
  expect(new BakeError("BK999", "").code).toBe("BK999");
  // @ts-expect-error no such code
  const ofDiagnostic: Diagnostic["code"] = "BK999";
  // @ts-expect-error no such code
  const ofRule: Rule["code"] = "BK999";
  // @ts-expect-error of another kind of problem
  const ofShape: ShapeProblem["code"] = "BK101";
  // @ts-expect-error any text
  const any: ErrorCode = ["BK", "101"].join("");
  expect([unknown, ofDiagnostic, ofRule, any, ofShape]).toHaveLength(5);
});

test("a code of the table is one everywhere, and has its words", () => {
  const known: ErrorCode = "BK101";
  const ofDiagnostic: Diagnostic["code"] = known;
  const ofRule: Rule["code"] = known;
  expect([new BakeError(known, "").code, ofDiagnostic, ofRule]).toEqual([known, known, known]);
  for (const [code, { title, text }] of Object.entries(errorCodes)) {
    expect(code).toMatch(/^BK[1-7]\d\d$/);
    expect([title, text], code).not.toContain("");
  }
});
