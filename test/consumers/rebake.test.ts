/** What a bake reads and needs when layers of an earlier one are there: real disks and layers, and a script in Packer's place. */
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bakeImage } from "../../src/bake/image.ts";
import { baseDisk } from "../../src/bake/base-disk.ts";
import { inputsOfStages, lockedInputs, neededBytes } from "../../src/bake/inputs.ts";
import { layerKey, type LayerWanted, publishLayers } from "../../src/bake/layers.ts";
import { planFor } from "../../src/commands/plan.ts";
import { gib } from "../../src/formats/bytes.ts";
import { toTar } from "../../src/formats/tar.ts";
import { freeBytes } from "../../src/host/disk-space.ts";
import { type Host, runProcess } from "../../src/host/host.ts";
import { system } from "../../src/host/system.ts";
import { type StageName, stageNames } from "../../src/node/concern.ts";
import type { NodePlan } from "../../src/plan/node-plan.ts";
import type { Stage } from "../../src/render/stages.ts";
import { Store } from "../../src/store/store.ts";
import { fillByDigest, layLockedProfile } from "../locked-profile.ts";
import { readProfile } from "../plan-of.ts";

let folder = "";
let notes: string[] = [];
let compared: string[] = [];
const at = (...path: string[]): string => join(folder, ...path);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-rebake-test-"));
  notes = [];
  compared = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const host = (): Host => {
  const { signal } = new AbortController();
  return {
    ...system,
    run: runProcess(signal),
    env: { PATH: process.env["PATH"] ?? "" },
    cacheDir: at("cache"),
    signal,
    progress: {
      note: (line) => void notes.push(line),
      step: (id, _title, work) => work((detail) => void (id === "verify-artifacts" && compared.push(detail))),
    },
  };
};

const run = (...args: string[]): string => execFileSync("qemu-img", args, { encoding: "utf8", stdio: "pipe" });

/** Makes the disk that it is asked for, and writes down which stages. One that starts from a layer fails while `refuse` is there. */
const packer = String.raw`#!/bin/bash
set -euo pipefail
[ "$1" = build ] || exit 0
for each; do case $each in base=*) base=\${each#*=} ;; output=*) output=\${each#*=} ;; stages=*) stages=\${each#*=} ;; packages=*) packages=\${each#*=} ;; esac; done
if [ -e "$FOLDER/refuse" ] && [[ $base == */layers/* ]]; then echo "==> qemu.node: Timeout waiting for SSH."; exit 1; fi
mkdir "$output"
qemu-img create -q -f qcow2 -b "$base" -F qcow2 "$output/image.qcow2"
for stage in $stages; do echo "    qemu.node: bake: stage $stage"; done
echo "$stages" >>"$FOLDER/made"
if [ -e "$FOLDER/packages.tar.gz" ]; then cp "$FOLDER/packages.tar.gz" "$packages"; else tar -czf "$packages" -T /dev/null; fi
`.replaceAll("\\$", "$");

/** Of nobody. */
const newKey = (): string =>
  generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const key = newKey();

interface Prepared {
  readonly plan: NodePlan;
  readonly store: Store;
  readonly stages: readonly Stage[];
  /** Of the first file of an artifact whose name begins so. */
  readonly fileOf: (name: string) => string;
}

