/** Checks of the site's services, by real goss, curl and git against services that answer, and that do not. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { parseReport } from "../../src/check/results.ts";
import { planFor } from "../../src/commands/plan.ts";
import type { Check } from "../../src/node/check.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { gossFile } from "../../src/render/goss.ts";
import { needs, toolPath } from "../needs.ts";
import { readProfile } from "../plan-of.ts";

const { test } = needs("goss");

let folder = "";
const at = (path: string): string => join(folder, path);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-site-"));
  mkdirSync(at("bin"));
  noAgents();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const systemctl = (text: string): void => {
  writeFileSync(at("bin/systemctl"), `#!/bin/sh\n${text}\n`);
  chmodSync(at("bin/systemctl"), 0o755);
};
const noAgents = (): void => systemctl("echo 0");

/** A process that stands for the running agents, whose environment jobs inherit. */
const runAgents = (env: Record<string, string>) => {
  const agents = spawn("sleep", ["60"], { env: { PATH: process.env["PATH"] ?? "", ...env } });
  systemctl(`echo ${agents.pid}`);
  return agents;
};

const network = (more: Partial<Profile["network"]>): Check[] => {
  const profile = readProfile();
  return [...planFor({ name: "site", profile: { ...profile, network: { ...profile.network, ...more } } }).checks];
};
const pypi = (port: number): Check[] =>
  network({ pypiCache: { host: "127.0.0.1", port } }).filter(({ id }) => id === "pypi-cache");

