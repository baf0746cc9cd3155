/** The node's scripts with stand-ins for goss and systemctl, under both kinds of awk that bases have. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { render, trialPlan } from "../plan-of.ts";

let folder = "";
const at = (path: string): string => join(folder, path);
const script = (path: string, text: string): void => {
  mkdirSync(join(at(path), ".."), { recursive: true });
  writeFileSync(at(path), `#!/bin/bash\n${text}\n`);
  chmodSync(at(path), 0o755);
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-node-"));
  for (const name of ["bake-ready", "bake-gate", "bake-health", "bake-token", "bake-epoch"]) {
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
  const tsv = render(trialPlan()).files.find(({ path }) => path === "node/opt/bake/checks/checks.tsv");
  writeFileSync(at("opt/bake/checks/checks.tsv"), tsv?.content ?? "");
  script(
    "bin/systemctl",
    `echo "$*" >>${at("systemctl.log")}
case $1 in show) cat ${at("agent-state")} ;; is-failed) [ -e ${at("docker-failed")} ] ;; is-active) [ ! -e ${at("docker-failed")} ] ;; esac`,
  );
  script("bin/docker", `echo "docker $*" >>${at("systemctl.log")}`);
  writeFileSync(at("agent-state"), "active\n");
  goss("ok 1 - Command: docker-version: exit-status: matches expectation: 0");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const goss = (report: string): void => {
  writeFileSync(at("report"), `${report}\n1..1\n`);
  script("opt/bake/bin/goss", `cat ${at("report")}`);
};
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
    failed: [{ id: "goss", detail: "no report on gating: cannot open file" }],
  });
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
  expect(called()).toContain("docker buildx inspect --bootstrap cachebuilder2\n");
  expect(called()).not.toContain("reset-failed");
  writeFileSync(at("docker-failed"), "");
  writeFileSync(at("systemctl.log"), "");
  run("bake-health");
  expect(called()).toContain(
    "reset-failed docker.service docker.socket\nstart --no-block docker.socket docker.service\n",
  );
  expect(called()).not.toContain("docker buildx");
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
  writeFileSync(at("etc/bake/token.env"), `TOKEN_VIA="file"\nTOKEN_PATH="${path}"\n`);
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

test("why CSMS gives no token stands in the status, and with it in the gate's words, while the node is not ready", () => {
  writeFileSync(at("run/bake/token-refused"), 'CSMS gives none: no agency: a \\ and "quotes"\n');
  goss("not ok 1 - Command: agent-token: exit-status: 1");
  expect(run("bake-gate").stdout).toContain('  agent token: CSMS gives none: no agency: a \\ and "quotes"\n');
  expect(status()).toMatchObject({ ready: false });
  goss("ok 1 - Command: agent-token: exit-status: matches expectation: 0");
  expect(run("bake-ready").stdout).not.toContain("CSMS");
});

test("no two jobs get the same second, not even those that begin together", () => {
  const all = spawnSync("bash", ["-c", `for i in $(seq 40); do ${at("opt/bake/bin/bake-epoch")} & done; wait`], {
    encoding: "utf8",
  });
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
