/**
 * Bakes in the emulated cloud that go wrong at each of their calls: Packer's stand-in makes the plugin's calls in the plugin's
 * order. What is left in the cloud is told with its ID, whatever happened.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { builtFrom } from "../../src/bake/built-from.ts";
import { estimate, nothingMade, readLine, waitsFor } from "../../src/bake/cloud-lines.ts";
import { BakeError } from "../../src/errors.ts";
import { describeJob } from "../../src/huaweicloud/job.ts";
import { findLeftovers, removeLeftovers } from "../../src/huaweicloud/leftovers.ts";
import { serverName } from "../../src/targets/huaweicloud.ts";
import { cloudOf, hostOf } from "../huaweicloud/cloud-of.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { bakeOnce, callsOfPlugin, pluginOrder, readyForBake, type Run, thingsIn } from "../huaweicloud/one-bake.ts";

let folder = "";
let emulator: Emulator;
beforeEach(async () => {
  emulator = await startEmulator();
  readyForBake(emulator);
  folder = mkdtempSync(join(tmpdir(), "bake-cloud-faults-"));
});
afterEach(async () => {
  await emulator.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Bakes the cloud's profile in this test's folder. */
const bake = (run: Run = {}) => bakeOnce({ emulator, folder }, run);
const things = (): string[] => thingsIn(emulator);
const byPlugin = (): string[] => callsOfPlugin(emulator);
const order = pluginOrder;

test("the plugin's calls in the plugin's order: 33 with all that it looks at a server that is gone", async () => {
  const { text, image } = await bake({ env: { STAND_IN_LOOKS: "21" } });
  expect(image, text).toMatch(/image ID [0-9a-f-]{36}/);
  const gone = order[13] ?? "";
  expect(byPlugin()).toEqual([...order.slice(0, 14), ...Array.from({ length: 20 }, () => gone), ...order.slice(14)]);
  // With an address; without one three less.
  expect(byPlugin()).toHaveLength(36);
  expect(things()).toEqual([]);
  const own = emulator.calls.length - byPlugin().length;
  expect(own).toBeLessThan(25);
});

/** How often the preflight calls what the plugin calls too. */
const inPreflight: Readonly<Record<string, number>> = { [order[0] ?? ""]: 2, [order[2] ?? ""]: 1 };

/** How often a route was called before its place in the order. */
const earlier = (at: number): number =>
  order.slice(0, at).filter((route) => route === order[at]).length + (inPreflight[order[at] ?? ""] ?? 0);

const told = (text: string): string[] => things().filter((id) => !text.includes(id));

describe.each([429, 500])("%s at each call", (status) => {
  test.each(order.map((route, at) => [at + 1, route] as const))("call %s, %s", async (number, route) => {
    emulator.fail(route, ...Array.from({ length: earlier(number - 1) }, () => ({})), { status });
    const { text, error, file } = await bake();
    expect(told(text)).toEqual([]);
    if (error === undefined) expect(file("image.json")).not.toHaveProperty("interrupted");
    else {
      expect(text).toContain("BK401");
      expect(text).toMatch(
        things().length === 0 ? /nothing is (left|known to be left) in the cloud/ : /left in the cloud:/,
      );
    }
    // Whatever it said, it made no second server.
    expect(emulator.calls.filter((call) => call === "ECS POST /v1/{project_id}/cloudservers").length).toBeLessThan(2);
  });
});

describe("a right that is missing is seen only when it is needed", () => {
  const writing = order.filter((route, at) => !route.includes(" GET ") && order.indexOf(route) === at);
  // Packer goes on without these, and ends well.
  const afterImage = ["ECS POST /v1/{project_id}/cloudservers/action", ...writing.slice(5)];
  test.each(writing)("%s", async (route) => {
    emulator.forbid(route);
    const { text, error, file } = await bake();
    expect(told(text)).toEqual([]);
    if (afterImage.includes(route)) {
      expect(error, text).toBeUndefined();
      expect(file("image.json")).toMatchObject({ imageId: emulator.world.images.at(-1)?.id });
      if (route.includes("action")) expect(things()).toEqual([]);
      else expect(text).toContain("left in the cloud:");
    } else {
      expect(text).toContain("BK401");
      expect(text).toContain("Policy doesn't allow this to be performed.");
      expect(text).toContain("docs/huaweicloud-policy.md");
      expect(things()).toEqual([]);
    }
  });
});

