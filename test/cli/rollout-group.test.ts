/** `bake rollout` over an AS group as a user runs it, against the emulated cloud and the emulated Buildkite. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { type BuildkiteEmulator, startBuildkite } from "../buildkite/emulator.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { fleetServer, scalingGroup, type ScalingGroup as Group, type Server } from "../huaweicloud/world.ts";
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

const size = 4;

let folder = "";
let cloud: Emulator;
let buildkite: BuildkiteEmulator;
let group: Group;
let isBroken = false;

const connect = (server: Server): void => connectAgents({ cloud, buildkite }, server);

beforeEach(async () => {
  cloud = await startEmulator();
  buildkite = await startBuildkite();
  isBroken = false;
  const { world } = cloud;
  [world.takes.scale, world.takes.boot] = [300, 200];
  world.images.push(...twoImages());
  world.onBooted = (server) => {
    if (!isBroken) connect(server);
  };
  world.scalingConfigurations.push({ id: "c1", name: "builders-old", imageId: old, rest: { user_data: "T0xE" } });
  const servers = Array.from({ length: size }, (_, at) => fleetServer(at + 1, { imageId: old, tags: { pool: "ci" } }));
  world.servers.push(...servers);
  for (const server of servers) connect(server);
  group = scalingGroup(servers, { min: size, max: size });
  world.scalingGroups.push(group);
  world.scalingPolicies.push({ id: "p1", name: "shrink", groupId: "g1", isOn: true, change: -1 });
  folder = mkdtempSync(join(tmpdir(), "bake-rollout-group-"));
  writeProfile(
    folder,
    "wave: 3, minHealthy: 100%, canarySoak: 1, soak: 0, interval: 1, readyTimeout: 10, changeTimeout: 10",
  );
});
afterEach(async () => {
  await cloud.close();
  await buildkite.close();
  rmSync(folder, { recursive: true, force: true });
});

const user = () => userOf(folder, { cloud, buildkite });
const bake = (...args: readonly string[]) => rollOut(user(), ...args);
const ask = ["--profile", "2cards.yaml"] as const;
const images = (): string[] => imagesOf(cloud);
const changed = (): string[] => cloud.calls.filter((call) => /^(?:AS|ECS) (?:PUT|POST)/.test(call));
const asBefore = { min: size, max: size, desired: size };

test("a group is planned, rolled out, and taken back: every member replaced, the group as before", {
  timeout: 300_000,
}, async () => {
  const forward = ["--image", "current", "--to", "builders", ...ask];
  const plan = await bake("plan", ...forward);
  expect([plan.status, plan.stderr]).toEqual([0, ""]);
  expect(plan.stdout).toContain(
    `the AS group builders makes new members of ${fresh}, up to as many more as go in a wave; then the old ones go, 4 stay`,
  );
  expect(plan.stdout).toContain("canary       1  npu-0001");
  expect(plan.stdout).toContain("4 of 4 nodes take jobs now, 4 have to at any moment");
  expect(changed()).toEqual([]);

  const done = await bake("run", ...forward, "--yes");
  expect([done.status, done.stdout]).toEqual([0, expect.stringContaining(": done\n  4 unlocked")]);
  expect(images()).toEqual(["new", "new", "new", "new"]);
  expect(group).toMatchObject(asBefore);
  expect(group.members.some(({ isProtected }) => isProtected)).toBe(false);
  expect(cloud.world.scalingPolicies[0]?.isOn).toBe(true);
  expect(cloud.world.servers.map(({ tags }) => tags["bake-rollout"])).toEqual(Array(size));
  expect(buildkite.stops.every(({ graceful }) => graceful)).toBe(true);
  const made = cloud.world.scalingConfigurations.find(({ id }) => id === group.configurationId);
  expect([made?.imageId, made?.name]).toEqual([fresh, expect.stringMatching(/^bake-2/)]);
  const sent = gunzipSync(Buffer.from(String(made?.rest?.["user_data"]), "base64")).toString();
  expect([sent.includes(token), sent.startsWith("#cloud-config")]).toEqual([true, true]);
  expect(done.stdout + done.stderr).not.toContain(token);
  const again = await bake("run", ...forward, "--yes");
  expect([again.status, again.stdout]).toEqual([0, expect.stringContaining("nothing to do: 4 nodes right already")]);

  const back = await bake("run", "--back", "--yes", ...ask);
  expect([back.status, back.stdout], back.stderr).toEqual([0, expect.stringContaining(": done\n  4 unlocked")]);
  expect([images(), group.configurationId]).toEqual([["old", "old", "old", "old"], "c1"]);
  expect(group).toMatchObject(asBefore);
});

test("a new member that takes no jobs: paused, said, no old one touched; and ended", { timeout: 300_000 }, async () => {
  isBroken = true;
  const paused = await bake("run", "--image", "current", "--to", "g1", ...ask, "--yes");
  expect(paused.status, paused.stderr).toBe(1);
  expect(paused.stdout).toMatch(
    /paused, canary: [^]*1 new member does not take jobs after 2\d s: as-builders-\w+ has 0 of 2/,
  );
  expect(images()).toEqual(["old", "old", "old", "old", "new"]);
  expect(buildkite.stops).toEqual([]);
  const status = await bake("status", "--json");
  expect(JSON.parse(status.stdout)).toMatchObject({ status: "paused", gate: "canary", group: "builders" });
  const stop = await bake("stop", ...ask);
  expect([stop.status, stop.stdout]).toEqual([0, expect.stringContaining(": stopped")]);
  expect(group).toMatchObject({ min: size, max: size + 1, desired: size + 1, configurationId: "c1" });
  expect(cloud.world.scalingPolicies[0]?.isOn).toBe(true);
  expect(cloud.world.servers.map(({ tags }) => tags["bake-rollout"])).toEqual(Array(size + 1));
  isBroken = false;
  const back = await bake("run", "--back", "--yes", ...ask);
  expect([back.status, back.stdout], back.stderr).toEqual([0, expect.stringContaining(": done\n  1 unlocked")]);
  expect(group).toMatchObject(asBefore);
  expect(images()).toEqual(["old", "old", "old", "old"]);
});

test("killed in mid-wave it goes on, and nothing is made or removed twice", { timeout: 300_000 }, async () => {
  const run = spawn(join(root, "bin/bake"), ["rollout", "run", "--image", fresh, "--to", "builders", ...ask, "--yes"], {
    ...user(),
    stdio: "ignore",
    detached: true,
  });
  const ended = new Promise((resolve) => run.on("exit", resolve));
  const isRaised = (call: string): boolean => call.startsWith("AS PUT");
  while (run.exitCode === null && cloud.calls.filter(isRaised).length < 2)
    await new Promise((done) => setTimeout(done, 20));
  if (run.pid !== undefined) process.kill(-run.pid, "SIGKILL");
  await ended;
  const done = await bake("run", "--resume", "--yes", ...ask);
  expect([done.status, done.stdout], done.stderr).toEqual([0, expect.stringContaining(": done\n  4 unlocked")]);
  expect([images(), cloud.world.scalingConfigurations.length]).toEqual([["new", "new", "new", "new"], 2]);
  expect(group).toMatchObject(asBefore);
});

test("members named as servers, a step of one node, a paused group: refused with the group's name, exit 2", async () => {
  for (const to of ["npu-0002", "pool=ci", "npu-0001,npu-0002"]) {
    const refused = await bake("run", "--image", "current", "--to", to, ...ask, "--yes");
    expect([refused.status, refused.stderr]).toEqual([2, expect.stringMatching(/BK702[^]*npu-000[12]: builders/)]);
  }
  const node = await bake("node", "builders", "--image", "current", ...ask, "--yes");
  expect([node.status, node.stderr]).toEqual([2, expect.stringMatching(/BK701[^]*builders is an AS group/)]);
  group.status = "PAUSED";
  const paused = await bake("plan", "--image", "current", "--to", "builders", ...ask);
  expect([paused.status, paused.stderr]).toEqual([2, expect.stringMatching(/BK713[^]*is paused/)]);
  expect(changed()).toEqual([]);
});
