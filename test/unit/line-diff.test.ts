/** What `unifiedHunks` says is what patch(1) makes of one text another. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { unifiedHunks } from "../../src/formats/line-diff.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-diff-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** As `diff -u` has it, without its head. */
const byDiff = (from: string, to: string): string => {
  writeFileSync(join(folder, "a"), from);
  writeFileSync(join(folder, "b"), to);
  const { stdout } = spawnSync("diff", ["-u", "a", "b"], { cwd: folder, encoding: "utf8" });
  return stdout.split("\n").slice(2).join("\n").trimEnd();
};

/** The same numbers each time. */
const numbers = (seed: number) => () => (seed = (seed * 48271) % 2147483647);

test("one line of many, at the beginning, at the end, and none", () => {
  const lines = Array.from({ length: 30 }, (_, index) => `line ${index}`);
  const text = `${lines.join("\n")}\n`;
  expect(unifiedHunks(text, text)).toEqual([]);
  for (const index of [0, 15, 29]) {
    const other = `${lines.with(index, "another").join("\n")}\n`;
    expect(unifiedHunks(text, other).join("\n")).toBe(byDiff(text, other));
  }
  expect(unifiedHunks("", "a\nb\n").join("\n")).toBe(byDiff("", "a\nb\n"));
  expect(unifiedHunks("a\nb\n", "").join("\n")).toBe(byDiff("a\nb\n", ""));
  expect(unifiedHunks("a\nb", "a\nb\n").join("\n")).toBe(byDiff("a\nb", "a\nb\n"));
});

test("patch makes the other text of it, and it is as short as diff's", () => {
  const next = numbers(7);
  for (let round = 0; round < 40; round++) {
    const from = Array.from({ length: next() % 60 }, () => `${next() % 9}`);
    const to = from.flatMap((line) => (next() % 5 === 0 ? [] : next() % 6 === 0 ? [line, `${next() % 9}`] : [line]));
    const [a, b] = [from, to].map((lines) => lines.map((line) => `${line}\n`).join("")) as [string, string];
    const hunks = unifiedHunks(a, b);
    writeFileSync(join(folder, "text"), a);
    if (hunks.length > 0)
      execFileSync("patch", ["--silent", "text"], {
        cwd: folder,
        input: `--- text\n+++ text\n${hunks.join("\n")}\n`,
      });
    expect(readFileSync(join(folder, "text"), "utf8")).toBe(b);
    const edits = (text: string): number => text.split("\n").filter((line) => /^[+-]/.test(line)).length;
    expect(edits(hunks.join("\n"))).toBeLessThanOrEqual(edits(byDiff(a, b)));
  }
});

test("texts that have nothing in common are told as one block", () => {
  const text = (word: string): string => Array.from({ length: 900 }, (_, index) => `${word} ${index}\n`).join("");
  const [hunk = "", ...others] = unifiedHunks(text("a"), text("b"));
  expect(others).toEqual([]);
  expect(hunk).toMatch(/^@@ -1,900 \+1,900 @@\n-a 0\n/);
});
