/** A batch on a host, on this machine: bash in place of ssh, the real script and the real goss. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { bundleCommands, writeBundle } from "../../src/check/bundle.ts";
import {
  checkForHost,
  cannotCheck,
  checkHost,
  compareBakeIds,
  type HostIdentity,
  openRootShell,
  parseIdentity,
  requireArchitecture,
} from "../../src/check/check-host.ts";
import { type HostOutput, onHostScript, parseOutputs, runBatch, batchInput } from "../../src/check/on-host.ts";
import type { Ssh } from "../../src/vm/ssh.ts";
import { type Host, runProcess } from "../../src/host/host.ts";
import type { Check, CheckLevel, GossResource } from "../../src/node/check.ts";
import { root } from "../../src/host/root.ts";
import { planFor } from "../../src/commands/plan.ts";
import { system } from "../../src/host/system.ts";
import { readProfile, trialPlan, unlockedPlan } from "../plan-of.ts";
import { needs, toolPath } from "../needs.ts";

const goss = toolPath("goss");
const script = readFileSync(join(root, onHostScript), "utf8");
const { signal } = new AbortController();
const run = runProcess(signal);
const host: Host = {
  ...system,
  run,
  now: () => 0,
  env: {},
  cacheDir: tmpdir(),
  signal,
  progress: { step: (_id, _title, work) => work(() => undefined), note: () => undefined },
};
const local: Ssh = (command, options) => run("bash", ["-c", command], options);
const shell = { ssh: local, shell: "bash -s", script, name: "here" };
const identity: HostIdentity = {
  hostname: "node",
  os: { id: "debian", version: "12", name: "Debian" },
  architecture: "x86_64",
  kernel: "6",
  systemd: "252",
  absent: [],
};

/** A command of a batch that notes which folder the batch has: buildx gets a copy of its own in there. */
const noteFolder = (): string => `dirname "$BUILDX_CONFIG" >'${join(folder, "batchFolder")}'`;
/** That folder. Others may run a batch on this machine at the same time. */
const batchFolder = (): string => readFileSync(join(folder, "batchFolder"), "utf8").trim();

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-host-test-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const check = (id: string, resource: GossResource, level: CheckLevel = "gating"): Check => ({
  id,
  rows: ["G1"],
  title: id,
  level,
  resource,
});
const command = (id: string, exec: string, more: object = {}, level: CheckLevel = "gating"): Check =>
  check(id, ["command", id, { exec, "exit-status": 0, timeout: 5000, ...more }], level);
const planWith = (checks: Check[]) => ({ ...unlockedPlan(), checks });

describe("a host that was set up by hand", () => {
  const checks = unlockedPlan().checks;
  const of = (id: string, from: readonly Check[]): Check => {
    const found = from.find((each) => each.id === id);
    if (found === undefined) throw new Error(`no check ${id}`);
    return found;
  };

  it("is asked what the guide asks, and told nothing of bake's units", () => {
    const byHand = checks
      .filter((each) => cannotCheck(each, identity) === undefined)
      .map((each) => checkForHost(each, identity));
    expect(of("data-disk-mounted", byHand)).toMatchObject({
      title: "a disk of its own is mounted at /mnt",
      rows: ["G16", "G17", "G18"],
      resource: ["command", "data-disk-mounted", { stdout: ["/^(ext4|xfs)$/"] }],
    });
    expect(of("agent-token", byHand).resource[2]["exec"]).toContain("/root/.buildkite-agent/buildkite-agent.cfg");
    expect(byHand.filter((each) => JSON.stringify({ ...each, byHand: undefined }).includes("bake-"))).toEqual([]);
    expect(byHand.filter((each) => JSON.stringify({ ...each, byHand: undefined }).includes("/etc/bake"))).toEqual([]);
  });

  it("a baked one is asked what its plan says", () => {
    const baked = { ...identity, baked: { bakeId: "x", profile: "2cards", trial: false } };
    expect(checks.map((each) => checkForHost(each, baked))).toEqual(checks);
  });

  it("a disk that must be a certain one stays so", () => {
    const profile = readProfile();
    const adopting = planFor({
      name: "adopt",
      profile: {
        ...profile,
        storage: { ...profile.storage, disk: { adopt: "UUID=600d2860-2279-4366-9903-aae4525139d0" } },
      },
    });
    expect(checkForHost(of("data-disk-mounted", adopting.checks), identity).title).toContain("600d2860");
  });
});

