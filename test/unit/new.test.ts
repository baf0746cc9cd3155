/** bin/new lays down what compiles, and what a test asks to be filled in. */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-new-"));
const run = (...args: string[]): string => execFileSync(join(folder, "bin/new"), args, { encoding: "utf8" });
const read = (path: string): string => readFileSync(join(folder, path), "utf8");

beforeAll(() => {
  for (const path of ["bin", "src", "test/negative", "tsconfig.json", "package.json"]) {
    cpSync(join(root, path), join(folder, path), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a concern, a rule across concerns and a rule of one compile, and stand in their lists", () => {
  expect(run("concern", "time-servers")).toContain("test/golden/concerns/time-servers.yaml");
  expect(run("rule", "odd-queue")).toContain("test/negative/odd-queue/profile.yaml");
  run("rule", "even-spawn", "agents");
  expect(read("src/node/index.ts")).toMatch(/\n {2}timeServers,\n\];/);
  expect(read("src/profile/rules/index.ts")).toContain("  oddQueueRule,\n");
  expect(read("src/node/agents/index.ts")).toContain("rules: [evenSpawnRule, ");
  const codes = ["odd-queue", "even-spawn"].map(
    (name) => new RegExp(`"${name}": \\["(BK1\\d\\d)"\\]`).exec(read("test/negative/codes.ts"))?.[1],
  );
  expect(new Set(codes).size).toBe(2);
  for (const code of codes) expect(read("src/error-codes.ts")).toContain(`  ${code}: {\n    title: "TODO"`);
  const tsc = join(folder, "node_modules/.bin/tsc");
  const { stdout, status } = spawnSync(tsc, ["--noEmit", "--project", folder], { encoding: "utf8" });
  expect(stdout).toBe("");
  expect(status).toBe(0);
}, 120_000);

test.each([
  [["concern", "kernel"], "src/node/kernel.ts is there already"],
  [["concern", "storage"], "src/node/storage is there already"],
  [["rule", "mount", "system"], "src/node/system/index.ts is not there"],
  [["concern", "../evil"], "usage"],
  [["rule"], "usage"],
])("%j is refused, and nothing is written", (args, message) => {
  const before = execFileSync("find", [folder, "-newer", join(folder, "package.json"), "-type", "f"]).toString();
  const { status, stderr } = spawnSync(join(folder, "bin/new"), args, { encoding: "utf8" });
  expect(status).toBe(2);
  expect(stderr).toContain(message);
  expect(execFileSync("find", [folder, "-newer", join(folder, "package.json"), "-type", "f"]).toString()).toBe(before);
});
