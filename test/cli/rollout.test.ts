/** `bake rollout` as a user runs it, against the emulated cloud and the emulated Buildkite: ten nodes, one that fails, and back. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { type BuildkiteEmulator, startBuildkite } from "../buildkite/emulator.ts";
import {
  connect as connectAgents,
  fresh,
  imagesOf,
  old,
  rollOut,
  token,
  twoImages,
  userOf,
  writeProfile,
} from "./fleet.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { fleetServer, type Server } from "../huaweicloud/world.ts";

const count = 10;

let folder = "";
let cloud: Emulator;
let buildkite: BuildkiteEmulator;
/** Nodes whose agents do not come back. */
const broken = new Set<string>();

const connect = (server: Server): void => connectAgents({ cloud, buildkite }, server);

const profile = (minHealthy: number): void =>
  writeProfile(folder, `wave: 5, minHealthy: ${minHealthy}, canarySoak: 1, soak: 0, interval: 1, readyTimeout: 10`);

beforeEach(async () => {
  cloud = await startEmulator();
  buildkite = await startBuildkite();
  cloud.world.takes.changeOs = 1000;
  cloud.world.takes.stop = 200;
  cloud.world.takes.boot = 500;
  cloud.world.quotas.volumes = [0, 1000];
  cloud.world.images.push(...twoImages());
  cloud.world.onBooted = (server) => {
    if (!broken.has(server.name)) connect(server);
  };
  for (let number = 1; number <= count; number++) {
    const server = fleetServer(number, { imageId: old, tags: { pool: "ci" } });
    cloud.world.servers.push(server);
    connect(server);
  }
  folder = mkdtempSync(join(tmpdir(), "bake-rollout-"));
  profile(5);
});
afterEach(async () => {
  broken.clear();
  await cloud.close();
  await buildkite.close();
  rmSync(folder, { recursive: true, force: true });
});

const user = () => userOf(folder, { cloud, buildkite });
const bake = (...args: readonly string[]) => rollOut(user(), ...args);

const images = (): string[] => imagesOf(cloud);
const journalOf = (): string => {
  const [id = ""] = readdirSync(join(folder, "out/rollouts")).toSorted();
  return readFileSync(join(folder, "out/rollouts", id, "journal.jsonl"), "utf8");
};
const changed = (): string[] => cloud.calls.filter((call) => /tags\/action|changeos/.test(call));
const ask = ["--profile", "2cards.yaml"] as const;

test("ten nodes with one that fails: paused, why, exit 1; resumed; and back", { timeout: 400_000 }, async () => {
  const forward = ["--image", "current", "--to", "pool=ci", ...ask];
  const plan = await bake("plan", ...forward);
  expect([plan.status, plan.stderr]).toEqual([0, ""]);
  // Nothing has begun that an ID could be of.
  expect(plan.stdout).toMatch(/^plan of a rollout of 2cards\n/);
  expect(plan.stdout).toContain("canary       1  npu-0001");
  expect(plan.stdout).toContain("wave 2       4  npu-0007, npu-0008, npu-0009, npu-0010");
  const dry = await bake("run", ...forward);
  expect([dry.status, dry.stdout.trimEnd().split("\n").at(-1)]).toEqual([0, "nothing was changed; add --yes to do it"]);
  expect([changed(), existsSync(join(folder, "out"))]).toEqual([[], false]);

  broken.add("npu-0003");
  const paused = await bake("run", ...forward, "--yes");
  expect(paused.stdout).toContain("paused, failures: 1 failed, 0 may: npu-0003 not-ready: 0 of 2 agents came back");
  expect(paused.status).toBe(1);
  const [, resume] = /go on, once the cause is gone: +bake (rollout run --resume .*)/.exec(paused.stdout) ?? [];
  expect(resume).toBeDefined();
  expect(images()).toEqual(["new", "new", "new", "new", "new", "new", "old", "old", "old", "old"]);
  const status = await bake("status", "--json");
  expect(JSON.parse(status.stdout)).toMatchObject({ status: "paused", gate: "failures", running: false, wave: 1 });

  broken.clear();
  const third = cloud.world.servers[2];
  if (third !== undefined) connect(third);
  const done = await bake("run", "--resume", "--yes", ...ask);
  expect([done.status, done.stdout]).toEqual([0, expect.stringContaining(": done\n  10 unlocked")]);
  expect(images()).toEqual(Array.from({ length: count }, () => "new"));
  expect(changed().filter((call) => call.endsWith("/changeos"))).toHaveLength(count);
  expect(cloud.world.servers.map(({ tags }) => tags)).toEqual(Array.from({ length: count }, () => ({ pool: "ci" })));
  expect(buildkite.stops.every(({ graceful }) => graceful)).toBe(true);
  expect(buildkite.refusals()).toBe(0);

  // User-data with the secret went to the cloud, and nowhere else.
  const sent = cloud.world.servers[0]?.userData ?? "";
  expect(sent).not.toBe("");
  for (const { stdout, stderr } of [paused, done]) expect(stdout + stderr).not.toContain(token);
  expect(journalOf()).not.toContain(token);

  const again = await bake("run", ...forward, "--yes");
  expect([again.status, again.stdout]).toEqual([0, expect.stringContaining("nothing to do: 10 nodes right already")]);

  const back = await bake("run", "--back", "--yes", ...ask);
  expect([back.status, back.stdout]).toEqual([0, expect.stringContaining(": done\n  10 unlocked")]);
  expect(images()).toEqual(Array.from({ length: count }, () => "old"));
  if (process.env["BAKE_TEST_SHOW"] !== undefined)
    process.stderr.write([plan, paused, done, back].map(({ stdout, stderr }) => `${stderr}${stdout}\n`).join(""));
});

