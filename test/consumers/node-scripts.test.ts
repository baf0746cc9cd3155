/** The node's scripts with stand-ins for goss and systemctl, under both kinds of awk that bases have. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { repairs } from "../../src/node/check.ts";
import { render, trialPlan } from "../plan-of.ts";

const rendered = render(trialPlan());
let folder = "";
const at = (path: string): string => join(folder, path);
const script = (path: string, text: string): void => {
  mkdirSync(join(at(path), ".."), { recursive: true });
  writeFileSync(at(path), `#!/bin/bash\n${text}\n`);
  chmodSync(at(path), 0o755);
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-node-"));
  for (const name of ["bake-ready", "bake-gate", "bake-health", "bake-repair", "bake-token", "bake-epoch"]) {
    const text = readFileSync(join(root, "templates/node", name), "utf8");
    // The same script below another root.
    script(
      `opt/bake/bin/${name}`,
      text.replace(/(?<![\w$}])\/(opt|run|etc)\/bake/g, `${folder}/$1/bake`).replace(/\/dev\/console/g, at("console")),
    );
  }
  mkdirSync(at("opt/bake/checks"), { recursive: true });
  mkdirSync(at("run/bake"), { recursive: true });
  mkdirSync(at("etc/bake/secrets"), { recursive: true });
  for (const name of ["checks.tsv", "gating.yaml"]) {
    const file = rendered.files.find(({ path }) => path === `node/opt/bake/checks/${name}`);
    writeFileSync(at(`opt/bake/checks/${name}`), file?.content ?? "");
  }
  writeFileSync(at("etc/bake/builders.env"), 'BUILDER_NAMES="cachebuilder1 cachebuilder2"\n');
  script(
    "bin/systemctl",
    `echo "$*" >>${at("systemctl.log")}
case $* in
  *buildkite-agent*) [ $1 != show ] || cat ${at("agent-state")} ;;
  show*.service) cat ${at("unit-state")} 2>/dev/null || echo active ;;
esac
case $1 in is-failed) [ -e ${at("docker-failed")} ] ;; is-active) [ ! -e ${at("docker-failed")} ] ;; esac`,
  );
  script("bin/docker", `echo "docker $*" >>${at("systemctl.log")}`);
  writeFileSync(at("agent-state"), "active\n");
  goss("ok 1 - Command: docker-version: exit-status: matches expectation: 0");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** @param again What it says to those checks that are asked once more. */
const goss = (report: string, again = report): void => {
  writeFileSync(at("report"), `${report}\n1..1\n`);
  writeFileSync(at("report-again"), `${again}\n1..1\n`);
  script(
    "opt/bake/bin/goss",
    `echo "\${2##*/}" >>${at("asked")}; case $2 in */again.yaml) cp $2 ${at("again.yaml")}; cat ${at("report-again")} ;; *) cat ${at("report")} ;; esac`,
  );
};
const missing = (id: string): string => `not ok 1 - Command: ${id}: exit-status: Expected 1 to equal 0`;
const run = (name: string, args: string[] = [], input = "", awk = "mawk") => {
  rmSync(at("bin/awk"), { force: true });
  execFileSync("ln", [
    "-s",
    execFileSync("sh", ["-c", `command -v ${awk}`], { encoding: "utf8" }).trim(),
    at("bin/awk"),
  ]);
  return spawnSync(at(`opt/bake/bin/${name}`), args, {
    encoding: "utf8",
    input,
    env: { PATH: `${at("bin")}:${process.env["PATH"]}` },
  });
};
const status = (): Record<string, unknown> =>
  JSON.parse(readFileSync(at("run/bake/status.json"), "utf8")) as Record<string, unknown>;
const called = (): string => (existsSync(at("systemctl.log")) ? readFileSync(at("systemctl.log"), "utf8") : "");

