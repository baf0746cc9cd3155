import { describe, expect, it } from "vitest";
import {
  askedAgain,
  type CheckResult,
  judge,
  notChecked,
  parseReport,
  unanswered,
  withMoreTime,
  withOutputs,
} from "../../src/check/results.ts";
import { formatFailures, formatRows, formatTotals, hasFindings, hasSilence, rowResults } from "../../src/check/rows.ts";
import type { Check, CheckLevel } from "../../src/node/check.ts";
import { guideRows } from "../../src/node/guide.ts";

const check = (id: string, rows: string[], level: CheckLevel = "gating", type = "command"): Check => ({
  id,
  rows,
  title: `title of ${id}`,
  level,
  help: `help for ${id}`,
  resource: [type, id, {}],
});

/** As goss 0.4.9 prints it. */
const goss = (type: string, id: string, property: string, more: Record<string, unknown> = {}) => ({
  successful: true,
  skipped: false,
  "resource-type": type,
  "resource-id": id,
  property,
  err: null,
  meta: null,
  "matcher-result": { actual: 0, expected: 0, "missing-elements": null },
  ...more,
});
const report = (...results: object[]) => parseReport(JSON.stringify({ results }));
const wrong = (expected: unknown, actual: unknown, missing: unknown = null) => ({
  successful: false,
  "matcher-result": { expected, actual, "missing-elements": missing },
});

describe("judge", () => {
  it("knows a check by goss's meta data, by its id, and by its id before a path", () => {
    const checks = [
      check("by-meta", ["G1"]),
      check("by-id", ["G1"]),
      check("unit-docker.service", ["G20"], "gating", "service"),
      check("pypi-cache", ["G12"], "site", "addr"),
      check("config", ["G4"], "gating", "file"),
    ];
    const results = report(
      goss("Command", "whatever", "exit-status", { meta: { check: "by-meta", guide: "G1" } }),
      goss("Command", "by-id", "exit-status"),
      goss("Service", "unit-docker.service: docker.service", "running"),
      goss("Addr", "pypi-cache: tcp://127.0.0.1:9", "reachable"),
      goss("File", "config: /root/.buildkite-agent/buildkite-agent.cfg", "exists"),
    );
    expect(judge(checks, results).map(({ outcome }) => outcome)).toEqual(Array<string>(5).fill("passed"));
  });

  it("does not take one check's result for another's", () => {
    const results = report(
      goss("Command", "builder-cachebuilder11", "exit-status"),
      goss("File", "builder-cachebuilder1", "exists"),
      goss("Command", "builder-cachebuilder1", "exit-status", { meta: { check: "another" } }),
    );
    expect(judge([check("builder-cachebuilder1", ["G24"])], results)).toMatchObject([
      { outcome: "failed", detail: "goss did not report it" },
    ]);
  });

  it("says what was expected and what was found, with patterns of a line as text", () => {
    const [result] = judge(
      [check("a", ["G24"])],
      report(
        goss("Command", "a", "exit-status", wrong(0, 1)),
        goss(
          "Command",
          "a",
          "stdout",
          wrong(["/^true moby\\/buildkit:v0\\.26\\.1$/", "/x.y/"], "object: *bytes.Reader", [
            "/^true moby\\/buildkit:v0\\.26\\.1$/",
          ]),
        ),
      ),
    );
    expect(result).toMatchObject({
      outcome: "failed",
      expected: 'exit-status 0; stdout "true moby/buildkit:v0.26.1"',
      found: "exit-status 1; stdout without it",
    });
    const [file] = judge(
      [check("f", ["G23"], "gating", "file")],
      report(goss("File", "f: /x", "mode", wrong("0700", "0755")), goss("File", "f: /x", "owner", { skipped: true })),
    );
    expect(file?.detail).toBe("expected mode 0700; found mode 0755");
  });

  it("leaves a pattern that says more than a line as it is", () => {
    const [result] = judge(
      [check("a", ["G1"])],
      report(goss("Command", "a", "stdout", wrong(["/^26\\.1\\.5([+~-].*)?$/"], "object: x"))),
    );
    expect(result?.expected).toBe("stdout /^26\\.1\\.5([+~-].*)?$/");
  });

  it("does not call failed what ran into its time-out, and asks it with more time", () => {
    const [result] = judge(
      [check("a", ["G1"])],
      report(goss("Command", "a", "exit-status", { ...wrong(null, null), err: "Command execution timed out (500ms)" })),
    );
    expect(result).toMatchObject({
      outcome: "no answer",
      detail: "Command execution timed out (500ms): the machine is slow (load, disk)",
    });
    const slow: Check = { ...check("a", ["G1"]), resource: ["command", "a", { exec: "true", timeout: 60_000 }] };
    expect(unanswered([slow, check("b", ["G1"])], [result!])).toEqual([slow]);
    expect(withMoreTime(slow).resource[2]).toEqual({ exec: "true", timeout: 240_000 });
    const second = judge([slow], report(goss("Command", "a", "exit-status")));
    expect(askedAgain([result!, ...judge([check("b", ["G1"])], [])], second).map(({ outcome }) => outcome)).toEqual([
      "passed",
      "failed",
    ]);
    // A property that is wrong is wrong, whatever ran out of time beside it.
    const late = { ...wrong(null, null), err: "Command execution timed out (500ms)" };
    expect(
      judge(
        [check("a", ["G1"])],
        report(goss("Command", "a", "stdout", late), goss("Command", "a", "exit-status", wrong(0, 1))),
      ),
    ).toMatchObject([{ outcome: "failed" }]);
  });

  it("tells a row without an answer as that, and its advice is not for it", () => {
    const [silent, passed] = [check("a", ["G21"]), check("b", ["G21"])];
    const results: CheckResult[] = [
      {
        check: silent,
        outcome: "no answer",
        detail: "Command execution timed out (4m0s): the machine is slow (load, disk)",
      },
      { check: passed, outcome: "passed" },
    ];
    const rows = rowResults(results);
    expect(rows.find(({ row }) => row === "G21")).toMatchObject({
      outcome: "no answer",
      note: "1 passed, 1 without an answer",
    });
    expect([hasFindings(rows), hasSilence(rows)]).toEqual([false, true]);
    expect(formatFailures(results)).toBe(
      "  no answer  G21  title of a [a]\n          found     Command execution timed out (4m0s): the machine is slow (load, disk)",
    );
    expect(formatTotals(results, rows)).toContain("checks: 1 passed, 0 failed, 1 without an answer, 0 not checked");
  });

  it("adds what the command prints", () => {
    const failed = judge([check("a", ["G1"])], report(goss("Command", "a", "stdout", wrong(["/^x$/"], "object: x"))));
    expect(withOutputs(failed, new Map([["a", "one\n\ntwo\n"]]))[0]?.found).toBe("prints one | two");
    expect(withOutputs(failed, new Map([["a", ""]]))[0]?.found).toBe("prints nothing");
    expect(withOutputs(failed, new Map())).toEqual(failed);
  });
});

