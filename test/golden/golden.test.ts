/** One folder a case: profile in, every rendered byte out. `npm test -- -u` rewrites what is expected. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { render, trialPlan, unlockedPlan } from "../plan-of.ts";

const expected = join(import.meta.dirname, "2cards", "expected");

describe("2cards, trial, locked", () => {
  const { files } = render(trialPlan());

  test.each(files)("$path", async ({ path, content }) => {
    await expect(content).toMatchFileSnapshot(join(expected, path));
  });

  test("nothing else is expected", () => {
    const there = readdirSync(expected, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(expected.length + 1));
    expect(there.toSorted()).toEqual(files.map(({ path }) => path).toSorted());
  });
});

test("without a lock, what needs digests is left out and named, everything else is there", () => {
  const locked = render(trialPlan()).files.map(({ path }) => path);
  const { files, leftOut, bakeId } = render(unlockedPlan());
  const missing = locked.filter((path) => !files.some((file) => file.path === path));
  expect(bakeId).toBeUndefined();
  expect(missing.toSorted()).toEqual([
    "node/etc/bake/image.json",
    "node/opt/bake/images.tsv",
    "provision/artifacts.tsv",
  ]);
  for (const path of missing) expect(leftOut).toContain(path);
});

test("the same plan gives the same bytes", () => {
  expect(render(trialPlan())).toEqual(render(trialPlan()));
});