/** Whether goss finds that they hold. It must not stop this process, which serves. */
const holds = async (checks: readonly Check[], env: Record<string, string> = {}): Promise<boolean> => {
  writeFileSync(at("goss.yaml"), gossFile(checks));
  const child = spawn(toolPath("goss"), ["--gossfile", at("goss.yaml"), "validate", "--format", "json", "--no-color"], {
    env: { PATH: `${at("bin")}:${process.env["PATH"]}`, ...env },
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  await new Promise((done) => child.on("close", done));
  const results = parseReport(output);
  expect(results.length).toBeGreaterThan(0);
  return results.every(({ successful }) => successful);
};

const serve = async (
  answer: (path: string) => { readonly status: number; readonly body?: Buffer; readonly location?: string } | undefined,
) => {
  const server = createServer((request, response) => {
    const said = answer(request.url ?? "");
    // Takes the connection, and says nothing.
    if (said === undefined) request.socket.destroy();
    else response.writeHead(said.status, said.location === undefined ? {} : { location: said.location }).end(said.body);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
};

test.each([
  [200, true],
  [302, true],
  [403, false],
  [404, false],
  [502, false],
  [undefined, false],
] as const)("a PyPI cache that says %s: holds is %s", async (status, right) => {
  const server = await serve(() => (status === undefined ? undefined : { status, location: "/simple/" }));
  try {
    expect(await holds(pypi(server.port))).toBe(right);
  } finally {
    server.close();
  }
});

test("the PyPI cache is asked with the proxies that jobs have, not with those of whoever looks", async () => {
  const server = await serve(() => ({ status: 200 }));
  const dead = "http://user:secret@127.0.0.1:1";
  try {
    expect(await holds(pypi(server.port), { http_proxy: dead, HTTPS_PROXY: dead })).toBe(true);
    let agents = runAgents({ HTTP_PROXY: dead, http_proxy: dead, NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" });
    expect(await holds(pypi(server.port))).toBe(true);
    agents.kill();
    agents = runAgents({ HTTP_PROXY: dead, http_proxy: dead, NO_PROXY: "localhost", no_proxy: "localhost" });
    expect(await holds(pypi(server.port), { no_proxy: "127.0.0.1" })).toBe(false);
    agents.kill();
  } finally {
    server.close();
  }
});

test("where no agents run, their unit's files say which proxies jobs have", async () => {
  const server = await serve(() => ({ status: 200 }));
  // As systemctl prints them; the last one is not there.
  const files = ["proxy.env", "secrets/proxy.env", "instance.env"]
    .map((name) => `echo "EnvironmentFiles=${at(`etc/${name}`)} (ignore_errors=yes)"`)
    .join("; ");
  systemctl(`case $* in *MainPID*) echo 0 ;; *) ${files} ;; esac`);
  try {
    mkdirSync(at("etc/secrets"), { recursive: true });
    const dead = 'http_proxy="http://user:pa\\$s@127.0.0.1:1"\n';
    writeFileSync(
      at("etc/proxy.env"),
      `# made by bake\n${dead}no_proxy="localhost,127.0.0.1"\nOTHER="$(touch ${at("ran")})"\n`,
    );
    expect(await holds(pypi(server.port))).toBe(true);
    writeFileSync(at("etc/instance.env"), "no_proxy=localhost\n");
    expect(await holds(pypi(server.port))).toBe(false);
    // The files are read, not run.
    expect(spawnSync("ls", [at("ran")]).status).not.toBe(0);
  } finally {
    server.close();
  }
});

/** A server that has one repository, below the path that a git proxy takes. */
const gitServer = async (paths: (path: string) => boolean) => {
  const repository = at("repository.git");
  execFileSync(
    "sh",
    [
      "-c",
      `git init -q --bare ${repository} && cd ${repository} && ref=$(git -c user.name=a -c user.email=a@b commit-tree -m first $(git hash-object -t tree -w --stdin </dev/null)) && git update-ref HEAD $ref && git update-server-info`,
    ],
    { stdio: "pipe" },
  );
  return serve((path) => {
    const inside = /octocat\/Hello-World\.git\/([^?]*)/.exec(path)?.[1];
    if (inside === undefined || !paths(path)) return { status: 403 };
    try {
      return { status: 200, body: readFileSync(join(repository, inside)) };
    } catch {
      return { status: 404 };
    }
  });
};

test("git reads a repository through the proxy, which a rule alone does not show", async () => {
  let allowed = true;
  const server = await gitServer((path) => allowed && path.startsWith("/https://github.com/"));
  const via = `http://127.0.0.1:${server.port}/https://github.com/`;
  const checks = network({ gitProxy: { for: "https://github.com/", via } });
  const reaches = checks.filter(({ id }) => id === "git-proxy-reaches");
  const rewrites = checks.filter(({ id }) => id === "git-proxy-rewrites");
  expect(reaches).toMatchObject([{ level: "site", rows: ["G13"] }]);
  const env = {
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: `url.${via}.insteadOf`,
    GIT_CONFIG_VALUE_0: "https://github.com/",
  };
  try {
    expect(await holds(reaches, env)).toBe(true);
    allowed = false;
    expect(await holds(rewrites, env)).toBe(true);
    expect(await holds(reaches, env)).toBe(false);
  } finally {
    server.close();
  }
});

test("a git proxy for another server than GitHub is asked for an answer", async () => {
  let status = 404;
  const server = await serve(() => ({ status }));
  const via = `http://127.0.0.1:${server.port}/`;
  const checks = network({ gitProxy: { for: "https://git.example.com/", via } }).filter(
    ({ id }) => id === "git-proxy-reaches",
  );
  try {
    expect(await holds(checks)).toBe(true);
    status = 502;
    expect(await holds(checks)).toBe(false);
  } finally {
    server.close();
  }
});

test("what goes by the HTTP proxy is asked through it: that the proxy takes the connection shows nothing", async () => {
  let open = true;
  const proxy = await serve(() => (open ? { status: 404 } : undefined));
  const agents = runAgents({ http_proxy: `http://127.0.0.1:${proxy.port}` });
  const [check] = network({
    gitProxy: { for: "https://git.example.com/", via: "http://git-proxy.example.com:8080/" },
    httpProxy: { url: `http://127.0.0.1:${proxy.port}`, except: [] },
  }).filter(({ id }) => id === "reaches-git-proxy.example.com-8080");
  try {
    expect(check).toMatchObject({ level: "site", title: expect.stringContaining("by the HTTP proxy") });
    const checks = check === undefined ? [] : [check];
    expect(await holds(checks)).toBe(true);
    open = false;
    expect(await holds(checks)).toBe(false);
  } finally {
    agents.kill();
    proxy.close();
  }
});
