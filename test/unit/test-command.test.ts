/** bin/test names every VM test file with the time it takes: one that is not named would never run. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../src/host/root.ts";

const files = readdirSync(join(root, "test/vm"))
  .filter((name) => name.endsWith(".test.ts"))
  .map((name) => name.slice(0, -".test.ts".length))
  .toSorted();

test("bin/test names every VM test file, the one that bakes first", () => {
  const [, list = ""] = /^vm_files="([^"]*)"$/m.exec(readFileSync(join(root, "bin/test"), "utf8")) ?? [];
  const named = list.split(" ").map((each) => each.replace(/:\d+$/, ""));
  expect(named[0]).toBe("bake");
  expect(named.toSorted()).toEqual(files);
  expect(list).toMatch(/^(?:[a-z-]+:\d+ ?)+$/);
});

test("bin/test says what its parts are, and knows no other", () => {
  const run = (...args: string[]) => spawnSync(join(root, "bin/test"), args, { encoding: "utf8" });
  const help = run("--help");
  expect(help.status).toBe(0);
  for (const part of ["all", "check", "fast", "vm", "aarch64"])
    expect(help.stdout).toMatch(new RegExp(`^  ${part} +\\S`, "m"));
  for (const variable of ["BAKE_TEST_LIMIT", "BAKE_TEST_VMS"]) expect(help.stdout).toContain(variable);
  expect(run("units")).toMatchObject({ status: 2, stderr: expect.stringContaining("no part units") as unknown });
});

test("npm test in a fresh clone says what to run first, and runs nothing", () => {
  const folder = mkdtempSync(join(tmpdir(), "bake-ready-"));
  try {
    mkdirSync(join(folder, "clone/test"), { recursive: true });
    for (const file of ["package.json", "test/ready.mjs"]) cpSync(join(root, file), join(folder, "clone", file));
    const npmTest = (env: Readonly<Record<string, string>> = {}) =>
      spawnSync("npm", ["test", "--silent"], {
        cwd: join(folder, "clone"),
        encoding: "utf8",
        env: { PATH: process.env["PATH"], HOME: folder, ...env },
      });
    const packages = npmTest();
    expect(packages).toMatchObject({ status: 2, stdout: "" });
    expect(packages.stderr).toMatch(/^npm test: the npm packages are not installed\n {2}Run \.\/bin\/test once/);
    mkdirSync(join(folder, "clone/node_modules"));
    writeFileSync(join(folder, "clone/node_modules/.package-lock.json"), "{}");
    expect(npmTest().stderr).toContain("the tools that tests run were never made here");
    mkdirSync(join(folder, ".cache/bake/test"), { recursive: true });
    writeFileSync(join(folder, ".cache/bake/test/tools.json"), JSON.stringify({ BAKE_TEST_GOSS: "/no/such/goss" }));
    expect(npmTest().stderr).toContain("are gone: /no/such/goss");
    // Then vitest is what is not there.
    expect(npmTest({ BAKE_TEST_WITHOUT_TOOLS: "1" }).stderr).toContain("vitest");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
