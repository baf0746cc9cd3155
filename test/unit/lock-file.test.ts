/** Who holds what in a folder that processes, containers and machines share. */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { acquireLock } from "../../src/host/lock-file.ts";
import { currentProcess, isStale, ownerOf, ownerState, pidNamespace } from "../../src/host/process-identity.ts";

let folder = "";
let lock = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-owner-"));
  lock = join(folder, "file.lock");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const foreign = "0123abcd-1-1";
const minutesAgo = (path: string, minutes: number): void => {
  const then = new Date(Date.now() - minutes * 60_000);
  utimesSync(path, then, then);
};

test("a process of this place is alive or dead, also when another one has its ID by now", async () => {
  expect(ownerState(currentProcess())).toBe("alive");
  const child = spawn("sleep", ["60"]);
  const owner = ownerOf(child.pid ?? 0);
  expect(ownerState(owner)).toBe("alive");
  child.kill("SIGSTOP");
  expect(ownerState(owner)).toBe("alive");
  const ended = new Promise((done) => child.once("exit", done));
  child.kill("SIGKILL");
  await ended;
  expect(ownerState(owner)).toBe("dead");
  expect(ownerState(`${pidNamespace()}-${process.pid}-1`)).toBe("dead");
  expect(ownerState(String(process.pid))).toBe("dead");
  expect(ownerState("")).toBe("dead");
});

test("of a foreign process nothing is known but its heartbeats", async () => {
  expect(ownerState(foreign)).toBe("foreign");
  writeFileSync(lock, "");
  expect(await isStale(foreign, lock)).toBe(false);
  minutesAgo(lock, 2);
  expect(await isStale(foreign, lock)).toBe(true);
  expect(await isStale(currentProcess(), lock)).toBe(false);
});

test("a lock is held by one, and given back", async () => {
  const release = await acquireLock(lock);
  if (typeof release === "number") throw new Error("nobody holds it");
  expect(readFileSync(lock, "utf8")).toMatch(new RegExp(`^${currentProcess()} [0-9a-f]{12}$`));
  expect(await acquireLock(lock)).toBe(process.pid);
  await release();
  expect(readdirSync(folder)).toEqual([]);
});

test("whoever lost its lock does not take it from the next one", async () => {
  const release = await acquireLock(lock);
  if (typeof release === "number") throw new Error("nobody holds it");
  writeFileSync(lock, `${foreign} another`);
  await release();
  expect(readFileSync(lock, "utf8")).toBe(`${foreign} another`);
  expect(await acquireLock(lock)).toBe(1);
  minutesAgo(lock, 2);
  expect(typeof (await acquireLock(lock))).toBe("function");
  expect(readdirSync(folder)).toEqual(["file.lock"]);
});

test("a lock of this very process that it does not hold is none", async () => {
  writeFileSync(lock, `${currentProcess()} forgotten`);
  expect(typeof (await acquireLock(lock))).toBe("function");
});

test("of many that take over at once, one has it", async () => {
  writeFileSync(lock, `${pidNamespace()}-999999999-1 gone`);
  const taken = await Promise.all(Array.from({ length: 20 }, () => acquireLock(lock)));
  expect(taken.filter((each) => typeof each === "function")).toHaveLength(1);
  expect(readdirSync(folder)).toEqual(["file.lock"]);
});

test("a foreign lock is stale a minute after its last heartbeat, by the clock that is passed", async () => {
  writeFileSync(lock, `${foreign} another`);
  const last = statSync(lock).mtimeMs;
  expect(await acquireLock(lock, () => last + 60_000)).toBe(1);
  expect(await isStale(foreign, lock, 60_000, () => last + 60_000)).toBe(false);
  expect(await isStale(foreign, lock, 60_000, () => last + 60_001)).toBe(true);
  expect(typeof (await acquireLock(lock, () => last + 60_001))).toBe("function");
});
