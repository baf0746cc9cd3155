/** `bake doctor` as a user runs it, against the emulated cloud behind a proxy. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { type Ended, runBake, userIn } from "./run-bake.ts";

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

const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  runBake(args, userIn(folder, { ...emulator.env, ...env }));

const bake = (args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
  run(["doctor", "--profile", "site.yaml", ...args], env);

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

test("without credentials nothing is asked; a profile for a local VM looks at this machine and at its own sources", async () => {
  const { status, stderr } = await bake([], { HW_SECRET_KEY: "" });
  expect(status).toBe(2);
  expect(stderr).toMatch(/^error\[BK410\]: credentials of Huawei Cloud are missing: HW_SECRET_KEY\n/);
  expect(emulator.calls).toEqual([]);
  writeFileSync(join(folder, "site.yaml"), `extends: ${JSON.stringify(join(root, "profiles/2cards.yaml"))}\n`);
  const dead = { HTTPS_PROXY: "http://127.0.0.1:1", https_proxy: "http://127.0.0.1:1", NO_PROXY: "", no_proxy: "" };
  const local = await bake([], dead);
  expect(local.status).toBe(1);
  expect(local.stdout).toMatch(/^this machine, to bake site\.yaml in a local VM\n/);
  expect(local.stdout).toMatch(/^ {2}wrong +download\.docker\.com +.* \(docker\)\n +Set HTTPS_PROXY/m);
  expect(local.stdout).toMatch(/^ {2}wrong +quay\.io +.* \(images\)$/m);
});

test("a registry that speaks plain http is asked so where the profile says that it does; elsewhere it is said to speak no TLS", async () => {
  // A proxy to one place, which answers everything, without TLS.
  const proxy = createServer((_, response) => response.writeHead(204).end());
  proxy.on("connect", (_, socket) => {
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    socket.once("data", () => socket.end("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"));
    socket.on("error", () => undefined);
  });
  await once(proxy.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const env = { HTTPS_PROXY: url, HTTP_PROXY: url, https_proxy: url, http_proxy: url, NO_PROXY: "", no_proxy: "" };
  const profile = (insecure: string): string =>
    `extends: ${JSON.stringify(join(root, "profiles/2cards.yaml"))}
network: { registryMirrors: { docker.io: ["mirror.example.com:5000"], quay.io: ["mirror.example.com:5000/quay"] } }
sources: { insecureRegistries: [${insecure}] }\n`;
  try {
    writeFileSync(join(folder, "site.yaml"), profile('"mirror.example.com:5000"'));
    const told = await bake([], env);
    expect(told.stdout).toMatch(/^ {2}ok +mirror\.example\.com:5000 +answers 204 \(images\)$/m);
    writeFileSync(join(folder, "site.yaml"), profile(""));
    const untold = await bake([], env);
    expect(untold.stdout).toMatch(
      /^ {2}wrong +mirror\.example\.com:5000 +what it answers is no TLS: it may speak plain http \(images\)$/m,
    );
  } finally {
    proxy.close();
  }
});

test("without a profile: this machine, each line with what to do; no host is asked offline", async () => {
  const path = join(folder, "path");
  mkdirSync(path);
  for (const name of ["node", "dirname", "find", "head", "readlink"])
    symlinkSync(execFileSync("which", [name], { encoding: "utf8" }).trim(), join(path, name));
  const { status, stdout } = await run(["doctor", "--offline", "--json"], { PATH: path });
  const report = JSON.parse(stdout) as { lines: { id: string; outcome: string; detail: string; help?: string }[] };
  const ids = report.lines.map(({ id }) => id);
  expect(ids).toEqual(["node", "system", "packages", "packer", "kvm", "disk", "cache", "memory"]);
  for (const { id, outcome, help } of report.lines) if (outcome === "wrong") expect(help, id).toMatch(/\S/);
  // Nothing of a bake's programs is on this PATH.
  const packages = report.lines.find(({ id }) => id === "packages");
  expect(packages).toMatchObject({ outcome: process.getuid?.() === 0 ? "note" : "wrong" });
  expect(packages?.detail).toMatch(/^missing: .*qemu-img.*mmdebstrap/);
  expect(report.lines.find(({ id }) => id === "packer")).toMatchObject({
    outcome: "note",
    help: expect.stringContaining("put Packer 1.11 on PATH") as unknown,
  });
  expect(report).toMatchObject({ profile: null, target: "qemu", summary: { exitCode: status } });
  expect(existsSync(join(folder, "out"))).toBe(false);
});
