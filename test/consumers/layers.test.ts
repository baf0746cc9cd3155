/** Layers of a bake on the real tools: qcow2 files by qemu-img, and a QEMU without a guest that goes on in a new file. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { keepLayers } from "../../src/bake/keep-layers.ts";
import {
  collectLayers,
  findLayers,
  layerKey,
  layersFolder,
  type LayerWanted,
  publishLayers,
  referToLayers,
} from "../../src/bake/layers.ts";
import { type Host, runProcess } from "../../src/host/host.ts";
import { currentProcess } from "../../src/host/process-identity.ts";
import { system } from "../../src/host/system.ts";
import type { Stage } from "../../src/render/stages.ts";
import { sha256File } from "../../src/store/store.ts";
import { connectQmp } from "../../src/vm/qmp.ts";

let folder = "";
let notes: string[] = [];
const at = (...path: string[]): string => join(folder, ...path);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-layers-test-"));
  notes = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const host = (): Host => {
  const { signal } = new AbortController();
  return {
    ...system,
    run: runProcess(signal),
    env: process.env,
    cacheDir: at("cache"),
    signal,
    progress: { note: (line) => void notes.push(line), step: (_id, _title, work) => work(() => undefined) },
  };
};

const run = (...args: string[]): string => execFileSync("qemu-img", args, { encoding: "utf8", stdio: "pipe" });
const io = (file: string, ...commands: string[]): string =>
  execFileSync("qemu-io", ["-f", "qcow2", ...commands.flatMap((each) => ["-c", each]), file], { encoding: "utf8" });
const overlay = (below: string, file: string): void =>
  void run("create", "-q", "-f", "qcow2", "-b", below, "-F", "qcow2", file);

const stages: readonly Stage[] = (["base", "runtime", "payload", "node"] as const).map((name) => ({
  name,
  id: `${name}-id`,
}));

/** A base and a disk of three stages, as a build leaves them: a byte of each stage at its own MiB. */
const built = async (): Promise<LayerWanted & { readonly files: Record<"base" | "runtime" | "payload", string> }> => {
  mkdirSync(at("work"), { recursive: true });
  const base = at("base.qcow2");
  run("create", "-q", "-f", "qcow2", base, "16M");
  const files = { base: at("work/image.qcow2"), runtime: at("work/a.qcow2"), payload: at("work/b.qcow2") };
  let below = base;
  for (const [index, file] of Object.values(files).entries()) {
    overlay(below, file);
    io(file, `write -P ${index + 1} ${index}M 4k`);
    below = file;
  }
  const { publicKey } = await layerKey(host());
  return { stages, base: { path: base, sha256: (await sha256File(base)).sha256 }, publicKey, files };
};

const published = async () => {
  const wanted = await built();
  const taken = (["base", "runtime", "payload"] as const).map((stage) => ({ stage, file: wanted.files[stage] }));
  return { wanted, layers: await publishLayers(host(), wanted, { below: [], taken, inputs: [wanted.base.sha256] }) };
};

const names = (layers: readonly { readonly stage: string }[]): string[] => layers.map(({ stage }) => stage);