test.each(["mawk", "gawk"])("bake-ready reads goss's report with %s, whatever is in it", (awk) => {
  goss(
    [
      "ok 1 - Command: docker-version: exit-status: matches expectation: 0",
      'not ok 2 - Command: data-root: stdout: Expected "a \\"b\\" \\\\ %s" to have {{x}}: y\ttab',
      'not ok 2 - Command: git-proxy: stdout: Expected "object: *bytes.Reader" to have patterns ["/^a$/","/^b$/"] the missing elements were ["/^b$/"]',
      "not ok 3 - File: agent-config: /root/.buildkite-agent/buildkite-agent.cfg: mode: Expected 0644 to equal 0600",
      "not ok 4 - File: agent-config: /root/.buildkite-agent/buildkite-agent.cfg: owner: second of the same check",
    ].join("\n"),
  );
  const { status: code, stdout } = run("bake-ready", [], "", awk);
  expect(code).toBe(1);
  expect(status()).toMatchObject({
    ready: false,
    run: "boot",
    override: null,
    notChecked: [],
    failed: [
      { id: "data-root", rows: "G21", detail: 'stdout: Expected "a \\"b\\" \\\\ %s" to have {{x}}: y' },
      { id: "git-proxy", rows: "G13", detail: 'stdout: missing ["/^b$/"]' },
      { id: "agent-config", rows: "G3 G4" },
    ],
  });
  expect(stdout).toMatch(/^NOT READY: takes no jobs: checked \S+ \(boot\), \d passed, 3 failed$/m);
  expect(stdout).toContain("failed G21 Docker keeps its data in /mnt/docker-data/docker");
  expect(stdout).toContain('help: set "data-root"');
});

test("bake-ready: a goss that does not report is a failure", () => {
  script("opt/bake/bin/goss", "echo cannot open file; exit 1");
  expect(run("bake-ready").status).toBe(1);
  expect(status()).toMatchObject({
    ready: false,
    failed: [{ id: "goss", detail: "no report on gating: cannot open file", repair: "-" }],
  });
  // Nobody brings that back: it is no good look.
  expect(run("bake-repair").status).toBe(1);
});

test("bake-gate trusts a good status of a moment ago, and looks itself otherwise", () => {
  expect(run("bake-ready").status).toBe(0);
  script("opt/bake/bin/goss", "exit 1");
  expect(run("bake-gate").status).toBe(0);
  const old = readFileSync(at("run/bake/status.json"), "utf8").replace(/"uptime": \d+/, '"uptime": -100000');
  writeFileSync(at("run/bake/status.json"), old);
  expect(run("bake-gate").status).toBe(1);
  // That look was just now, but it is right by now.
  goss("ok 1 - Command: docker-version: exit-status: matches expectation: 0");
  expect(run("bake-gate")).toMatchObject({ status: 0, stdout: expect.stringContaining("ready for jobs") });
  writeFileSync(at("run/bake/override"), "because\n");
  expect(run("bake-gate")).toMatchObject({ status: 0, stdout: "bake-gate: OVERRIDDEN: because\n" });
  goss("not ok 1 - Command: docker-version: exit-status: Expected 1 to equal 0");
  expect(run("bake-ready").stdout).toMatch(
    /^NOT READY, but OVERRIDDEN: takes jobs: .*\nOVERRIDDEN until the next boot: because$/m,
  );
});

test("bake-health stops the agents after two bad looks and starts only those that it stopped", () => {
  expect(run("bake-ready").status).toBe(0);
  goss("not ok 1 - Command: docker-version: exit-status: Expected 1 to equal 0");
  run("bake-health");
  expect(called()).not.toContain("stop");
  run("bake-health");
  expect(called()).toContain("stop --no-block buildkite-agent.service");
  expect(readFileSync(at("console"), "utf8")).toContain("failed G15 G19 Docker is 26.1.5");
  goss("ok 1 - Command: docker-version: exit-status: matches expectation: 0");
  run("bake-health");
  expect(called()).toContain("start --no-block buildkite-agent.service");
  writeFileSync(at("systemctl.log"), "");
  run("bake-health");
  expect(called()).toBe("");
});

