/** What a rollout says on the page of its Buildkite build, and that nothing of it reaches the rollout. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { annotate, annotations } from "../../src/commands/rollout-annotation.ts";
import { type Host, runProcess } from "../../src/host/host.ts";
import { fold, type RolloutState } from "../../src/rollout/state.ts";
import { begin, settingsOf } from "../rollout/rolling.ts";
import { TestWorld } from "../rollout/world.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-annotation-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A rollout that has begun, over nodes of these names. */
const stateOf = async (...names: readonly string[]): Promise<RolloutState> => {
  const world = new TestWorld();
  world.addImage("old");
  world.addImage("new");
  for (const name of names) world.add(name, "old");
  const { begun } = await begin(world, "new", { settings: settingsOf({ minHealthy: 0 }) });
  const state = fold([begun]);
  if (state === undefined) throw new Error("no rollout");
  return state;
};

/** The agent, which writes down how it was called. @param script What it does besides. */
const agent = (script = ""): void => {
  const file = join(folder, "buildkite-agent");
  writeFileSync(
    file,
    `#!/bin/sh\n{ printf '%s\\n' "$@"; echo "token $BUILDKITE_AGENT_ACCESS_TOKEN"; cat; echo END; } >>${folder}/said\n${script}\n`,
  );
  chmodSync(file, 0o755);
};
const said = (): string => (existsSync(join(folder, "said")) ? readFileSync(join(folder, "said"), "utf8") : "");

const hostOf = (rest: Readonly<Record<string, string>> = {}) => {
  const notes: string[] = [];
  const env = {
    PATH: `${folder}:/usr/bin:/bin`,
    BUILDKITE: "true",
    BUILDKITE_AGENT_ACCESS_TOKEN: "of-the-job",
    ...rest,
  };
  const progress: Host["progress"] = {
    note: (line) => void notes.push(line),
    step: (_id, _title, work) => work(() => undefined),
  };
  return { notes, host: { env, progress, run: runProcess(new AbortController().signal, env) } };
};

test.each([
  ["running", "info"],
  ["done", "success"],
  ["paused", "error"],
  ["stopped", "warning"],
] as const)("a rollout that is %s has the style %s, and a context of its own", async (status, style) => {
  agent();
  const state = await stateOf("npu-0001", "npu-0002");
  await annotate(hostOf().host, "rollout-1", { ...state, status }, state.last);
  const lines = said().split("\n");
  expect(lines.slice(0, 6)).toEqual([
    ...["annotate", "--style", style, "--context", "bake-rollout-rollout-1"],
    // Commands get no variable with a secret's name by themselves; without this one the agent may not write.
    "token of-the-job",
  ]);
  expect(lines[6]).toContain(`rollout rollout-1: ${status}`);
});

test("names and reasons are text: every line is indented, so that none is Markdown or HTML", async () => {
  agent();
  const state = await stateOf("npu-0001");
  const closing = { kind: "gate", gate: "api", reason: "<script>alert(1)</script>\n# big\n[x](javascript:y)" } as const;
  await annotate(hostOf().host, "rollout-1", { ...state, status: "paused", closing }, state.last);
  const text = said().split("\n").slice(6, -2);
  expect(text.join("\n")).toContain("<script>");
  expect(text.filter((line) => !line.startsWith("    "))).toEqual([]);
});

test("elsewhere than in a job of Buildkite's nothing is written", async () => {
  agent();
  const state = await stateOf("npu-0001");
  for (const value of ["", "false"]) await annotate(hostOf({ BUILDKITE: value }).host, "rollout-1", state, state.last);
  expect(said()).toBe("");
});

test("an agent that is not there, or fails, is one line, and no error", async () => {
  const state = await stateOf("npu-0001");
  const missing = hostOf({ PATH: "/nonexistent" });
  await annotate(missing.host, "rollout-1", state, state.last);
  expect(missing.notes).toEqual([expect.stringContaining("the build has no annotation: buildkite-agent")]);
  agent("exit 1");
  const failing = hostOf();
  await annotations(failing.host, "rollout-1").end(state, state.last);
  expect(failing.notes).toEqual([expect.stringContaining("exited 1")]);
});

test("while it runs it is written once a phase, one at a time; the end comes last", async () => {
  agent("sleep 0.2");
  const state = await stateOf("npu-0001", "npu-0002");
  const page = annotations(hostOf().host, "rollout-1");
  for (let look = 0; look < 20; look++) page.follow(state, state.last);
  await page.end({ ...state, status: "done" }, state.last);
  expect(said().match(/^(?:info|success)$/gm)).toEqual(["info", "success"]);
});
