/** `bake pipeline` as a user runs it: from a profile and its lock to what Buildkite's agent takes. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as YAML from "yaml";
import { root } from "../../src/host/root.ts";
import { layLockedProfile } from "../locked-profile.ts";
import { readProfile } from "../plan-of.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-pipeline-"));
  layLockedProfile(folder, `extends: ${JSON.stringify(join(root, "test/golden/cloud/profile.yaml"))}\n`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bake = (...args: readonly string[]): { status: number | null; stdout: string; stderr: string } => {
  const { status, stdout, stderr } = spawnSync(join(root, "bin/bake"), ["pipeline", ...args], {
    cwd: folder,
    env: { PATH: process.env["PATH"] ?? "", HOME: folder, XDG_CACHE_HOME: join(folder, "cache"), NO_COLOR: "1" },
    encoding: "utf8",
  });
  return { status, stdout, stderr: stderr.replace("bake: bundling the CLI\n", "") };
};

interface Step {
  readonly key: string;
  readonly agents?: Readonly<Record<string, string>>;
  readonly commands?: readonly string[];
}

const stepsOf = (text: string): readonly Step[] => (YAML.parse(text) as { steps: Step[] }).steps;

test("a pipeline of one profile, by its path; as JSON it is the same", () => {
  const { status, stdout, stderr } = bake("site.yaml", "--flavor", "kat1", "--queue", "images", "--to", "role=$npu");
  expect([status, stderr]).toEqual([0, ""]);
  const steps = stepsOf(stdout);
  expect(steps.map(({ key }) => key)).toEqual(
    ["bake", "canary", "verify", "approve", "promote", "rollout"].map((part) => `${part}-site`),
  );
  expect(steps[0]?.commands?.[0]).toBe("bake image --profile 'site.yaml' --target huaweicloud --frozen-lockfile");
  expect(steps[0]?.commands?.[1]).toContain("'out/site-huaweicloud/image.json'");
  expect(steps[2]?.agents?.["bake-id"]).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(steps[5]?.commands?.at(-1)).toContain("--to 'role=$$npu'");
  const json = bake("--profile", "site.yaml", "--flavor", "kat1", "--queue", "images", "--to", "role=$npu", "--json");
  expect(JSON.parse(json.stdout)).toEqual(YAML.parse(stdout));
});

test("what is wrong is said, with what to do, and nothing is printed", () => {
  const ownQueue = readProfile(join(folder, "site.yaml")).agents.queue;
  for (const [args, code, words] of [
    [["site.yaml", "--flavor", "kat1", "--queue", ownQueue], 2, "BK464"],
    [["site.yaml", "--flavor", "kat1", "--queue", "images", "--to", "a b"], 2, "BK461"],
    [["site.yaml", "--flavor", "kat1", "--queue", "a b"], 2, "BK462"],
    [["site.yaml", "--flavor", "kat1"], 2, "--queue"],
    [["site.yaml", "--queue", "images"], 2, "--flavor"],
    [["site.yaml", "--flavor", "kat1", "--queue", "images", "--wave", "51"], 2, "1 to 50"],
    [[join(root, "test/golden/cloud/profile.yaml"), "--flavor", "kat1", "--queue", "images"], 2, "BK463"],
    [["2cards", "--flavor", "kat1", "--queue", "images"], 2, "BK413"],
  ] as const) {
    const { status, stdout, stderr } = bake(...args);
    expect([status, stdout], args.join(" ")).toEqual([code, ""]);
    expect(stderr).toContain(words);
  }
});
