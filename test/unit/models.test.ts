/** What models mean for a plan: lists, sizes, what the image carries, and checks of hosts that were set up by hand. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lockedInputs } from "../../src/bake/inputs.ts";
import { planFor } from "../../src/commands/plan.ts";
import { roomProblems } from "../../src/lock/room.ts";
import { modelFacts, modelList } from "../../src/node/models/facts.ts";
import { hostileStrings } from "../hostile.ts";
import { lockedModelOf, planWith } from "../models.ts";
import { readProfile, trialLock } from "../plan-of.ts";

const scope = lockedModelOf("modelscope", "Qwen/Qwen3-0.6B", { "config.json": "{}", "model.safetensors": "weights" });
const face = lockedModelOf("huggingface", "org/small", { "config.json": "{}", "model.safetensors": "others" });

test("a list holds any path that a lock takes, one line a file, and bash reads it back", () => {
  const paths = hostileStrings(300)
    .filter((path) => /^(?!.*(?:^|\/)\.{0,2}(?:\/|$))[^\0-\x1f\x7f\\]+$/.test(path) && !path.includes("/"))
    .map((path, index) => `${index}${path}`);
  const model = lockedModelOf("huggingface", "org/odd", Object.fromEntries(paths.map((path) => [path, path])));
  const read = `while IFS=$'\\t' read -r kind path value _; do [ "$kind" != link ] || printf '%s\\0' "$path"; done`;
  const found = execFileSync("bash", ["-c", read], { input: modelList(model), encoding: "utf8" })
    .split("\0")
    .slice(0, -1);
  const folder = `snapshots/${model.version}/`;
  expect(found.toSorted()).toEqual(paths.map((path) => Buffer.from(`${folder}${path}`).toString()).toSorted());
});

test("another list of one commit is another folder", () => {
  const [one] = planWith("/mnt", [{ model: scope }]).facts.models;
  const [other] = planWith("/mnt", [{ model: { ...scope, asked: "v1" } }]).facts.models;
  expect(one?.locked?.id).toMatch(/^modelscope\/Qwen--Qwen3-0\.6B@(2b){20}\.[0-9a-f]{12}$/);
  expect(other?.locked?.id).not.toBe(one?.locked?.id);
});

test("a lock without the model is refused by its name", () => {
  const profile = { ...readProfile(), models: [{ modelscope: "Qwen/Qwen3-0.6B", from: "image" as const }] };
  expect(() => modelFacts(profile, trialLock.artifacts)).toThrow("the lock does not name model Qwen/Qwen3-0.6B");
});

test("the image carries models from the image alone", () => {
  const plan = planWith("/mnt", [{ model: scope }, { model: face, from: "mirror" }]);
  const names = lockedInputs(plan).map(({ name }) => name);
  expect(names).toContain("Qwen/Qwen3-0.6B model.safetensors");
  expect(names).not.toContain("org/small model.safetensors");
});

test("without a seed a bake reads no model and no build cache: nothing would carry them", () => {
  const kinds = (filesystem: "ext4" | "xfs"): string[] =>
    lockedInputs(planWith("/mnt", [{ model: scope }], { filesystem }))
      .map(({ name }) => /^Qwen|^tiny-cache/.exec(name)?.[0])
      .filter((name) => name !== undefined);
  expect(new Set(kinds("ext4"))).toEqual(new Set(["Qwen", "tiny-cache"]));
  expect(kinds("xfs")).toEqual([]);
});

test("sizes are told once there is a lock: files that models share count once", () => {
  const told = planWith("/mnt", [{ model: scope }, { model: face, from: "mirror" }]).explain.filter(({ what }) =>
    what.startsWith("model"),
  );
  expect(told.map(({ what, value }) => `${what}: ${value}`)).toEqual([
    "model Qwen/Qwen3-0.6B: 0.0 MiB, 2 files, in the image",
    "model org/small: 0.0 MiB, 2 files, from the mirror, at the first boot",
    "models: 0.0 MiB on the data disk, once for all agents; 0.0 MiB of them in the image",
  ]);
  const profile = { ...readProfile(), models: [{ modelscope: "Qwen/Qwen3-0.6B", from: "image" as const }] };
  expect(planFor({ name: "site", profile }).explain.filter(({ what }) => what.startsWith("model"))).toMatchObject([
    { what: "model Qwen/Qwen3-0.6B", value: "in the image" },
  ]);
});

test("models that fill the smallest disk are a warning, at the models", () => {
  const large = { ...scope, files: scope.files.map((file) => ({ ...file, size: 60 * 2 ** 30 })) };
  const lock = { ...trialLock, artifacts: [...trialLock.artifacts, large] };
  expect(roomProblems(readProfile(), lock)).toMatchObject([
    { severity: "warning", orAt: ["models"], message: expect.stringMatching(/models \(12[01] GiB\)/) },
  ]);
});

test("a host that was set up by hand is asked for the folders that both hubs' clients make", () => {
  const folder = mkdtempSync(join(tmpdir(), "bake-by-hand-"));
  try {
    const { checks } = planWith(folder, [{ model: scope }, { model: face }]);
    const exec = checks.find(({ id }) => id === "models-of-agent-2")?.byHand?.resource[2]["exec"];
    const ask = (): boolean => {
      try {
        execFileSync("sh", ["-c", String(exec)]);
        return true;
      } catch {
        return false;
      }
    };
    const put = (path: string): void => {
      mkdirSync(join(folder, path, ".."), { recursive: true });
      writeFileSync(join(folder, path), "x");
    };
    put("modelscope2/hub/models/Qwen/Qwen3-0___6B/.msc");
    put("hf_cache2/hub/models--org--small/blobs/a");
    expect(ask()).toBe(false);
    put("modelscope2/models/Qwen--Qwen3-0.6B/snapshots/x/model.safetensors");
    expect(ask()).toBe(true);
    rmSync(join(folder, "hf_cache2"), { recursive: true });
    expect(ask()).toBe(false);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