describe("layers in the cache", { timeout: 180_000 }, () => {
  test("are what the build made, below one another, for this user alone", async () => {
    const { wanted, layers } = await published();
    const found = await findLayers(host(), wanted);
    expect(names(found)).toEqual(["base", "runtime", "payload"]);
    expect(found).toEqual(layers);
    const top = found.at(-1)?.disk ?? "";
    for (const index of [0, 1, 2]) expect(io(top, `read -P ${index + 1} ${index}M 4k`)).not.toContain("failed");
    expect(run("check", "-q", top)).toBe("");
    expect(statSync(layersFolder(host().cacheDir)).mode & 0o777).toBe(0o700);
    expect(statSync((await layerKey(host())).privateKeyFile).mode & 0o777).toBe(0o600);
    expect((await layerKey(host())).publicKey).toBe(wanted.publicKey);
  });

  test("a bake starts from the last stage that nothing changed in", async () => {
    const { wanted } = await published();
    const changed = (...which: string[]): LayerWanted => ({
      ...wanted,
      stages: stages.map((stage) => (which.includes(stage.name) ? { ...stage, id: "other" } : stage)),
    });
    expect(names(await findLayers(host(), changed("node")))).toEqual(["base", "runtime", "payload"]);
    expect(names(await findLayers(host(), changed("payload", "node")))).toEqual(["base", "runtime"]);
    expect(names(await findLayers(host(), changed("runtime", "payload", "node")))).toEqual(["base"]);
    expect(names(await findLayers(host(), changed("base", "runtime", "payload", "node")))).toEqual([]);
    // Never one whose lower stages are others.
    expect(names(await findLayers(host(), changed("runtime")))).toEqual(["base"]);
    expect(await findLayers(host(), { ...wanted, publicKey: "another" })).toEqual([]);
    expect(await findLayers(host(), { ...wanted, base: { ...wanted.base, sha256: "0".repeat(64) } })).toEqual([]);
    expect(await findLayers(host(), { ...wanted, base: { ...wanted.base, path: "/elsewhere" } })).toEqual([]);
    expect(notes).toEqual([]);
  });

  test.each([
    [
      "a byte changed",
      (file: string) =>
        execFileSync("sh", [
          "-c",
          `chmod 644 ${file}; printf x | dd of=${file} bs=1 seek=300000 conv=notrunc status=none`,
        ]),
    ],
    ["cut short", (file: string) => execFileSync("sh", ["-c", `chmod 644 ${file}; truncate -s -1 ${file}`])],
    ["gone", (file: string) => rmSync(file)],
  ] as const)("one that is damaged is not used, nor what lies on it, and is said: %s", async (_what, damage) => {
    const { wanted, layers } = await published();
    damage(layers[1]?.disk ?? "");
    expect(names(await findLayers(host(), wanted))).toEqual(["base"]);
    expect(notes).toEqual([expect.stringContaining("the layer of stage runtime is damaged, and is made anew")]);
    expect(existsSync(layers[1]?.disk ?? "")).toBe(false);
    expect(names(await findLayers(host(), wanted))).toEqual(["base"]);
  });

  test("half a layer is none, and goes when its process is gone", async () => {
    const { wanted } = await published();
    const dead = currentProcess().replace(/-\d+-\d*$/, "-999999-1");
    for (const name of [
      `.new-${dead}-0123456789ab`,
      `.old-${dead}-0123456789ab`,
      `.new-${currentProcess()}-0123456789ab`,
    ])
      mkdirSync(join(layersFolder(host().cacheDir), name));
    mkdirSync(join(layersFolder(host().cacheDir), "payload-payload-id.0000000000000000"));
    expect(names(await findLayers(host(), wanted))).toEqual(["base", "runtime", "payload"]);
    await collectLayers(host());
    const left = readdirSync(layersFolder(host().cacheDir));
    expect(left.filter((name) => name.startsWith("."))).toEqual([`.new-${currentProcess()}-0123456789ab`]);
    expect(left).not.toContain("payload-payload-id.0000000000000000");
  });

  test("stay for as long as an image's folder refers to them, and for an hour; one of another bake is not replaced", async () => {
    const { wanted, layers } = await published();
    mkdirSync(at("out"));
    await referToLayers(host().cacheDir, { folder: at("out"), layers });
    // Made once more: another file, under a name of its own.
    const second = at("work/second.qcow2");
    overlay(wanted.base.path, second);
    io(second, "write -P 9 1M 4k");
    const [fresh] = await publishLayers(host(), wanted, {
      below: [],
      taken: [{ stage: "base", file: second }],
      inputs: [],
    });
    expect(fresh?.name).not.toBe(layers[0]?.name);
    expect(await collectLayers(host())).toEqual([]);
    const old = new Date(Date.now() - 2 * 60 * 60 * 1000);
    for (const { disk } of [...layers, ...(fresh === undefined ? [] : [fresh])]) utimesSync(disk, old, old);
    expect(await collectLayers(host())).toEqual([fresh?.name]);
    rmSync(at("out"), { recursive: true });
    expect((await collectLayers(host())).toSorted()).toEqual(layers.map(({ name }) => name).toSorted());
    expect(await findLayers(host(), wanted)).toEqual([]);
  });
});

