/** `bake doctor` as a user runs it, against the emulated cloud behind a proxy. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";

let folder = "";
let emulator: Emulator;
beforeEach(async () => {
  emulator = await startEmulator();
  folder = mkdtempSync(join(tmpdir(), "bake-doctor-"));
  const golden = JSON.stringify(join(root, "test/golden/cloud/profile.yaml"));
  writeFileSync(
    join(folder, "site.yaml"),
    `extends: ${golden}\ntargets: { huaweicloud: { availabilityZone: cn-north-4b, publicIp: { bandwidth: 5 } } }\n`,
  );
});
afterEach(async () => {
  await emulator.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Not in step: the cloud lives in this process. */
const bake = (args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
  new Promise((resolve) => {
    const options = {
      cwd: folder,
      env: {
        PATH: process.env["PATH"] ?? "",
        HOME: folder,
        XDG_CACHE_HOME: join(folder, "cache"),
        ...emulator.env,
        ...env,
      },
    };
    execFile(join(root, "bin/bake"), ["doctor", "--profile", "site.yaml", ...args], options, (error, stdout, stderr) =>
      resolve({
        status: error === null ? 0 : Number(error.code),
        stdout,
        stderr: stderr.replace("bake: bundling the CLI\n", ""),
      }),
    );
  });

test("a table of what is right, and of what only a bake shows; nothing is written", async () => {
  const { status, stdout, stderr } = await bake(["--target", "huaweicloud"]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(
    /^preflight of site\.yaml, to bake in the cloud\n {2}ok {11}credentials +the cloud accepts them\n/,
  );
  expect(stdout).toMatch(/^ {2}ok {11}size of user-data +user-data\/build\.yaml \d+ bytes of 32000$/m);
  expect(stdout).toMatch(/^ {2}real run {5}room for the server /m);
  expect(stdout).toMatch(/\n\n22 ok, 0 wrong, 0 not checked, 5 that only a bake shows\n$/);
  expect(existsSync(join(folder, "out"))).toBe(false);
  for (const value of [emulator.env["HW_ACCESS_KEY"], emulator.env["HW_SECRET_KEY"]])
    expect(stdout).not.toContain(value);
});

test("what is wrong ends with 1, with what to do; --json has the same", async () => {
  emulator.world.subnet.dhcp = false;
  const { status, stdout } = await bake(["--json"]);
  expect(status).toBe(1);
  const report = JSON.parse(stdout) as { lines: { id: string }[]; summary: object };
  expect(report).toMatchObject({ profile: "site", target: "huaweicloud" });
  expect(report.summary).toEqual({ ok: 21, wrong: 1, notChecked: 0, realRun: 5, exitCode: 1 });
  expect(report.lines.find(({ id }) => id === "dhcp")).toEqual({
    id: "dhcp",
    title: "DHCP of the subnet",
    outcome: "wrong",
    detail: "off: the server would get no address, and no user-data",
    help: "Turn DHCP on in the subnet's settings.",
  });
});

test("what could not be checked ends with 2: a right that is missing, a proxy that leads nowhere", async () => {
  emulator.forbid("IMS GET /v1/cloudimages/quota");
  const { status, stdout } = await bake();
  expect(status).toBe(2);
  expect(stdout).toMatch(
    /^ {2}not checked {2}quota of images .*\n +The user needs the right ims:quotas:get in cn-north-4/m,
  );
});

test("without credentials nothing is asked; a target without a preflight says so", async () => {
  const { status, stderr } = await bake([], { HW_SECRET_KEY: "" });
  expect(status).toBe(2);
  expect(stderr).toMatch(/^error\[BK410\]: credentials of Huawei Cloud are missing: HW_SECRET_KEY\n/);
  expect(emulator.calls).toEqual([]);
  writeFileSync(join(folder, "site.yaml"), `extends: ${JSON.stringify(join(root, "profiles/2cards.yaml"))}\n`);
  const local = await bake();
  expect(local.status).toBe(2);
  expect(local.stderr).toMatch(/^error\[BK413\]: there is nothing to look at before a bake in a local VM\n/);
});