describe.each(["before", "after"])("Packer is killed (kill -9) %s each call", (when) => {
  test.each(order.map((route, at) => [at + 1, route] as const))("call %s, %s", async (number) => {
    const { text, error } = await bake({ env: { STAND_IN_DIE: `${number}:${when}` } });
    expect(error).toBeInstanceOf(BakeError);
    expect(text).toContain("BK401");
    expect(told(text)).toEqual([]);
    // A server that is left ends by itself, once its ID was told.
    for (const { endsAt } of emulator.world.servers) if (number > 8) expect(endsAt).toMatch(/^\d{4}-.*:00Z$/);
  });
});

test("what a killed bake left stops the next one of the same inputs, by name and ID", async () => {
  await bake({ env: { STAND_IN_DIE: "9:before" } });
  const [server] = emulator.world.servers;
  const { text, bakeId } = await bake({ name: "b" });
  expect(text).toContain("BK426");
  expect(text).toContain(`bake-site-${bakeId.slice(0, 10)} (ACTIVE, ${server?.id}`);
  // Another bake of the profile is told, and stands in nobody's way.
  if (server !== undefined) server.name = "bake-site-0123456789";
  const other = await bake({ name: "c" });
  expect(other.error, other.text).toBeUndefined();
  expect(other.text).toContain(`other bakes of this profile run, or were cut off: bake-site-0123456789`);
});