describe("runBatch", () => {
  it("brings back status and both streams of every command, whatever is in them", async () => {
    const outputs = await runBatch(local, shell, {
      commands: [
        { name: "both", command: "printf 'a\\tb\\n'; printf 'c\\n' >&2; exit 3", seconds: 5 },
        { name: "quotes", command: `printf %s "it's \\"so\\" $((1+1))"`, seconds: 5 },
        { name: "long", command: "head -c 300000 /dev/zero | tr '\\0' x", seconds: 5 },
        { name: "stdin", command: "cat", seconds: 5 },
        { name: "slow", command: "sleep 60", seconds: 1 },
        { name: "last", command: `${noteFolder()}; echo end`, seconds: 5 },
      ],
      deadline: 30,
    });
    expect(outputs.get("both")).toEqual({ status: 3, stdout: "a\tb\n", stderr: "c\n" });
    expect(outputs.get("quotes")?.stdout).toBe('it\'s "so" 2');
    expect(outputs.get("long")?.stdout).toHaveLength(300_000);
    expect(outputs.get("stdin")).toMatchObject({ status: 0, stdout: "" });
    expect(outputs.get("slow")?.status).toBe(124);
    expect(outputs.get("last")?.stdout).toBe("end\n");
    expect(batchFolder()).toMatch(/^\/(run|tmp|var\/tmp)\/bake-check\./);
    expect(existsSync(batchFolder())).toBe(false);
  });

  it("stops at its deadline", async () => {
    const started = Date.now();
    const outputs = await runBatch(local, shell, {
      commands: [1, 2, 3].map((index) => ({ name: `slow${index}`, command: "sleep 60", seconds: 50 })),
      deadline: 1,
    });
    expect([...outputs.values()].map(({ status }) => status)).toEqual([124, 124, 124]);
    expect(Date.now() - started).toBeLessThan(15_000);
  });

  it("clears up within seconds when the connection drops, and kills what ran", async () => {
    const marker = `98${process.pid % 100_000}`;
    const child = spawn("bash", ["-s"], { stdio: ["pipe", "pipe", "pipe"] });
    child.on("error", () => undefined);
    const input = await batchInput(script, {
      commands: [{ name: "hang", command: `${noteFolder()}; sleep ${marker}`, seconds: 200 }],
      deadline: 300,
    });
    child.stdin.end(input);
    const sleeping = () => run("pgrep", ["-f", `^sleep ${marker}$`], { allowFailure: true });
    const until = async (condition: () => Promise<boolean> | boolean): Promise<void> => {
      for (let tries = 0; tries < 100 && !(await condition()); tries++)
        await new Promise((done) => setTimeout(done, 100));
    };
    await until(async () => (await sleeping()).exitCode === 0);
    expect((await sleeping()).exitCode).toBe(0);
    expect(existsSync(batchFolder())).toBe(true);
    const ended = new Promise((done) => child.once("exit", done));
    child.stdout.destroy();
    child.stderr.destroy();
    await ended;
    await until(async () => (await sleeping()).exitCode !== 0);
    expect((await sleeping()).exitCode).toBe(1);
    expect(existsSync(batchFolder())).toBe(false);
  });

  it("says when a host did not answer to the end", async () => {
    const lost: Ssh = async () => ({ exitCode: 255, stdout: "", stderr: "\n\nConnection reset\n" });
    await expect(runBatch(lost, shell, { deadline: 1 })).rejects.toMatchObject({
      code: "BK516",
      message: "the connection to here was lost",
    });
    const half: Ssh = (_command, options) =>
      run("bash", ["-s"], { ...options, input: `FILES="a:10"\nLEVELS=\nDEADLINE=1\nLIMIT=1\n${script}abc` });
    await expect(runBatch(half, shell, { deadline: 1 })).rejects.toMatchObject({
      code: "BK516",
      help: expect.stringContaining("did not arrive whole") as string,
    });
  });

  it("leaves out lines that are none of its own", () => {
    expect(parseOutputs("motd\n\nx\ty\n").size).toBe(0);
  });
});

