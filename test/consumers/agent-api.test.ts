/** The agent API against a real agent, of any version 3. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { type AgentApi, startAgentApi } from "../../src/check/agent-api/server.ts";
import { needs, toolPath } from "../needs.ts";

const { test } = needs("buildkite-agent");

const token = "consumer-test-token";
const tags = ["queue=ascend", "bake-id=0123abcd"];
let folder: string;
let api: AgentApi;
let agent: ChildProcess | undefined;
let output = "";

const startAgent = (settings: Record<string, string> = {}): ChildProcess => {
  const config = join(folder, "buildkite-agent.cfg");
  const all = {
    token,
    name: "%hostname-%spawn-2cards",
    spawn: "2",
    tags: tags.join(","),
    endpoint: api.endpoint("127.0.0.1"),
    "build-path": join(folder, "builds"),
    "hooks-path": join(folder, "hooks"),
    "plugins-path": join(folder, "plugins"),
    "sockets-path": join(folder, "sockets"),
    ...settings,
  };
  writeFileSync(
    config,
    Object.entries(all)
      .map(([key, value]) => `${key}="${value}"\n`)
      .join(""),
  );
  output = "";
  // Nothing of the machine's own environment: an agent reads many variables, proxies among them.
  const child = spawn(toolPath("buildkite-agent"), ["start", "--config", config, "--no-color"], {
    cwd: folder,
    env: { PATH: process.env["PATH"] ?? "", HOME: folder, PYPI_CACHE_HOST: "cache.example" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data.toString()));
  return child;
};

const stop = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
};

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "bake-agent-"));
  api = await startAgentApi({
    expected: { token, nameTemplate: (index) => `%hostname-${index}-2cards`, spawn: 2, hostname: hostname(), tags },
    now: Date.now,
    silenceMs: 10_000,
  });
});

afterEach(async () => {
  if (agent !== undefined) await stop(agent, "SIGKILL");
  agent = undefined;
  await api.close();
  rmSync(folder, { recursive: true, force: true });
});

test("two agents register, run jobs of several lines, and disconnect", async () => {
  agent = startAgent();
  const registrations = await api.waitForAgents(20_000).catch((error: unknown) => {
    throw new Error(output, { cause: error });
  });
  expect(registrations.map(({ name }) => name)).toEqual([`${hostname()}-1-2cards`, `${hostname()}-2-2cards`]);
  expect(api.problems()).toEqual([]);

  const commands = [
    "for number in 1 2 3; do",
    '  echo "line $number of $BUILDKITE_AGENT_NAME"',
    "done",
    'echo "queue $BUILDKITE_AGENT_META_DATA_QUEUE, cache $PYPI_CACHE_HOST, extra $EXTRA"',
    "yes 'a line of log' | head -n 20000",
    "echo 'the end'",
  ].join("\n");
  const results = await Promise.all(
    registrations.map(({ name }) =>
      api.runJob({ agent: name, command: commands, env: { EXTRA: "x y" }, timeoutMs: 30_000 }),
    ),
  );
  for (const [position, result] of results.entries()) {
    expect(result.exitStatus, result.log).toBe(0);
    expect(result.log).toContain(`\nline 1 of ${hostname()}-${position + 1}-2cards\nline 2 of `);
    expect(result.log).toContain("queue ascend, cache cache.example, extra x y");
    expect(result.log.match(/^a line of log$/gm)).toHaveLength(20_000);
    expect(result.log.indexOf("the end\n")).toBeGreaterThan(result.log.lastIndexOf("a line of log"));
    expect(result.log).not.toContain("checkout");
  }

  const failed = await api.runJob({
    agent: registrations[0]?.name ?? "",
    command: "echo before\nexit 7\n",
    timeoutMs: 30_000,
  });
  expect(failed).toMatchObject({ exitStatus: 7 });
  expect(failed.log).toContain("before");

  await stop(agent, "SIGTERM");
  expect(api.registrations().map(({ state }) => state)).toEqual(["disconnected", "disconnected"]);
});

test("a job that takes too long is cancelled, and the agent takes the next one", async () => {
  agent = startAgent();
  const [first] = await api.waitForAgents(20_000);
  const name = first?.name ?? "";
  await expect(api.runJob({ agent: name, command: "echo started\nsleep 600", timeoutMs: 5000 })).rejects.toMatchObject({
    code: "BK501",
    message: `The job on agent ${name} did not end within 5 s`,
    help: expect.stringContaining("started"),
  });
  await expect(api.runJob({ agent: name, command: "echo again", timeoutMs: 30_000 })).resolves.toMatchObject({
    exitStatus: 0,
  });
});

test("a killed agent loses its job", async () => {
  agent = startAgent();
  const [first] = await api.waitForAgents(20_000);
  const job = api.runJob({
    agent: first?.name ?? "",
    command: "echo started\nsleep 3\nkill -9 $BUILDKITE_AGENT_PID",
    timeoutMs: 60_000,
  });
  await expect(job).rejects.toMatchObject({
    code: "BK501",
    message: expect.stringMatching(/was lost: its agent was silent for \d+ s/),
    help: expect.stringContaining("started"),
  });
});

test("a wrong token ends the wait at once", async () => {
  agent = startAgent({ token: "another" });
  await expect(api.waitForAgents(20_000)).rejects.toMatchObject({
    code: "BK502",
    help: expect.stringContaining("a token that is not the expected one"),
  });
});
