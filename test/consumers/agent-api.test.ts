/** The agent API against a real agent, of any version 3. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { type AgentApi, startAgentApi } from "../../src/check/agent-api/server.ts";
import { checkoutJob } from "../../src/check/checkout/job.ts";
import { checkedOutFile, checkoutCommit } from "../../src/check/checkout/repository.ts";
import { checkoutUrls, startCheckoutSource } from "../../src/check/checkout/source.ts";
import { root } from "../../src/host/root.ts";
import { render, trialPlan } from "../plan-of.ts";
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

/** The node's own hook and script, below another root. */
const layHook = (): void => {
  const bin = join(folder, "opt/bake/bin");
  for (const place of [bin, join(folder, "hooks")]) mkdirSync(place, { recursive: true });
  const script = readFileSync(join(root, "templates/node/bake-epoch"), "utf8");
  writeFileSync(join(bin, "bake-epoch"), script.replaceAll("/run/bake", join(folder, "run/bake")), { mode: 0o755 });
  const hook = render(trialPlan()).nodeFiles.find(({ path }) => path.endsWith("/hooks/environment"));
  const text = (hook?.content ?? "")
    .replaceAll("/opt/bake/bin", bin)
    .replaceAll("/root/.buildkite-agent/hooks", join(folder, "hooks"));
  writeFileSync(join(folder, "hooks/environment"), text, { mode: 0o755 });
};

test("jobs check out through git's rule, and meta-data are kept for each", async () => {
  const plan = trialPlan();
  const { named, rewritten } = checkoutUrls(plan);
  expect(rewritten).not.toBe(named);
  const config = render(plan).nodeFiles.find(({ path }) => path === "/etc/gitconfig");
  writeFileSync(join(folder, ".gitconfig"), config?.content ?? "");
  const source = await startCheckoutSource(rewritten);
  try {
    agent = startAgent({ "git-clone-flags": "--depth=1", "git-fetch-flags": "--depth=1" });
    const [first] = await api.waitForAgents(20_000);
    const name = first?.name ?? "";
    const command = [
      "git rev-parse HEAD",
      `cat ${checkedOutFile.name}`,
      "buildkite-agent meta-data exists buildkite:git:commit",
      "buildkite-agent meta-data get buildkite:git:commit",
      "echo",
      "! buildkite-agent meta-data exists other",
      'echo "default: $(buildkite-agent meta-data get other --default none)"',
      "buildkite-agent meta-data set other 'a value'",
      'echo "then: $(buildkite-agent meta-data get other --build "$BUILDKITE_BUILD_ID")"',
      'echo "keys: $(buildkite-agent meta-data keys | sort | tr "\\n" " ")"',
    ].join("\n");
    // The second time it fetches into the same folder.
    for (const time of ["first", "second"]) {
      const { exitStatus, log } = await api.runJob({
        agent: name,
        command,
        timeoutMs: 60_000,
        ...checkoutJob(plan, source, "127.0.0.1"),
      });
      expect(exitStatus, `${time} time: ${log}`).toBe(0);
      expect(log).toContain(`\n${checkoutCommit}\n${checkedOutFile.content}`);
      expect(log).toContain(`commit ${checkoutCommit}\n`);
      expect(log).toContain("\ndefault: none\n");
      expect(log).toContain("\nthen: a value\n");
      expect(log).toContain("\nkeys: buildkite:git:commit other \n");
      expect(log).not.toContain("Checkout failed");
    }
    expect(source.elsewhere()).toEqual([]);
  } finally {
    await source.close();
  }
});

test("each job has an EPOCHSECONDS of its own, as bash 4.4 finds it", async () => {
  layHook();
  writeFileSync(join(folder, "hooks/environment.site"), "export FROM_SITE=yes\n");
  agent = startAgent();
  const registrations = await api.waitForAgents(20_000);
  const before = Math.floor(Date.now() / 1000);
  const command = `tr '\\0' '\\n' </proc/$$/environ | grep -E '^(EPOCHSECONDS|FROM_SITE)='`;
  const results = await Promise.all(
    registrations.map(({ name }) => api.runJob({ agent: name, command, timeoutMs: 30_000 })),
  );
  const seconds = results.map(({ exitStatus, log }) => {
    expect(exitStatus, log).toBe(0);
    expect(log).toContain("FROM_SITE=yes");
    return Number(/^EPOCHSECONDS=(\d+)$/m.exec(log)?.[1]);
  });
  expect(new Set(seconds).size).toBe(2);
  for (const one of seconds) {
    expect(one).toBeGreaterThanOrEqual(before);
    expect(one).toBeLessThan(before + 60);
  }
});