needs("goss").describe("checkHost", () => {
  it("passes, fails with what was found, and leaves out what the host cannot have", async () => {
    writeFileSync(join(folder, "there"), "");
    const report = await checkHost(host, shell, {
      plan: planWith([
        command("good", `${noteFolder()}; echo fine`, { stdout: ["/^fine$/"] }),
        command("bad", "echo surprise; exit 4", { stdout: ["/^fine$/"] }),
        check("file", ["file", "file", { path: join(folder, "there"), exists: true, mode: "0600" }]),
        command("bake-files", "true"),
        command("npu-0", "true", {}, "npu"),
        command("far", "false", {}, "site"),
      ]),
      identity: { ...identity, absent: ["npu"] },
      goss,
    });
    expect(report.problems).toEqual([]);
    expect(report.results.map(({ check: { id }, outcome }) => [id, outcome])).toEqual([
      ["good", "passed"],
      ["bad", "failed"],
      ["file", "failed"],
      ["bake-files", "not checked"],
      ["npu-0", "not checked"],
      ["far", "failed"],
    ]);
    expect(report.results[1]).toMatchObject({
      expected: 'exit-status 0; stdout "fine"',
      found: "exit-status 4; prints surprise",
    });
    expect(report.results[2]).toMatchObject({ expected: "mode 0600", found: "mode 0644" });
    expect(report.results[3]?.detail).toBe("this host was not baked");
    expect(existsSync(batchFolder())).toBe(false);
  });

  it("reports what it knows when the host goes away before it says more", async () => {
    let batches = 0;
    const leaves: Ssh = (line, options) =>
      ++batches === 1 ? local(line, options) : Promise.resolve({ exitCode: 255, stdout: "", stderr: "" });
    const plan = planWith([command("bad", "false")]);
    const { results } = await checkHost(host, { ...shell, ssh: leaves }, { plan, identity, goss });
    expect(results[0]).toMatchObject({ outcome: "failed", found: "exit-status 1" });
    expect(batches).toBe(2);
  });

  it("is not held up by a command that hangs, and leaves none behind", async () => {
    const marker = `97${process.pid % 100_000}`;
    const { results } = await checkHost(host, shell, {
      plan: planWith([command("hangs", `sleep ${marker}`, { timeout: 500 })]),
      identity,
      goss,
    });
    // Asked twice, the second time for longer.
    expect(results[0]).toMatchObject({
      outcome: "no answer",
      detail: "Command execution timed out (2s): the machine is slow (load, disk)",
    });
    expect((await run("pgrep", ["-f", `sleep ${marker}`], { allowFailure: true })).stdout).toBe("");
  });

  it("asks what did not come to its end in time once more, with more time", async () => {
    const { results } = await checkHost(host, shell, {
      plan: planWith([command("slow", "sleep 3", { timeout: 2000 }), command("good", "true")]),
      identity,
      goss,
    });
    expect(results.map(({ check: { id }, outcome }) => [id, outcome])).toEqual([
      ["slow", "passed"],
      ["good", "passed"],
    ]);
  });

  it("reports a goss that cannot run as not checked", async () => {
    const broken = join(folder, "goss");
    writeFileSync(broken, "#!/bin/sh\necho no such instruction >&2\nexit 7\n");
    const { results, problems } = await checkHost(host, shell, {
      plan: planWith([command("good", "true")]),
      identity,
      goss: broken,
    });
    expect(results[0]?.outcome).toBe("not checked");
    expect(problems).toEqual(["gating: goss gave no report (no such instruction)"]);
  });
});

describe("openRootShell", () => {
  const target = { host: "node" };
  const answers = (...results: { exitCode: number; stdout?: string; stderr?: string }[]): Ssh => {
    const left = [...results];
    return async () => ({ stdout: "", stderr: "", ...(left.shift() ?? { exitCode: 1 }) });
  };

  it("takes root as it is, and another user through sudo", async () => {
    expect((await openRootShell(answers({ exitCode: 0, stdout: "0\n" }), target, "")).shell).toBe("bash -s");
    const user = answers({ exitCode: 0, stdout: "1000\n" }, { exitCode: 0 });
    expect((await openRootShell(user, target, "")).shell).toBe("sudo -n -- bash -s");
  });

  it("says what keeps it out", async () => {
    const refused = answers({ exitCode: 0, stdout: "1000\n" }, { exitCode: 1, stderr: "sudo: a password is required" });
    await expect(openRootShell(refused, target, "")).rejects.toMatchObject({ code: "BK514" });
    await expect(openRootShell(answers({ exitCode: 255 }), target, "")).rejects.toMatchObject({ code: "BK511" });
    await expect(openRootShell(answers({ exitCode: 0, stdout: "hello" }), target, "")).rejects.toMatchObject({
      code: "BK516",
    });
  });
});