/** A lock with everything in the store, and layers of its first three stages. @param layered Content of the last layer. */
const prepared = async (layered = "nothing"): Promise<Prepared> => {
  run("create", "-q", "-f", "qcow2", at("base.qcow2"), "16M");
  const base = readFileSync(at("base.qcow2"));
  const { contents, lock } = layLockedProfile(
    folder,
    "extends: 2cards\nmodels: [ { modelscope: org/small } ]\nimages: [ example.com/some/image:1 ]\n",
    (what) => {
      if (what.startsWith("base ")) return base;
      if (/^(?:docker-static|buildkite-agent) /.test(what))
        return gzipSync(toTar([{ path: "docker/dockerd", content: what }]));
      return Buffer.from(what.startsWith("layer of") ? `${what}\n${key}` : what);
    },
  );
  const plan = planFor({ name: "site", profile: readProfile(at("site.yaml")), lock });
  const store = new Store(at("cache/store"));
  fillByDigest(store.root, contents);
  const stages = stageNames.map((name) => ({ name, id: `${name}-id` }));
  mkdirSync(at("out"), { recursive: true });
  mkdirSync(at("made.work"));
  writeFileSync(at("packer"), packer);
  chmodSync(at("packer"), 0o755);

  const wanted: LayerWanted = {
    stages,
    base: await baseDisk(host(), store, plan.base),
    publicKey: (await layerKey(host())).publicKey,
  };
  let below = wanted.base.path;
  const taken = (["base", "runtime", "payload"] as const).map((stage) => {
    const file = at("made.work", `${stage}.qcow2`);
    run("create", "-q", "-f", "qcow2", "-b", below, "-F", "qcow2", file);
    below = file;
    return { stage, file };
  });
  writeFileSync(at("text"), layered);
  execFileSync("qemu-io", ["-f", "qcow2", "-c", `write -q -s ${at("text")} 1M ${layered.length}`, below]);
  await publishLayers(host(), wanted, { below: [], taken, inputs: [] });
  return {
    plan,
    store,
    stages,
    fileOf: (name) => {
      const file = lockedInputs(plan).find((each) => each.name.startsWith(name));
      if (file === undefined) throw new Error(`no input is named ${name}`);
      return store.path(file.sha256);
    },
  };
};

const bake = ({ plan, store, stages }: Prepared, noCache = false) =>
  bakeImage(host(), {
    ...{ folder: at("out"), plan, bakeId: "node-id", stages, noCache, trial: false, secrets: {}, store },
    packer: { path: at("packer"), environment: { FOLDER: folder } },
    steps: () => [],
    provenance: () => "{}",
    accelerator: { accel: "tcg", architecture: "x86_64", cpuModel: "max", reason: "a test" },
    onPhase: () => undefined,
  });

const made = (): string[] => (existsSync(at("made")) ? readFileSync(at("made"), "utf8").trimEnd().split("\n") : []);
/** Of as many bytes as before. */
const damage = (path: string): void => writeFileSync(path, "x".repeat(readFileSync(path).length));