test("interrupted it exits 130 and goes on; stopped, its nodes are free; one node's step is done once", {
  timeout: 400_000,
}, async () => {
  profile(0);
  const run = spawn(
    join(root, "bin/bake"),
    ["rollout", "run", "--image", fresh, "--to", "npu-0001,npu-0002", "--wave", "1", ...ask, "--yes"],
    { ...user(), stdio: ["ignore", "pipe", "pipe"] },
  );
  const ended = new Promise<number | null>((resolve) => run.on("exit", resolve));
  run.stdout.resume();
  run.stderr.resume();
  while (run.exitCode === null && !cloud.calls.some((call) => call.endsWith("/changeos")))
    await new Promise((done) => setTimeout(done, 50));
  run.kill("SIGINT");
  expect(await ended).toBe(130);
  const stop = await bake("stop", ...ask);
  expect([stop.status, stop.stdout]).toEqual([0, expect.stringContaining(": stopped")]);
  expect(images().slice(0, 2)).toEqual(["new", "old"]);
  expect(cloud.world.servers.map(({ tags }) => tags["bake-rollout"])).toEqual(Array.from({ length: count }));
  const over = await bake("run", "--resume", "--yes", ...ask);
  expect([over.status, over.stderr]).toEqual([2, expect.stringContaining("BK711")]);

  const step = ["node", "npu-0002", "--image", fresh, "--rollout", "build-17", ...ask, "--yes"];
  expect((await bake(...step)).status).toBe(0);
  const before = changed().length;
  expect((await bake(...step)).status).toBe(0);
  expect(changed()).toHaveLength(before);
  expect(images().slice(0, 3)).toEqual(["new", "new", "old"]);
});

test("with an ID of its own a rollout is gone on with, and once it is done it is not begun again", {
  timeout: 400_000,
}, async () => {
  profile(0);
  const own = ["run", "--rollout", "build-7-Newxxxxxxx", "--image", fresh, "--to", "npu-0002", ...ask, "--yes"];
  broken.add("npu-0002");
  expect((await bake(...own)).status).toBe(1);
  // The newest of this checkout is another one.
  expect((await bake("run", "--image", fresh, "--to", "npu-0003", ...ask, "--yes")).status).toBe(0);
  const [, second] = cloud.world.servers;
  if (second !== undefined) connect(second);
  const done = await bake(...own);
  expect([done.status, done.stdout], done.stderr).toEqual([0, expect.stringContaining("build-7-Newxxxxxxx: done")]);
  const before = changed().length;
  const again = await bake(...own);
  expect([again.status, again.stdout, changed().length]).toEqual([
    0,
    expect.stringContaining("build-7-Newxxxxxxx: done"),
    before,
  ]);
  const other = await bake(...own.map((word) => (word === fresh ? old : word)));
  expect([other.status, other.stderr, changed().length]).toEqual([
    2,
    expect.stringMatching(/BK714[^]*build-7-Newxxxxxxx was begun to the image a{8}-0000-4000-8000-0{11}2, not to/),
    before,
  ]);
  expect(images().slice(0, 4)).toEqual(["old", "new", "new", "old"]);
});

test("a tag finds nodes of the kind that is asked for, and one list call does", async () => {
  profile(0);
  cloud.world.bareMetal.push(fleetServer(11, { imageId: old, tags: { pool: "metal" } }));
  const before = cloud.calls.length;
  const metal = ["--kind", "bms", "--key-pair", "ops", "--key-user", "u1", "--to", "pool=metal"];
  const { status, stdout, stderr } = await bake("plan", "--image", "current", ...metal, ...ask);
  expect(status, stderr).toBe(0);
  expect(stdout).toContain("npu-0011");
  const lists = cloud.calls
    .slice(before)
    .filter((call) => call.endsWith("/baremetalservers/detail") || call.endsWith("/cloudservers/detail"));
  expect(lists).toHaveLength(1);
  expect(lists[0]).toContain("/baremetalservers/");
});

test("refused before anything was changed: exit 2, each reason", async () => {
  const [first, second] = cloud.world.servers;
  if (first === undefined || second === undefined) throw new Error("no servers");
  first.tags["bake-rollout"] = "20261127T000000Z-abcdef";
  const held = await bake("run", "--image", "current", "--to", "pool=ci", ...ask, "--yes");
  expect([held.status, held.stderr]).toEqual([2, expect.stringMatching(/BK703[^]*npu-0001: 20261127T000000Z-abcdef/)]);
  const none = await bake("plan", "--image", "current", "--to", "npu-0011,npu-0001", ...ask);
  expect([none.status, none.stderr]).toEqual([2, expect.stringMatching(/BK701[^]*npu-0011/)]);
  const wide = await bake(
    "plan",
    "--image",
    "current",
    "--to",
    "npu-0002,npu-0003,npu-0004,npu-0005,npu-0006,npu-0007",
    "--wave",
    "50%",
    ...ask,
  );
  expect([wide.status, wide.stderr]).toEqual([2, expect.stringContaining("BK705")]);
  for (const args of [[], ["--resume", "--back"], ["--image", "x"], ["--image", "x", "--to", "y", "--wave", "0"]])
    expect((await bake("run", ...ask, ...args)).status, args.join(" ")).toBe(2);
  for (const id of ["../../etc", "nope"]) expect((await bake("status", id)).stderr).toContain("BK709");
  expect([changed(), existsSync(join(folder, "out"))]).toEqual([[], false]);
});