test("bake-health starts a Docker that failed, and builders that do not run", () => {
  expect(run("bake-ready").status).toBe(0);
  goss("not ok 1 - Command: builder-cachebuilder2: stdout: matches expectation");
  run("bake-health");
  expect(called()).toContain("restart --no-block bake-builders.service\n");
  expect(called()).not.toContain("reset-failed");
  goss(missing("docker-version"));
  writeFileSync(at("docker-failed"), "");
  writeFileSync(at("systemctl.log"), "");
  run("bake-health");
  expect(called()).toContain(
    "reset-failed docker.service docker.socket\nstart --no-block docker.socket docker.service\n",
  );
  expect(called()).not.toContain("bake-builders");
});

test("Docker's binaries are not on the node twice: agents are held back, and it says where to get them", () => {
  expect(run("bake-ready").status).toBe(0);
  // As when a job removes /usr/bin/docker: dockerd runs on, its client is gone.
  goss([missing("docker-version"), missing("docker-binaries")].join("\n"));
  run("bake-health");
  const second = run("bake-health");
  expect(second.stdout).toContain("copy it from another node of this image");
  expect(second.stdout).toContain("where /usr/bin/docker is gone: see docker-binaries");
  expect(called()).toContain("stop --no-block buildkite-agent.service");
  expect(called()).not.toMatch(/start .*docker/);
  expect(run("bake-gate").status).toBe(1);
});

test("what a prune took is brought back, and jobs go on: agents stop only when that does not help", () => {
  expect(run("bake-ready").status).toBe(0);
  goss([missing("image-1"), missing("image-2"), missing("bake-builder-image")].join("\n"));
  const first = run("bake-health");
  expect(first.stdout).toContain("help: journalctl -u bake-health -u bake-images; by hand");
  expect(first.stdout).toContain("images: bake-images.service brings them back");
  // Once each, the images first.
  expect(called().match(/^restart .*$/gm)).toEqual([
    "restart --no-block bake-images.service",
    "restart --no-block bake-builders.service",
  ]);
  // Large images take their time.
  writeFileSync(at("unit-state"), "activating\n");
  for (let looks = 0; looks < 3; looks++) expect(run("bake-health").stdout).toContain("bake-images.service is at work");
  expect(called()).not.toContain("stop");
  // It came to its end, without them, and is not tried again at once.
  writeFileSync(at("unit-state"), "failed\n");
  run("bake-health");
  run("bake-health");
  expect(called()).toContain("stop --no-block buildkite-agent.service");
  expect(called().match(/^restart /gm)).toHaveLength(2);
  // Right again: what was counted is forgotten.
  goss("ok 1 - Command: image-1: exit-status: matches expectation: 0");
  run("bake-health");
  expect(existsSync(at("run/bake/repairs"))).toBe(false);
});

test("the gate has brought back what is missing, and waits for it", () => {
  goss(missing("image-2"));
  const gate = run("bake-gate");
  expect(gate.status).toBe(1);
  expect(gate.stdout).toContain("images: bake-images.service brings them back");
  expect(called()).toContain("restart --no-block bake-images.service\n");
  goss("ok 1 - Command: image-2: exit-status: matches expectation: 0");
  expect(run("bake-gate").status).toBe(0);
});

test("Docker is restarted for its rules only while no agent runs", () => {
  goss(missing("docker-nat"));
  expect(run("bake-ready").status).toBe(1);
  run("bake-repair");
  writeFileSync(at("agent-state"), "deactivating\n");
  run("bake-repair");
  expect(called()).not.toContain("restart");
  writeFileSync(at("agent-state"), "inactive\n");
  run("bake-repair");
  expect(called()).toContain("restart --no-block docker.service\n");
});

