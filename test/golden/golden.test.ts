/**
 * Profiles in, every rendered byte out. 2cards stands in its folder whole; of the others only the files that differ from
 * it. `npm test -- -u` rewrites what is expected; a file that is not rendered any more has to be deleted by hand.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { planFor } from "../../src/commands/plan.ts";
import { root } from "../../src/host/root.ts";
import { substitute } from "../../src/trial/substitutions.ts";
import { readProfile, render, trialLock, trialPlan, unlockedPlan } from "../plan-of.ts";

const expectedOf = (name: string): string => join(import.meta.dirname, name, "expected");
const whole = expectedOf("2cards");

const filesBelow = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
        .toSorted()
    : [];

describe("2cards, trial, locked", () => {
  const { files } = render(trialPlan());

  test.each(files)("$path", async ({ path, content }) => {
    await expect(content).toMatchFileSnapshot(join(whole, path));
  });

  test("nothing else is expected", () => {
    expect(filesBelow(whole)).toEqual(files.map(({ path }) => path).toSorted());
  });
});

/** As a trial bakes it, or as it is, without a lock. */
const planOf = (name: string, path: string, kind: "trial" | "locked" | "unlocked") => {
  const profile = readProfile(join(root, path));
  return kind === "trial"
    ? planFor({ name, profile: substitute(profile).profile, lock: trialLock, trial: true })
    : planFor({ name, profile, ...(kind === "locked" && { lock: trialLock }) });
};

describe.each([
  ["1card", "profiles/1card.yaml", "trial"],
  ["4cards", "profiles/4cards.yaml", "trial"],
  ["8cards", "profiles/8cards.yaml", "trial"],
  ["2cards-aarch64", "profiles/2cards-aarch64.yaml", "unlocked"],
  ["minimal", "test/golden/minimal/profile.yaml", "unlocked"],
  ["everything", "test/golden/everything/profile.yaml", "unlocked"],
  ["cloud", "test/golden/cloud/profile.yaml", "unlocked"],
  ["cloud-mirror", "test/golden/cloud-mirror/profile.yaml", "locked"],
] as const)("%s, %s, %s: what differs from 2cards", (name, path, kind) => {
  const { files } = render(planOf(name, path, kind));
  // The name of the profile stands in every file.
  const same = (file: string, content: string): boolean =>
    existsSync(join(whole, file)) &&
    readFileSync(join(whole, file), "utf8").replaceAll(/Made by bake from profile .*/g, "") ===
      content.replaceAll(/Made by bake from profile .*/g, "");
  const different = files.filter((file) => !same(file.path, file.content));

  test.each(different)("$path", async ({ path: file, content }) => {
    await expect(content).toMatchFileSnapshot(join(expectedOf(name), file));
  });

  test("nothing else is expected", () => {
    expect(filesBelow(expectedOf(name))).toEqual(different.map((file) => file.path).toSorted());
  });
});

test("without a lock, what needs digests is left out and named, everything else is there", () => {
  const locked = render(trialPlan()).files.map(({ path }) => path);
  const { files, leftOut, bakeId } = render(unlockedPlan());
  const missing = locked.filter((path) => !files.some((file) => file.path === path));
  expect(bakeId).toBeUndefined();
  const inFolder = "node/opt/bake/images/";
  expect(missing.filter((path) => path.startsWith(inFolder))).toHaveLength(4);
  expect(missing.filter((path) => !path.startsWith(inFolder)).toSorted()).toEqual([
    "node/etc/bake/image.json",
    "node/opt/bake/images.tsv",
    "provision/artifacts.tsv",
    "sbom.cdx.json",
  ]);
  for (const path of missing) expect(leftOut).toContain(path.startsWith(inFolder) ? inFolder : path);
});

test("the same plan gives the same bytes", () => {
  expect(render(trialPlan())).toEqual(render(trialPlan()));
});