test("a job that fails: the cloud's own code and reason in the place of the plugin's %!s(<nil>)", async () => {
  emulator.fail("ECS POST /v1/{project_id}/cloudservers", {
    job: { code: "Ecs.0319", reason: "No valid host was found." },
  });
  const { text } = await bake();
  expect(text).toMatch(/BK401 the build failed at: make the server and reach it\n/);
  expect(text).toMatch(/the cloud's job [0-9a-f]{32} \(createServer\): FAIL, Ecs\.0319: No valid host was found\.\n/);
  expect(text).toContain("The zone has no room for this flavor now: try another zone, or later.");
  expect(text).not.toContain("<nil>");
  expect(text).toContain("nothing is left in the cloud");
  expect(things()).toEqual([]);
});

test("a job's parts are told, with what to do, each once", () => {
  const part = {
    job_type: "createSingleServer",
    status: "FAIL",
    error_code: "Ecs.0001",
    fail_reason: "quota\n is used up",
  };
  const job = {
    status: "FAIL",
    job_type: "createServer",
    error_code: "Ecs.0001",
    fail_reason: null,
    entities: { sub_jobs: [part, part] },
  };
  expect(describeJob("j", job)).toEqual([
    "the cloud's job j (createServer): FAIL, Ecs.0001",
    "  createSingleServer: FAIL, Ecs.0001: quota is used up",
    "  createSingleServer: FAIL, Ecs.0001: quota is used up",
    "A quota is used up: remove what is not needed, or ask for more in the console.",
  ]);
  expect(describeJob("j", { status: "FAIL", entities: undefined })).toEqual(["the cloud's job j: FAIL"]);
});

test("Ctrl-C while the image is made: what is waited for is said, the image's ID is kept, and the next bake takes it", async () => {
  emulator.world.takes.image = 400;
  const stop = new AbortController();
  const watch = setInterval(() => {
    if (emulator.calls.includes("IMS POST /v2/cloudimages/action")) stop.abort(new Error("interrupted"));
  }, 10);
  const { text, error, file } = await bake({ signal: stop.signal });
  clearInterval(watch);
  const image = emulator.world.images.at(-1);
  expect(error).toBe(stop.signal.reason);
  expect(text).toContain(
    "the cloud makes the image, and Packer's plugin cannot be stopped before it is there: up to 60 minutes",
  );
  expect(text).toContain(`the image is there: ${image?.id}`);
  expect(file("image.json")).toMatchObject({ imageId: image?.id, interrupted: true });
  expect(text).toContain("nothing is left in the cloud");
  expect(things()).toEqual([]);
  const next = await bake();
  expect(next.image, next.text).toContain(`image ID ${image?.id}`);
  expect(next.file("image.json")).not.toHaveProperty("interrupted");
  expect(emulator.calls.filter((call) => call === "IMS POST /v2/cloudimages/action")).toHaveLength(1);
});

test("an image of the same inputs that is being made: nothing is begun, its ID is told", async () => {
  const first = await bake();
  const image = emulator.world.images.at(-1);
  expect(first.error, first.text).toBeUndefined();
  if (image !== undefined) image.status = "queued";
  const calls = byPlugin().length;
  const { text } = await bake({ name: "b" });
  expect(text).toContain(`BK427 an image of these inputs is being made: ${image?.id} is queued`);
  expect(byPlugin()).toHaveLength(calls);
});

test("two bakes of the same inputs at once: both end, neither takes the other's server for its own, the twin is told", async () => {
  let open = (): void => undefined;
  const bothThere = new Promise<void>((done) => (open = done));
  let waiting = 0;
  const gate = async (): Promise<void> => {
    waiting += 1;
    if (waiting === 2) open();
    await bothThere;
  };
  const [a, b] = await Promise.all([
    bake({ name: "a", gate, env: { STAND_IN_FAIL: "artifact goss could not be fetched" } }),
    bake({ name: "b", gate, env: { STAND_IN_PROVISION: "8000" } }),
  ]);
  // The one that fails removes its own, and does not name the other's, which still runs.
  expect(a?.text).toContain("BK401");
  expect(a?.text).toContain("nothing is left in the cloud");
  expect(b?.error, b?.text).toBeUndefined();
  expect(things()).toEqual([]);
  Object.assign(emulator.world.images.at(-1) ?? {}, { status: "deleted" });
  waiting = 0;
  const both = await Promise.all([bake({ name: "c", gate }), bake({ name: "d", gate })]);
  expect(both.map(({ error }) => error)).toEqual([undefined, undefined]);
  expect(both.map(({ text }) => text).join("\n")).toMatch(
    /another bake of the same inputs made [0-9a-f-]{36}: one of these images is enough/,
  );
});

test("the plugin's lines, as it prints them", () => {
  const lines = [
    "Creating temporary keypair: packer_1...",
    "Created temporary keypair: packer_1",
    "Created EIP: '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0' (203.0.113.7)",
    "Launching server in AZ cn-north-4b...",
    "Server ID: s-1",
    "Connected to SSH!",
    "Stopping server: s-1 ...",
    "Creating the image: CI node 2 cards",
    "Image: not an id",
  ];
  expect(lines.reduce(readLine, nothingMade)).toEqual({
    stage: "image",
    keyPair: "packer_1",
    address: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
    zone: "cn-north-4b",
    serverId: "s-1",
  });
  const failed =
    "Error waiting for server (ff80) to become ready: unexpected state 'FAIL', wanted target 'SUCCESS'. last error: %!s(<nil>)";
  expect(readLine(nothingMade, failed).serverJob).toBe("ff80");
  // What a step prints is no line of the plugin's.
  expect(readLine(nothingMade, "bake: Image: 0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0")).toEqual(nothingMade);
  expect(waitsFor({ stage: "image" }, 90)).toContain("up to 90 minutes");
});

test("estimates: what the plugin waits for nothing, and the zeros of a large disk", () => {
  expect(estimate({ diskSize: 40, diskType: "SSD" })).toEqual([
    "the plugin waits 285 s for nothing, 210 s of them after the server is gone",
  ]);
  expect(estimate({ diskSize: 1024, diskType: "SAS" })[1]).toContain(
    "free space of 1024 GiB: on ext4 what was ever used of it, elsewhere all of it, about 184 minutes",
  );
});

test("from where an image was built: what CI says, without logins, tokens or syntax", () => {
  const url = "https://u:p@ci.example.com/builds/7?token=x#y";
  expect(builtFrom({ BUILDKITE_COMMIT: "HEAD", BUILDKITE_BUILD_URL: url })).toBe(
    "Build https://ci.example.com/builds/7",
  );
  expect(
    builtFrom({
      GITHUB_SHA: "4b5a6978",
      GITHUB_SERVER_URL: "https://github.com",
      GITHUB_REPOSITORY: "a/b",
      GITHUB_RUN_ID: "7",
    }),
  ).toBe("Commit 4b5a6978. Build https://github.com/a/b/actions/runs/7");
  expect(builtFrom({ GIT_COMMIT: "x\n<b>", BUILD_URL: "javascript:alert(1)" })).toBe("");
  expect(builtFrom({})).toBe("");
});

/** Every setting of the cloud's that the plugin has a part in, besides those of the other tests. */
const further = [
  "availabilityZone: cn-north-4b",
  "enterpriseProject: 0f1e2d3c4b5a69788796a5b4c3d2e1f0",
  "kmsKey: 0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9",
  "dataDisks: [{ size: 100, type: ESSD, kmsKey: 0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9 }, { size: 10 }]",
  "members: [fedcba9876543210fedcba9876543210]",
  "publicIp: { id: 99999999-7777-4888-9999-aaaaaaaaaaaa }",
  "keyPair: ci-bake",
];

/** Of somebody's, to be used and left. */
const giveWhatIsUsed = (): void => {
  emulator.world.keyPairs.push("ci-bake");
  emulator.world.addresses.push({
    ...{ id: "99999999-7777-4888-9999-aaaaaaaaaaaa", address: "203.0.113.9", bandwidthName: "ours" },
  });
};

test("a spot server with further disks, encrypted, with an address and a key pair that exist: all is used, and what exists stays", async () => {
  giveWhatIsUsed();
  const { error, text } = await bake({
    address: false,
    settings: [...further, "spot: { maximumPrice: 0.35 }"],
    env: { BAKE_SSH_PRIVATE_KEY: "/dev/null" },
  });
  expect(error, text).toBeUndefined();
  expect(emulator.calls.filter((call) => call === "EVS POST /v2.1/{project_id}/cloudvolumes")).toHaveLength(2);
  expect(emulator.world.images.at(-1)).toMatchObject({ status: "active" });
  expect(emulator.world.images.at(-1)?.members).toEqual({ fedcba9876543210fedcba9876543210: "pending" });
  // The service ends no spot server by itself.
  expect(text).toContain("the server ends by nothing but this bake:");
  expect(text).not.toContain("left in the cloud");
  expect(things()).toEqual(["ci-bake", "99999999-7777-4888-9999-aaaaaaaaaaaa"]);
  expect(emulator.world.volumes).toEqual([]);
});

test("what a cut bake with further disks leaves: each disk is named, those without a name too, and goes with the server", async () => {
  giveWhatIsUsed();
  const { text, bakeId } = await bake({
    address: false,
    settings: further,
    env: { BAKE_SSH_PRIVATE_KEY: "/dev/null", STAND_IN_DIE: "11:before" },
  });
  const disks = emulator.world.volumes;
  expect(disks.map(({ name }) => name.replace(/^bake-site-.{10}/, "SERVER"))).toEqual(["SERVER-volume-0000", "", ""]);
  for (const { id } of disks) expect(text).toContain(id);
  const cloud = cloudOf(emulator);
  const left = await findLeftovers(cloud, { serverName: serverName("site", bakeId) });
  expect(left.found.map(({ kind, ours }) => [kind, ours])).toEqual([
    ["server", true],
    ["disk", true],
    ["disk", true],
    ["disk", true],
  ]);
  await removeLeftovers(cloud, hostOf(emulator, cloud), left);
  expect(things()).toEqual(["ci-bake", "99999999-7777-4888-9999-aaaaaaaaaaaa"]);
  expect(emulator.world.volumes).toEqual([]);
});