describe("layers of a machine that runs", { timeout: 180_000 }, () => {
  let qemu: ChildProcess | undefined;
  afterEach(() => void qemu?.kill("SIGKILL"));

  /** A machine with a disk as Packer starts it, and no guest. */
  const machine = async (socket: string): Promise<void> => {
    mkdirSync(at("packer"));
    mkdirSync(at("work"));
    run("create", "-q", "-f", "qcow2", at("base.qcow2"), "16M");
    io(at("base.qcow2"), "write -P 7 8M 4k");
    overlay(at("base.qcow2"), at("packer/image.qcow2"));
    const drive = "if=virtio,cache=writeback,discard=unmap,format=qcow2,detect-zeroes=unmap";
    qemu = spawn(
      "qemu-system-x86_64",
      [
        ...["-machine", "q35,accel=tcg", "-m", "64", "-S", "-nodefaults", "-display", "none"],
        ...["-drive", `file=${at("packer/image.qcow2")},${drive}`, "-qmp", `unix:${socket},server=on,wait=off`],
        ...["-qmp", `unix:${at("second")},server=on,wait=off`],
      ],
      { stdio: "ignore" },
    );
  };

  test("each holds what was written up to its stage; what follows does not reach it", async () => {
    const keeper = await keepLayers(host(), { output: at("packer"), workFolder: at("work"), artifacts: at("store") });
    const socket = keeper.variables["qmp"] ?? "";
    await machine(socket);
    const second = await connectQmp(at("second"), 20_000, host());
    const write = (pattern: number, mib: number): Promise<unknown> =>
      second.execute("human-monitor-command", { "command-line": `qemu-io virtio0 "write -P ${pattern} ${mib}M 4k"` });
    for (const [index, stage] of ["base", "runtime", "payload"].entries()) {
      await write(index + 1, index + 1);
      keeper.onLine(`    bake: layer ${stage}`);
      const file = at("store", `${keeper.variables["layers"]}-${stage}`);
      await expect.poll(() => existsSync(file), { timeout: 120_000 }).toBe(true);
      expect(await second.execute("query-status")).toMatchObject({ running: true });
    }
    await write(4, 4);
    await write(5, 1);
    keeper.onLine("bake: layer nonsense");
    const { top, taken } = await keeper.end();
    expect(notes).toEqual([]);
    expect(names(taken)).toEqual(["base", "runtime", "payload"]);
    expect(taken.map(({ file }) => file)).toEqual([
      at("packer/image.qcow2"),
      at("work/after-base.qcow2"),
      at("work/after-runtime.qcow2"),
    ]);
    const ended = new Promise((done) => qemu?.once("exit", done));
    second.execute("quit").catch(() => undefined);
    await ended;
    expect(top).toBe(at("work/after-payload.qcow2"));
    const chain = JSON.parse(run("info", "--output=json", "--backing-chain", top)) as { filename: string }[];
    expect(chain.map(({ filename }) => filename)).toEqual([
      ...[top, at("work/after-runtime.qcow2"), at("work/after-base.qcow2")],
      ...[at("packer/image.qcow2"), at("base.qcow2")],
    ]);
    const has = (file: string, pattern: number, mib: number): boolean =>
      spawnSync("qemu-io", ["-f", "qcow2", "-c", `read -P ${pattern} ${mib}M 4k`, file]).status === 0;
    const holds = (file: string): number[] =>
      [1, 2, 3, 4].flatMap((mib) => [1, 2, 3, 4, 5].filter((pattern) => has(file, pattern, mib)));
    expect(holds(at("packer/image.qcow2"))).toEqual([1]);
    expect(holds(at("work/after-base.qcow2"))).toEqual([1, 2]);
    expect(holds(at("work/after-runtime.qcow2"))).toEqual([1, 2, 3]);
    expect(holds(top)).toEqual([5, 2, 3, 4]);
    expect(io(top, "read -P 7 8M 4k")).not.toContain("failed");
    // Nothing of it stays.
    expect(readdirSync(at("store/tmp"))).toEqual([]);
    expect(existsSync(join(socket, ".."))).toBe(false);
  });

  test("a machine that cannot be asked makes no layer, and the guest is let go on", async () => {
    const keeper = await keepLayers(host(), { output: at("packer"), workFolder: at("work"), artifacts: at("store") });
    keeper.onLine("bake: layer base");
    keeper.onLine("bake: layer runtime");
    await expect
      .poll(() => existsSync(at("store", `${keeper.variables["layers"]}-runtime`)), { timeout: 120_000 })
      .toBe(true);
    expect(await keeper.end()).toEqual({ top: at("packer/image.qcow2"), taken: [] });
    expect(notes).toEqual([expect.stringContaining("no layer of stage base")]);
  });
});
