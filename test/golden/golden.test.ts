/**
 * Profiles in, every rendered byte out. Four profiles stand in their folders whole. Of those that differ from one of them by
 * numbers, `expected.txt` has a line a file: its sha256 and its path. `npm test -- -u` writes all of it.
 */
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { planNode } from "../../src/plan/plan.ts";
import { root } from "../../src/host/root.ts";
import { substitute } from "../../src/trial/substitutions.ts";
import { expectNothingElse } from "../expected-files.ts";
import { readProfile, render, trialLock, trialPlan, unlockedPlan } from "../plan-of.ts";

/** As a trial bakes it, or as it is, with or without a lock. */
const planOf = (name: string, path: string, kind: "trial" | "locked" | "unlocked") => {
  const profile = readProfile(join(root, path));
  return kind === "trial"
    ? planNode({ name, profile: substitute(profile).profile, lock: trialLock, trial: true })
    : planNode({ name, profile, ...(kind === "locked" && { lock: trialLock }) });
};

const whole = [
  ["2cards", "profiles/2cards.yaml", "trial"],
  ["minimal", "test/golden/minimal/profile.yaml", "unlocked"],
  ["everything", "test/golden/everything/profile.yaml", "unlocked"],
  ["cloud", "test/golden/cloud/profile.yaml", "unlocked"],
] as const;

const digests = [
  ["1card", "profiles/1card.yaml", "trial"],
  ["4cards", "profiles/4cards.yaml", "trial"],
  ["8cards", "profiles/8cards.yaml", "trial"],
  ["2cards-aarch64", "profiles/2cards-aarch64.yaml", "unlocked"],
  ["cloud-mirror", "test/golden/cloud-mirror/profile.yaml", "locked"],
] as const;

describe.each(whole)("%s, %s, %s", (name, path, kind) => {
  const { files } = render(planOf(name, path, kind));
  const folder = join(import.meta.dirname, name, "expected");

  test.each(files)("$path", async ({ path: file, content }) => {
    await expect(content).toMatchFileSnapshot(join(folder, file));
  });

  test("nothing else is expected", () => {
    expectNothingElse(
      folder,
      files.map((file) => file.path),
    );
  });
});

describe.each(digests)("%s, %s, %s: digests", (name, path, kind) => {
  test("expected.txt", async () => {
    const lines = render(planOf(name, path, kind)).files.map(
      (file) => `${createHash("sha256").update(file.content).digest("hex")}  ${file.path}\n`,
    );
    await expect(lines.join("")).toMatchFileSnapshot(join(import.meta.dirname, name, "expected.txt"));
  });

  test("nothing else is expected", () => {
    expectNothingElse(join(import.meta.dirname, name), [
      "expected.txt",
      ...(path.startsWith("test/golden/") ? ["profile.yaml"] : []),
    ]);
  });
});

test("every folder is one of them", () => {
  const folders = readdirSync(import.meta.dirname, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.map((folder) => folder.name).toSorted()).toEqual(
    [...whole, ...digests].map(([name]) => name).toSorted(),
  );
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
