/** Docker's version, as a rule judges it: exact, open, and with what a lock has for it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readProfileFile } from "../../src/commands/profile-file.ts";
import { formatLock } from "../../src/lock/lock.ts";
import { trialLock } from "../plan-of.ts";

let folder = "";
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "bake-version-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Messages about Docker's version. @param locked What the lock has for it. */
const told = async (version: string, locked?: string): Promise<string[]> => {
  const file = join(folder, "site.yaml");
  writeFileSync(file, `extends: 2cards\ndocker: { version: ${version} }\nbuildx: { allowUnpaired: true }\n`);
  if (locked !== undefined) {
    const artifacts = trialLock.artifacts.map((artifact) =>
      artifact.kind === "docker-static" ? { ...artifact, asked: version, version: locked } : artifact,
    );
    writeFileSync(join(folder, "site.lock.json"), formatLock({ ...trialLock, artifacts }));
  }
  const { diagnostics } = await readProfileFile(file);
  return diagnostics.filter(({ code }) => code === "BK112").map(({ message }) => message);
};

test.each(["26.1.3", "27.5.1", "27.5.x"])("%s is verified, or means a release that is", async (version) => {
  expect(await told(version)).toEqual([]);
});

test.each(["26.1.x", "27.4.x", "28.0.x", "28.0.1"])("%s was not tried", async (version) => {
  expect(await told(version)).toEqual([`Docker ${version} was not tried on such hosts`]);
});

test("a lock says what an open version means", async () => {
  expect(await told("26.1.x", "26.1.3")).toEqual([]);
  expect(await told("27.5.x", "27.5.0")).toEqual(["Docker 27.5.0 was not tried on such hosts"]);
});

test("a lock that cannot be read, or was made for another version, says nothing", async () => {
  await told("26.1.x", "26.1.3");
  expect(await told("27.5.x")).toEqual([]);
  writeFileSync(join(folder, "site.lock.json"), "<<<<<<< mine\n");
  expect(await told("27.5.x")).toEqual([]);
});
