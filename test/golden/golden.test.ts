/**
 * Profiles in, every rendered byte out. Four profiles stand in their folders. Of those that differ from one of them by numbers,
 * `digests.txt` has a line a file: its sha256 and its path. `npm test -- -u` writes all of it.
 */
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { planFor } from "../../src/commands/plan.ts";
import { root } from "../../src/host/root.ts";
import { substitute } from "../../src/trial/substitutions.ts";
import { expectNothingElse } from "../expected-files.ts";
import { readProfile, render, trialLock, trialPlan } from "../plan-of.ts";

/** As a trial bakes it, or as it is, with or without a lock. */
const planOf = (name: string, path: string, kind: "trial" | "locked" | "unlocked") => {
  const profile = readProfile(join(root, path));
  return kind === "trial"
    ? planFor({ name, profile: substitute(profile).profile, lock: trialLock, trial: true })
    : planFor({ name, profile, ...(kind === "locked" && { lock: trialLock }) });
};

const whole = [
  ["2cards", "profiles/2cards.yaml", "trial"],
  ["minimal", "test/golden/minimal/profile.yaml", "unlocked"],
  ["everything", "test/golden/everything/profile.yaml", "unlocked"],
  ["cloud", "test/golden/cloud/profile.yaml", "unlocked"],
] as const;

const byDigest = [
  ["1card", "profiles/1card.yaml", "trial"],
  ["4cards", "profiles/4cards.yaml", "trial"],
  ["8cards", "profiles/8cards.yaml", "trial"],
  ["2cards-aarch64", "profiles/2cards-aarch64.yaml", "unlocked"],
  ["cloud-mirror", "test/golden/cloud-mirror/profile.yaml", "locked"],
] as const;

/** Made from the checks: 2cards shows them whole, and each concern its own. One more check is reviewed there, not four times. */
const isMadeFromChecks = (path: string): boolean => path === "node.md" || path.startsWith("node/opt/bake/checks/");

const isShown = (name: string, path: string): boolean => name === "2cards" || !isMadeFromChecks(path);

describe.each(whole)("%s, %s, %s", (name, path, kind) => {
  const shown = render(planOf(name, path, kind)).files.filter((file) => isShown(name, file.path));
  const folder = join(import.meta.dirname, name, "expected");

  test.each(shown)("$path", async ({ path: file, content }) => {
    await expect(content).toMatchFileSnapshot(join(folder, file));
  });

  test("nothing else is expected", () => {
    expectNothingElse(
      folder,
      shown.map((file) => file.path),
    );
  });
});

test("digests of all other files", async () => {
  const lines = [...whole, ...byDigest].flatMap(([name, path, kind]) => {
    const isWhole = whole.some(([each]) => each === name);
    return render(planOf(name, path, kind))
      .files.filter((file) => !isWhole || !isShown(name, file.path))
      .map((file) => `${createHash("sha256").update(file.content).digest("hex")}  ${name}/${file.path}\n`);
  });
  await expect(lines.join("")).toMatchFileSnapshot(join(import.meta.dirname, "digests.txt"));
});

test("every folder is one of them, or that of the concerns", () => {
  const folders = readdirSync(import.meta.dirname, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const written = [...whole, ...byDigest].flatMap(([name, path]) =>
    whole.some(([each]) => each === name) || path.startsWith("test/golden/") ? [name] : [],
  );
  expect(folders.map((folder) => folder.name).toSorted()).toEqual([...written, "concerns"].toSorted());
});

test("without a lock, what needs digests is left out and named, everything else is there", () => {
  const locked = render(trialPlan()).files.map(({ path }) => path);
  const { caches } = substitute(readProfile()).profile;
  const { files, leftOut, bakeId } = render(planFor({ name: "2cards", profile: { ...readProfile(), caches } }));
  const missing = locked.filter((path) => !files.some((file) => file.path === path));
  expect(bakeId).toBeUndefined();
  const folders = ["node/opt/bake/images/", "node/opt/bake/models/"];
  const folderOf = (path: string): string | undefined => folders.find((folder) => path.startsWith(folder));
  expect(folders.map((folder) => missing.filter((path) => path.startsWith(folder)).length)).toEqual([4, 2]);
  expect(missing.filter((path) => folderOf(path) === undefined).toSorted()).toEqual([
    "node/etc/bake/image.json",
    "node/opt/bake/caches.tsv",
    "node/opt/bake/images.tsv",
    "node/opt/bake/models.tsv",
    "provision/artifacts.tsv",
    "sbom.cdx.json",
  ]);
  for (const path of missing)
    if (folderOf(path) !== "node/opt/bake/models/") expect(leftOut).toContain(folderOf(path) ?? path);
});

test("the same plan gives the same bytes", () => {
  expect(render(trialPlan())).toEqual(render(trialPlan()));
});
