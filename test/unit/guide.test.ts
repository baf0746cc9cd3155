/** No row of the guide is forgotten: a check that a VM runs, something seen from outside the VM, or a reason. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { guideRows, mistakes, notProven } from "../../src/node/guide.ts";
import { root } from "../../src/host/root.ts";
import { render, trialPlan, unlockedPlan } from "../plan-of.ts";

const rowsOf = (levels: readonly string[]): Set<string> =>
  new Set(trialPlan().checks.flatMap(({ level, rows }) => (levels.includes(level) ? rows : [])));

test("G1 to G28 are there, in order", () => {
  expect(guideRows.map(({ row }) => row)).toEqual(Array.from({ length: 28 }, (_, index) => `G${index + 1}`));
});

test("every row is proven in a VM, or says why not", () => {
  const proven = rowsOf(["gating", "advisory"]);
  expect(guideRows.filter(({ row }) => !proven.has(row) && notProven[row] === undefined)).toEqual([]);
  // A reason for a row that is proven after all would be out of date.
  expect(Object.keys(notProven).filter((row) => proven.has(row))).toEqual([]);
});

test("every mistake of the guide has its answer", () => {
  expect(mistakes.map(({ id }) => id)).toEqual(Array.from({ length: 29 }, (_, index) => `S${index + 1}`));
});

test("docs/node.md is the page of 2cards", async () => {
  const page = render(unlockedPlan()).files.find(({ path }) => path === "node.md");
  await expect(page?.content).toMatchFileSnapshot(join(root, "docs/node.md"));
});

test("check ids are unique and can be read off goss's report", () => {
  const ids = trialPlan().checks.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9._-]+$/);
});
