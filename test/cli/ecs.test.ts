/** `bake ecs create` as a user runs it, against the emulated cloud behind a proxy. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { runBake, userIn } from "./run-bake.ts";
import { startBuildkite } from "../buildkite/emulator.ts";
import { bakedImage } from "../huaweicloud/world.ts";

const image = "aaaaaaaa-0000-4000-8000-000000000001";
const token = "bkct-not-to-be-seen-0123456789abcdef";

let folder = "";
let emulator: Emulator;
beforeEach(async () => {
  emulator = await startEmulator();
  emulator.world.takes.create = 0;
  emulator.world.images.push(
    bakedImage(image, "Bake1", { tags: { "bake-promoted": "20261126T130000Z" } }),
    bakedImage("aaaaaaaa-0000-4000-8000-000000000002", "Bake2"),
  );
  folder = mkdtempSync(join(tmpdir(), "bake-ecs-"));
  writeFileSync(
    join(folder, "2cards.yaml"),
    `extends: ${JSON.stringify(join(root, "test/golden/cloud/profile.yaml"))}\n`,
  );
});
afterEach(async () => {
  await emulator.close();
  rmSync(folder, { recursive: true, force: true });
});

const createIn = (env: Readonly<Record<string, string>>, ...args: readonly string[]) =>
  runBake(
    ["ecs", "create", "--profile", "2cards.yaml", "--zone", "cn-north-4b", "--flavor", "kc1.large.4", ...args],
    userIn(folder, { AGENT_TOKEN: token, ...emulator.env, ...env }),
  );
const create = (...args: readonly string[]) => createIn({}, ...args);

test("shown, made, there already, refused for another image; the token is in the user-data alone", async () => {
  const wanted = ["--name", "npu-0008", "--image", "current", "--data-disk", "500:ESSD"];
  const shown = await create(...wanted);
  expect([shown.status, shown.stdout]).toEqual([
    0,
    expect.stringMatching(
      /^npu-0008 would be made in cn-north-4:\n {2}image +aaaaaaaa-0000-4000-8000-000000000001, current, bake id Bake1xxxxx\n/,
    ),
  ]);
  expect(shown.stdout).toMatch(/nothing was made: add --yes to do it\n$/);
  // The page shows this run; how many bytes it is depends on the version.
  const bytes = /\d+ bytes of/;
  const page = readFileSync(join(root, "docs/ecs.md"), "utf8").replace(bytes, "N bytes of");
  expect(page).toContain(shown.stdout.trimEnd().replace(bytes, "N bytes of").replace(/^/gm, "    "));
  expect(emulator.world.servers).toEqual([]);

  const made = await create(...wanted, "--yes");
  expect([made.status, made.stdout.split("\n")[0]]).toEqual([
    0,
    `npu-0008 was made: server ${emulator.world.servers[0]?.id ?? ""}`,
  ]);
  expect(made.stdout).toContain("Whether it takes jobs is not known: BUILDKITE_API_TOKEN and");
  expect(emulator.world.servers).toMatchObject([
    {
      name: "npu-0008",
      imageId: image,
      status: "ACTIVE",
      tags: { "bake-id": "Bake1".padEnd(43, "x"), "bake-profile": "2cards" },
    },
  ]);
  const userData = gunzipSync(Buffer.from(emulator.world.servers[0]?.userData ?? "", "base64")).toString();
  expect(userData).toContain("npu-0008");

  const again = await create(...wanted, "--yes", "--json");
  expect([again.status, JSON.parse(again.stdout)]).toMatchObject([
    0,
    { made: false, ready: null, id: emulator.world.servers[0]?.id, name: "npu-0008", image },
  ]);
  const other = await create("--name", "npu-0008", "--image", "Bake2x", "--yes");
  expect([other.status, other.stderr.includes("BK454")]).toEqual([2, true]);
  expect(emulator.world.servers.length).toBe(1);
  for (const { stdout, stderr } of [shown, made, again, other]) expect(stdout + stderr).not.toContain(token);
}, 240_000);

test("what could be no host name, flavor or disk is refused before the cloud is asked", async () => {
  for (const args of [
    ["--name", "npu 8", "--image", "current"],
    ["--name", "$(reboot)", "--image", "current"],
    ["--name", "NPU-0008", "--image", "current"],
    ["--name", "npu-0008", "--image", "current", "--flavor", "../x"],
    ["--name", "npu-0008", "--image", "current", "--data-disk", "5"],
  ]) {
    const { status, stdout } = await create(...args, "--yes");
    expect([status, stdout]).toEqual([2, ""]);
  }
  expect(emulator.calls).toEqual([]);
}, 240_000);

test("a token that CSMS gives needs an agency, and no secret is attached", async () => {
  writeFileSync(
    join(folder, "2cards.yaml"),
    `extends: ${JSON.stringify(join(root, "test/golden/cloud/profile.yaml"))}\nsecrets:\n  agentToken: { csms: agent-token }\n`,
  );
  const without = await create("--name", "npu-0008", "--image", "current", "--yes");
  expect([without.status, without.stderr]).toEqual([2, expect.stringContaining("--agency")]);
  const made = await create("--name", "npu-0008", "--image", "current", "--agency", "ci-nodes", "--yes");
  expect([made.status, made.stdout]).toEqual([0, expect.stringContaining("without secrets")]);
}, 240_000);

test("with Buildkite's variables it waits for the agents: they come, or they do not; a profile with problems is refused", async () => {
  const buildkite = await startBuildkite();
  try {
    const extra = "agents: { spawn: 2, cards: 4 }\nrollout: { readyTimeout: 10, interval: 1 }\n";
    const file = join(folder, "2cards.yaml");
    const base = readFileSync(file, "utf8");
    writeFileSync(file, base + extra);
    const connect = (index: number): unknown =>
      buildkite.connect({
        name: `npu-0008-${index}`,
        hostname: "npu-0008",
        queue: "ascend",
        tags: [`bake-id=${"Bake1".padEnd(43, "x")}`],
      });
    // Of an organisation whose list is empty nobody would say that the token may read it. Buildkite's clock is known to the second.
    connect(1);
    for (const agent of buildkite.world.agents.values()) agent.connectedAt -= 60_000;
    const wanted = ["--name", "npu-0008", "--image", "current", "--yes"];
    const late = await createIn(buildkite.env, ...wanted, "--json");
    expect([late.status, JSON.parse(late.stdout)], late.stderr).toMatchObject([1, { made: true, ready: false }]);
    // It was there before this server: its agent is another one's.
    expect(late.stderr).toContain("0 of 2 agents are connected, 1 with another bake id, from before, or stopping");
    connect(2);
    const ready = await createIn(buildkite.env, ...wanted);
    expect([ready.status, ready.stdout], ready.stderr).toEqual([
      0,
      expect.stringMatching(/is there already[^]*It takes jobs: 2 of 2 agents are connected\.\n$/),
    ]);
    const asked = buildkite.calls.length;
    const noWait = await createIn(buildkite.env, ...wanted, "--no-wait");
    expect([noWait.status, noWait.stdout.includes("It takes jobs when"), buildkite.calls.length]).toEqual([
      0,
      true,
      asked,
    ]);
    writeFileSync(file, `${base}agents: { spawn: none }\n`);
    const wrong = await create(...wanted);
    expect([wrong.status, wrong.stdout]).toEqual([2, ""]);
  } finally {
    await buildkite.close();
  }
}, 240_000);