test("each look asks what can change at any moment, each tenth everything", () => {
  writeFileSync(at("etc/bake/instance.env"), 'BAKE_ABSENT="npu"\n');
  // The first one finds no status yet.
  for (const looks of [1, 2, 9, 10, 11]) {
    writeFileSync(at("run/bake/looks"), `${looks - 1}\n`);
    run("bake-health");
    expect(status()["run"]).toBe("health");
  }
  expect(readFileSync(at("asked"), "utf8").trim().split("\n")).toEqual([
    "gating.yaml",
    "live.yaml",
    "live.yaml",
    "gating.yaml",
    "live.yaml",
  ]);
});

test("bake-ready asks what ran out of time once more, alone, with four times the time", () => {
  writeFileSync(at("etc/bake/instance.env"), 'BAKE_ABSENT="npu"\n');
  const late = "exit-status: Error Command execution timed out (1m0s)";
  goss(
    [
      `not ok 1 - Command: data-root: ${late}`,
      `not ok 2 - Command: data-root: ${late.replace("exit-status", "stdout")}`,
      "ok 3 - Command: docker-version: exit-status: matches expectation: 0",
    ].join("\n"),
    "ok 1 - Command: data-root: exit-status: matches expectation: 0",
  );
  expect(run("bake-ready")).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^ready for jobs: .* 2 passed, 0 failed, not checked: npu$/m),
  });
  const again = readFileSync(at("again.yaml"), "utf8");
  expect(again).toMatch(/^command:\n {2}data-root:\n/);
  expect(again.match(/^ {2}\S/gm)).toHaveLength(1);
  expect(again).toContain("    timeout: 240000\n");
});

test("what has no answer twice did not fail: it says that the machine is slow", () => {
  writeFileSync(at("etc/bake/instance.env"), 'BAKE_ABSENT="npu"\n');
  goss(
    [
      "not ok 1 - Command: data-root: exit-status: Error Command execution timed out (1m0s)",
      missing("docker-group"),
    ].join("\n"),
    "not ok 1 - Command: data-root: exit-status: Error Command execution timed out (4m0s)",
  );
  const { status: code, stdout } = run("bake-ready");
  expect(code).toBe(1);
  expect(status()).toMatchObject({
    ready: false,
    passed: 0,
    failed: [{ id: "docker-group", repair: "group" }],
    unanswered: [{ id: "data-root", rows: "G21", detail: "exit-status: Error Command execution timed out (4m0s)" }],
  });
  expect(stdout).toMatch(/^NOT READY: takes no jobs: .* 0 passed, 1 failed, 1 without an answer, not checked: npu$/m);
  expect(stdout).toContain("no answer G21 Docker keeps its data in /mnt/docker-data/docker");
  expect(stdout).toMatch(/the machine is slow \(load [0-9.]+ on \d+ processors\)/);
  expect(stdout).not.toContain('set "data-root"');
  // It is no good look either: nothing is known of this node, and nothing would bring that back.
  const late = "not ok 1 - Command: data-root: exit-status: Error Command execution timed out (4m0s)";
  goss(late);
  run("bake-health");
  run("bake-health");
  expect(called()).toContain("stop --no-block buildkite-agent.service");
});

test("bake-repair knows each repair that checks name", () => {
  const text = readFileSync(join(root, "templates/node/bake-repair"), "utf8");
  for (const name of Object.keys(repairs)) expect(text).toMatch(new RegExp(`^ {4}${name}\\)`, "m"));
});

test("bake-health leaves agents alone that somebody else stopped", () => {
  writeFileSync(at("agent-state"), "inactive\n");
  goss("not ok 1 - Command: docker-version: exit-status: Expected 1 to equal 0");
  run("bake-health");
  run("bake-health");
  goss("ok 1 - Command: docker-version: exit-status: matches expectation: 0");
  run("bake-health");
  expect(called()).not.toMatch(/^(start|stop)/m);
});