describe("a bake with layers of an earlier one", { timeout: 180_000 }, () => {
  test("reads the base and what the stages to come read, and nothing else", async () => {
    const all = await prepared();
    for (const name of ["org/small config.json", "example.com/some/image:1 layer", "docker"]) damage(all.fileOf(name));
    const { stages = [] } = await bake(all);
    expect(stages.map(({ name, reused }) => `${name} ${reused}`)).toEqual([
      "base true",
      "runtime true",
      "payload true",
      "node false",
    ]);
    expect(made()).toEqual(["node"]);
    expect(compared.map((name) => name.replace(/^base .*/, "base")).toSorted()).toEqual([
      "base",
      "buildkite-agent",
      "buildx",
      "goss",
    ]);
  });

  test.each(["base ", "goss", "buildkite-agent"])("what is read has to be what the lock names: %s", async (name) => {
    const all = await prepared();
    const file = all.fileOf(name);
    damage(file);
    await expect(bake(all)).rejects.toMatchObject({ code: "BK202", message: expect.stringContaining(file) });
    expect(made()).toEqual([]);
    expect(notes).toEqual([]);
  });

  test("one that must do without its layers reads the rest first", async () => {
    const all = await prepared();
    writeFileSync(at("refuse"), "");
    const weights = all.fileOf("org/small");
    const right = readFileSync(weights);
    damage(weights);
    await expect(bake(all)).rejects.toMatchObject({ code: "BK202", message: expect.stringContaining(weights) });
    expect(notes).toEqual([
      expect.stringContaining("the build VM could not be entered from its layers: once more, from the base"),
    ]);
    expect(made()).toEqual([]);
    // Each file once, although the build began twice.
    writeFileSync(weights, right);
    compared = [];
    await bake(all);
    expect(made()).toEqual(["base runtime payload node"]);
    expect(compared.toSorted()).toEqual(
      lockedInputs(all.plan)
        .map((file) => file.name)
        .toSorted(),
    );
  });

  test("without layers everything is read", async () => {
    const all = await prepared();
    damage(all.fileOf("org/small"));
    await expect(bake(all, true)).rejects.toMatchObject({ code: "BK202" });
    expect(made()).toEqual([]);
  });

  test("needs room for what it makes", async () => {
    const all = await prepared();
    // As an image and unpacked it fits; with what makes a seed of it, it does not.
    const size = Math.round((await freeBytes(folder)) / 4);
    const artifacts = (all.plan.artifacts ?? []).map((each) =>
      each.kind === "model" ? { ...each, files: each.files.map((file) => ({ ...file, size })) } : each,
    );
    const large = { ...all, plan: { ...all.plan, artifacts } };
    await expect(bake(large, true)).rejects.toMatchObject({ code: "BK402" });
    expect(made()).toEqual([]);
    await bake(large);
    expect(made()).toEqual(["node"]);
  });

  test("a file that nobody has read excuses no finding in the image until it was compared", async () => {
    const all = await prepared(key);
    // A layer of an image has the same example: left alone.
    expect((await bake(all)).sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(notes.filter((line) => line.includes("left alone"))).toEqual([
      "      left alone: 1 examples and test keys of inputs and packages (private key)",
    ]);
    // What an earlier scan noted of it is gone, and somebody has put the key into another input.
    rmSync(at("cache/scan"), { recursive: true });
    const weights = all.fileOf("org/small");
    writeFileSync(weights, key);
    await expect(bake(all)).rejects.toMatchObject({ code: "BK202", message: expect.stringContaining(weights) });
  });

  test("what packages brought is known, and what they did not bring is a finding", async () => {
    const example = newKey();
    const all = await prepared(example);
    const packed = (content: string): void =>
      writeFileSync(at("packages.tar.gz"), gzipSync(toTar([{ path: "usr/lib/python3/example.py", content }])));
    await expect(bake(all)).rejects.toMatchObject({ code: "BK403" });
    packed(newKey());
    await expect(bake(all)).rejects.toMatchObject({ code: "BK403" });
    packed(`# An example:\n${example}`);
    expect((await bake(all)).sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(notes.filter((line) => line.includes("left alone"))).toEqual([
      "      left alone: 1 examples and test keys of inputs and packages (private key)",
    ]);
  });
});

test("room: what is made counts for the overlay, all of it for the image and its unpacked form", async () => {
  const { plan } = await prepared();
  const files = lockedInputs(plan);
  const sum = (stages: readonly StageName[]): number =>
    files.filter(({ stage }) => stages.includes(stage)).reduce((total, { size }) => total + size, 0);
  const whole = sum(stageNames);
  expect(files.filter(({ stage }) => stage === "payload").map(({ name }) => name)).toEqual(
    files.filter(({ name }) => /org\/small|image|buildkit:/.test(name)).map(({ name }) => name),
  );
  expect(files.filter(({ stage }) => stage === "runtime").map(({ name }) => name)).toEqual(["docker"]);
  expect(neededBytes(files, { hasSeed: true, stages: stageNames })).toBe(6 * whole + gib);
  expect(neededBytes(files, { hasSeed: false, stages: stageNames })).toBe(3 * whole + gib);
  expect(neededBytes(files, { hasSeed: true, stages: ["node"] })).toBe(4 * sum(["node"]) + 2 * whole + gib);
  expect(neededBytes(files, { hasSeed: true, stages: ["payload", "node"] })).toBe(
    4 * sum(["payload", "node"]) + 2 * whole + gib,
  );
  expect(inputsOfStages(files, ["node"]).map(({ stage }) => stage)).toEqual(["base", "node", "node", "node"]);
});
