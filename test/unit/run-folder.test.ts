/** What a run of tests leaves when it is cut, and that the next one clears it. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { needs } from "../needs.ts";
import { clearFolder, clearStale, makeRunFolder, setup } from "../run-folder.ts";
import { ownerOf } from "../../src/host/process-identity.ts";
import { root } from "../../src/host/root.ts";

const parent = mkdtempSync(join(tmpdir(), "p-"));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

it("temporary files of this run lie in its own folder", () => {
  expect(tmpdir()).toMatch(/\/bt-[0-9a-f]{8}-\d+-\d+$/);
  expect(tmpdir().length).toBeLessThan(40);
});

it("several kinds of tests in one run share its folder", async () => {
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = parent;
  try {
    const end = await setup();
    const made = tmpdir();
    expect(made).not.toBe(parent);
    const endOfOther = await setup();
    expect(tmpdir()).toBe(made);
    endOfOther();
    expect(existsSync(made)).toBe(true);
    end();
    expect(existsSync(made)).toBe(false);
  } finally {
    process.env["TMPDIR"] = before;
  }
});

it("what belongs to a run that goes on stays, and so does what is somebody else's", async () => {
  const own = makeRunFolder(parent);
  mkdirSync(join(parent, "bt-notes"));
  mkdirSync(join(parent, "other"));
  expect(await clearStale(parent)).toEqual([]);
  clearFolder(own);
  expect(readdirSync(parent).toSorted()).toEqual(["bt-notes", "other"]);
});

needs("root").test("a cut run: its files, a mount, a loop device and a process go with it", async () => {
  const run = spawn("sleep", ["1000"], { stdio: "ignore" });
  const folder = join(parent, `bt-${ownerOf(run.pid ?? 0)}`);
  const disk = join(folder, "a/disk");
  mkdirSync(join(folder, "a/mnt"), { recursive: true });
  execFileSync("truncate", ["--size", "8M", disk]);
  execFileSync("mkfs.ext4", ["-qF", disk]);
  const loop = execFileSync("losetup", ["--find", "--show", disk], { encoding: "utf8" }).trim();
  execFileSync("mount", [loop, join(folder, "a/mnt")]);
  const left = spawn("tail", ["-f", join(folder, "a/disk")], { stdio: "ignore" });
  const ended = once(left, "exit");
  const killed = once(run, "exit");
  expect(await clearStale(parent)).toEqual([]);
  run.kill("SIGKILL");
  await killed;
  expect(await clearStale(parent)).toHaveLength(1);
  expect((await ended)[1]).toBe("SIGKILL");
  expect(existsSync(folder)).toBe(false);
  expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(folder);
  expect(spawnSync("losetup", [loop], { encoding: "utf8" }).stdout).not.toContain(folder);
});

it("no fast test writes out all file systems of the machine: others wait for them", () => {
  const folder = join(root, "test");
  const found = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !/^(vm|aarch64)\//.test(path))
    // A command without an argument; bake's own scripts are run where another sync is mounted over it.
    .filter((path) => /(?:^|[;&|]) *sync *(?:[;&|`]|$)/m.test(readFileSync(join(folder, path), "utf8")));
  expect(found).toEqual([]);
});