describe("identity", () => {
  const outputs = (texts: Record<string, string>): Map<string, HostOutput> =>
    new Map(Object.entries(texts).map(([name, stdout]) => [name, { status: 0, stdout, stderr: "" }]));

  it("reads EulerOS, systemd and what bake wrote", () => {
    expect(
      parseIdentity(
        outputs({
          "os-release":
            'NAME="EulerOS"\nVERSION="2.0 (SP8)"\nID="euleros"\nPRETTY_NAME="EulerOS 2.0 (SP8)"\nVERSION_ID="2.0"\n',
          architecture: "aarch64\n",
          kernel: "4.19.36\n",
          hostname: "node-1\n",
          systemd: "systemd 239 (v239)\n",
          image: '{"profile": "2cards", "trial": false, "bakeId": "x"}\n',
          instance: 'BAKE_ABSENT="npu"\n',
        }),
      ),
    ).toEqual({
      hostname: "node-1",
      os: { id: "euleros", version: "2.0", name: "EulerOS 2.0 (SP8)" },
      architecture: "aarch64",
      kernel: "4.19.36",
      systemd: "239",
      baked: { bakeId: "x", profile: "2cards", trial: false },
      absent: ["npu"],
    });
  });

  it("reads a host of which nothing is known", () => {
    const found = parseIdentity(new Map());
    expect(found.baked).toBeUndefined();
    expect(found.absent).toEqual([]);
  });

  it("knows what cannot be checked", () => {
    expect(cannotCheck(command("bake-x", "true"), identity)).toBe("this host was not baked");
    expect(
      cannotCheck(command("bake-x", "true"), { ...identity, baked: { bakeId: "", profile: "", trial: false } }),
    ).toBeUndefined();
    expect(cannotCheck(command("x", "true", {}, "npu"), identity)).toBeUndefined();
  });

  it("takes either architecture without a lock, and the lock's with one", () => {
    expect(requireArchitecture({ ...identity, architecture: "aarch64" }, unlockedPlan(), "n")).toBe("aarch64");
    expect(requireArchitecture(identity, trialPlan(), "n")).toBe("x86_64");
    expect(() => requireArchitecture({ ...identity, architecture: "aarch64" }, trialPlan(), "n")).toThrow(
      expect.objectContaining({ code: "BK515" }) as Error,
    );
    expect(() => requireArchitecture({ ...identity, architecture: "riscv64" }, unlockedPlan(), "n")).toThrow(/riscv64/);
  });

  it("compares bake ids", () => {
    expect(compareBakeIds("a", "a")).toBe("same");
    expect(compareBakeIds("a", "b")).toBe("another");
    expect(compareBakeIds(undefined, "b")).toBe("unknown");
    expect(compareBakeIds("a", undefined)).toBe("unknown");
  });
});

describe("bundle", () => {
  it("reads no secrets and changes nothing", () => {
    for (const { command: line } of bundleCommands()) {
      expect(line).not.toMatch(/secrets|\.ssh\b|shadow|environ\b/);
      expect(line).not.toMatch(/\b(rm|mv|cp|touch|mkdir|tee|restart|start|stop|prune|create|--bootstrap)\b/);
      expect(line.replaceAll("2>&1", "")).not.toMatch(/[^2]>/);
    }
  });

  it("is one archive for its owner alone, redacted, and says what ran", async () => {
    const file = join(folder, "bundle.tar.gz");
    const outputs = new Map<string, HostOutput>([
      [
        "journal-docker.txt",
        { status: 0, stdout: "started with token=CANARY-one\nplain-CANARY-two\nkept line\n", stderr: "" },
      ],
      ["docker-info.txt", { status: 124, stdout: "", stderr: "" }],
    ]);
    await writeBundle(host, file, outputs, { report: '{"detail": "CANARY-two"}', exact: ["CANARY-two\n"] });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(["bundle.tar.gz"]);
    await run("tar", ["-xzf", file, "-C", folder]);
    const name = readdirSync(folder).find((entry) => entry.startsWith("bake-bundle-")) ?? "";
    expect(readdirSync(join(folder, name)).toSorted()).toEqual([
      "check.json",
      "docker-info.txt",
      "index.txt",
      "journal-docker.txt",
    ]);
    expect((await run("grep", ["-r", "CANARY", join(folder, name)], { allowFailure: true })).stdout).toBe("");
    expect(readFileSync(join(folder, name, "journal-docker.txt"), "utf8")).toContain("kept line");
    expect(readFileSync(join(folder, name, "index.txt"), "utf8")).toContain("docker-info.txt\texit 124 (time-out)");
  });

  it("leaves nothing half-made where it cannot be written", async () => {
    const file = join(folder, "no-such", "bundle.tar.gz");
    await expect(writeBundle(host, file, new Map(), { report: "", exact: [] })).rejects.toMatchObject({
      code: "BK518",
    });
    expect(existsSync(join(folder, "no-such"))).toBe(false);
  });
});
