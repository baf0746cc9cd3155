/** Several nodes side by side, and what CI reads of them: JUnit as an XML parser reads it, Markdown for an annotation. */
import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import {
  exitCodeOfAll,
  formatAnnotation,
  formatSideBySide,
  type NodeReport,
  summaryLine,
} from "../../src/check/compare.ts";
import { formatJunit } from "../../src/check/junit.ts";
import type { CheckResult, Outcome } from "../../src/check/results.ts";

const result = (id: string, row: string, outcome: Outcome, more: Partial<CheckResult> = {}): CheckResult => ({
  check: { id, rows: [row], title: `what ${id} looks at`, level: "gating", help: "Do <this> & that." },
  outcome,
  ...more,
});

const good: NodeReport = {
  name: "root@a",
  results: [result("docker-version", "G15", "passed"), result("disk", "G20", "passed")],
  problems: [],
};
const bad: NodeReport = {
  name: "root@b",
  results: [
    result("docker-version", "G15", "failed", { expected: '"27.5.1"', found: "26.1 | <b>\u001b[31m`x`\nnext" }),
    result("disk", "G20", "not checked", { detail: "no disk" }),
  ],
  problems: [],
};
const gone: NodeReport = { name: "root@c", results: [], problems: ["BK511: root@c cannot be reached by ssh"] };
const slow: NodeReport = { name: "root@d", results: [result("disk", "G20", "no answer")], problems: [] };

test("one with findings counts more than one that could not be checked", () => {
  expect(exitCodeOfAll([good])).toBe(0);
  expect(exitCodeOfAll([good, gone])).toBe(2);
  expect(exitCodeOfAll([good, slow])).toBe(2);
  expect(exitCodeOfAll([gone, bad, good])).toBe(1);
});

test("a column a node, a line for each row that was looked at on one of them", () => {
  const lines = formatSideBySide([good, bad, gone]).split("\n");
  expect(lines[0]).toMatch(/^ {2}guide +subject +root@a +root@b +root@c$/);
  expect(lines.find((line) => line.includes("G15"))).toMatch(/ passed +failed +-$/);
  expect(lines.find((line) => line.includes("G20"))).toMatch(/ passed +not checked +-$/);
  expect(lines.at(-1)).toMatch(/all of it +passed +failed +could not check$/);
  expect(lines).toHaveLength(4);
  expect(summaryLine([good, bad, gone])).toBe("1 of 3 nodes passed, 1 failed, 1 could not be checked");
  // None could be reached: the names, and what came of it.
  expect(formatSideBySide([gone]).split("\n")).toHaveLength(2);
});

describe("JUnit", () => {
  const xml = formatJunit("2cards", [good, bad, gone, slow]);
  const parsed = JSON.parse(
    execFileSync(
      "python3",
      [
        "-c",
        `import sys, json, xml.etree.ElementTree as tree
root = tree.fromstring(sys.stdin.buffer.read())
tell = lambda e: {"tag": e.tag, **e.attrib, "text": (e.text or "").strip(), "in": [tell(c) for c in e]}
print(json.dumps(tell(root)))`,
      ],
      { input: xml, encoding: "utf8" },
    ),
  ) as { in: Record<string, unknown>[] };

  test("a suite a node, with counts that are those of its cases", () => {
    expect(parsed.in).toMatchObject([
      { tag: "testsuite", name: "root@a", tests: "2", failures: "0", errors: "0", skipped: "0" },
      { tag: "testsuite", name: "root@b", tests: "2", failures: "1", errors: "0", skipped: "1" },
      { tag: "testsuite", name: "root@c", tests: "1", failures: "0", errors: "1", skipped: "0" },
      { tag: "testsuite", name: "root@d", tests: "1", failures: "0", errors: "1", skipped: "0" },
    ]);
  });

  test("values come as they were, but for what XML cannot hold", () => {
    const [, suite] = parsed.in as unknown as { in: { name: string; classname: string; in: { text: string }[] }[] }[];
    expect(suite?.in[0]).toMatchObject({
      name: "G15 what docker-version looks at [docker-version]",
      classname: "bake.2cards.root@b",
    });
    const text = suite?.in[0]?.in[0]?.text;
    expect(text).toContain('expected  "27.5.1"');
    expect(text).toContain("found     26.1 | <b>?[31m`x`\nnext");
    expect(text).toContain("to do     Do <this> & that.");
  });
});

test("the annotation: a table that bars in values do not break, what failed, and what to do", () => {
  const text = formatAnnotation("2cards", [good, bad, gone]);
  expect(text).toMatch(/^### bake check `2cards`: 1 of 3 nodes passed, 1 failed, 1 could not be checked\n/);
  const rows = text.split("\n").filter((line) => line.startsWith("|"));
  for (const row of rows) expect(row.replaceAll("\\|", "").match(/\|/g), row).toHaveLength(6);
  expect(rows.find((row) => row.includes("G15"))).toContain("| :white_check_mark: | :x: |  |");
  expect(text).toContain("(`docker-version`)");
  // In a code span nothing of it is Markdown or HTML.
  expect(text).toContain("found ``26.1 | <b>\u001b[31m`x` next``");
  expect(text).toContain("- could not check `root@c`: `BK511: root@c cannot be reached by ssh`");
});