test("bake-token takes one token, for root alone, and nothing else", () => {
  const path = at("etc/bake/secrets/token");
  writeFileSync(at("etc/bake/token.env"), `TOKEN_PATH="${path}"\n`);
  expect(run("bake-token", [], "bkct_abc-DEF_1.2\n").status).toBe(0);
  expect(readFileSync(path, "utf8")).toBe("bkct_abc-DEF_1.2\n");
  expect(execFileSync("stat", ["-c", "%a", path], { encoding: "utf8" })).toBe("600\n");
  expect(called()).toContain("restart --no-block buildkite-agent.service");
  writeFileSync(at("agent-state"), "inactive\n");
  writeFileSync(at("systemctl.log"), "");
  expect(run("bake-token", [], "bkct_abc-DEF_1.2\n").stdout).toContain("the agents are stopped, and stay so");
  expect(called()).not.toContain("restart");
  for (const wrong of ["", "a b\n", "$(id)\n", 'a"b\n']) expect(run("bake-token", [], wrong).status).toBe(1);
  expect(readFileSync(path, "utf8")).toBe("bkct_abc-DEF_1.2\n");
});

test("an agent that cannot read a file gets the same token from its environment, and nothing but a token", () => {
  const [path, made] = [at("etc/bake/secrets/token"), at("run/bake/agent-token.env")];
  writeFileSync(at("etc/bake/token.env"), `TOKEN_PATH="${path}"\n`);
  const asEnvironment = (text: string): string => {
    writeFileSync(path, text);
    expect(run("bake-token", ["environment", made]).status).toBe(0);
    expect(execFileSync("stat", ["-c", "%a", made], { encoding: "utf8" })).toBe("600\n");
    return readFileSync(made, "utf8");
  };
  expect(asEnvironment("bkct_abc-DEF_1.2\n")).toBe('BUILDKITE_AGENT_TOKEN="bkct_abc-DEF_1.2"');
  expect(asEnvironment('a"\nLD_PRELOAD="b\n')).toBe('BUILDKITE_AGENT_TOKEN="aLD_PRELOAD=b"');
  expect(asEnvironment("")).toBe("");
  rmSync(path);
  expect(run("bake-token", ["environment", made]).status).not.toBe(0);
});

test("why CSMS gives no token stands in the status, and with it in the gate's words, while the node is not ready", () => {
  writeFileSync(at("run/bake/token-refused"), 'CSMS gives none: no agency: a \\ and "quotes"\n');
  goss("not ok 1 - Command: agent-token: exit-status: 1");
  expect(run("bake-gate").stdout).toContain('  agent token: CSMS gives none: no agency: a \\ and "quotes"\n');
  expect(status()).toMatchObject({ ready: false });
  goss("ok 1 - Command: agent-token: exit-status: matches expectation: 0");
  expect(run("bake-ready").stdout).not.toContain("CSMS");
});

test("no two jobs get the same second, not even those that begin together", () => {
  const all = spawnSync(
    "bash",
    ["--norc", "-c", `for i in $(seq 40); do ${at("opt/bake/bin/bake-epoch")} & done; wait`],
    {
      encoding: "utf8",
    },
  );
  const given = all.stdout.trim().split("\n").map(Number);
  expect(given).toHaveLength(40);
  expect(new Set(given).size).toBe(40);
  const now = Date.now() / 1000;
  for (const one of given) expect(Math.abs(one - now)).toBeLessThan(120);

  // What is in the file: nothing, half a line, a clock that was a year ahead.
  for (const before of ["", "17", "x\n", "1995721420\n", "99999999999999999999\n"]) {
    writeFileSync(at("run/bake/epochseconds"), before);
    expect(Math.abs(Number(run("bake-epoch").stdout) - Date.now() / 1000)).toBeLessThan(60);
  }
});