describe("rowResults", () => {
  const result = (target: Check, outcome: CheckResult["outcome"], detail?: string): CheckResult => ({
    check: target,
    outcome,
    ...(detail !== undefined && { detail }),
  });
  const rowOf = (results: CheckResult[], row: string) => rowResults(results).find((candidate) => candidate.row === row);

  it("has every row of the guide once, whatever was checked", () => {
    expect(rowResults([]).map(({ row }) => row)).toEqual(guideRows.map(({ row }) => row));
    expect(rowResults([]).every(({ outcome, note }) => outcome === "not checked" && note !== "")).toBe(true);
    expect(hasFindings(rowResults([]))).toBe(false);
  });

  it("fails where a gating check failed, and says how many", () => {
    const results = [result(check("a", ["G24", "G22"]), "failed"), result(check("b", ["G24"]), "passed")];
    expect(rowOf(results, "G24")).toMatchObject({ outcome: "failed", note: "1 failed, 1 passed" });
    expect(rowOf(results, "G22")).toMatchObject({ outcome: "failed", note: "1 failed" });
    expect(hasFindings(rowResults(results))).toBe(true);
  });

  it.each(["advisory", "site"] as const)(
    "fails where a check of level %s failed beside those that passed, and says so",
    (level) => {
      const results = [result(check("a", ["G12"]), "passed"), result(check("b", ["G12"], level), "failed")];
      expect(rowOf(results, "G12")).toMatchObject({ outcome: "failed", note: "1 failed (advisory), 1 passed" });
      expect(hasFindings(rowResults(results))).toBe(true);
    },
  );

  it("fails where all that was looked at is advisory and failed", () => {
    expect(rowOf([result(check("b", ["G12"], "site"), "failed")], "G12")?.outcome).toBe("failed");
  });

  it("never passes a row of which a check was not made, but for bake's own files on another's host", () => {
    const named = result(check("names", ["G5"]), "passed");
    expect(rowOf([named, ...notChecked([check("npu-0", ["G5"], "npu")], "no NPU in a VM")], "G5")).toMatchObject({
      outcome: "not checked",
      note: "1 passed, 1 not checked: no NPU in a VM",
    });
    expect(rowOf([named, ...notChecked([check("bake-names", ["G5"])], "this host was not baked")], "G5")?.outcome).toBe(
      "passed",
    );
    const cache = result(check("pypi-cache-route", ["G12"]), "passed");
    expect(rowOf([cache, ...notChecked([check("pypi-cache", ["G12"], "site")], "from a VM")], "G12")).toMatchObject({
      outcome: "not checked",
      note: "1 passed, 1 not checked: from a VM",
    });
  });

  it("keeps rows that only a check names", () => {
    expect(rowResults([result(check("a", ["G99"]), "passed")]).at(-1)).toMatchObject({ row: "G99", outcome: "passed" });
  });
});

describe("text", () => {
  const results: CheckResult[] = [
    { check: check("a", ["G24"]), outcome: "failed", expected: "exit-status 0", found: "exit-status 1", detail: "x" },
    { check: check("b", ["G12"], "site"), outcome: "failed", detail: "goss did not report it" },
    { check: check("c", ["G2"]), outcome: "passed" },
  ];

  it("is plain ASCII, one line a row, in columns", () => {
    const lines = formatRows(rowResults(results)).split("\n");
    expect(lines).toHaveLength(guideRows.length + 1);
    for (const line of lines) expect(line).toMatch(/^[\x20-\x7e]+$/);
    expect(new Set(lines.slice(1).map((line) => line.search(/ (passed|failed|not checked) {2,}/))).size).toBe(1);
  });

  it("lists each failure with expected, found and what to do", () => {
    expect(formatFailures(results).split("\n")).toEqual([
      "  failed  G24  title of a [a]",
      "          expected  exit-status 0",
      "          found     exit-status 1",
      "          to do     help for a",
      "  failed  G12  title of b [b, site]",
      "          found     goss did not report it",
      "          to do     help for b",
    ]);
    expect(formatTotals(results, rowResults(results))).toContain(
      "checks: 1 passed, 1 failed, 0 not checked, 1 advisory",
    );
  });
});
