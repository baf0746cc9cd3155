/** NO_PROXY as bake writes it, read by curl, git, a Go program, Python and Node: all take the same hosts for excepted. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { planFor } from "../../src/commands/plan.ts";
import { root } from "../../src/host/root.ts";
import { isExcepted } from "../../src/profile/no-proxy.ts";
import { allowlist } from "../../src/render/allowlist.ts";
import { needs, toolPath } from "../needs.ts";
import { readProfile, render } from "../plan-of.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-no-proxy-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const base = readProfile();
const plan = planFor({
  name: "2cards",
  profile: {
    ...base,
    images: [{ image: "registry.corp.example.com/team/image:1.0", from: "image" }],
    network: {
      ...base.network,
      httpProxy: { url: "http://127.0.0.9:3128", except: ["10.0.0.0/8", "*.corp.example.com", ".apex.example.com"] },
      gitProxy: { for: "https://github.com/", via: "http://10.20.0.7/https://github.com/" },
      registryMirrors: { "quay.io": ["10.20.0.8:5000/quay"], "ghcr.io": ["apex.example.com"] },
    },
  },
});
const environment = render(plan).files.find(({ path }) => path === "node/etc/bake/proxy.env")?.content ?? "";

it("hosts of the profile that lie in a network, or are the domain itself, stand in it one by one", () => {
  const [, list = ""] = /^NO_PROXY="(.*)"$/m.exec(environment) ?? [];
  expect(list.split(",")).toEqual([
    ...["localhost", "127.0.0.1", "::1", "169.254.169.254", base.network.pypiCache?.host],
    ...["10.0.0.0/8", ".corp.example.com", ".apex.example.com", "10.20.0.7", "10.20.0.8", "apex.example.com"],
  ]);
});

it("the allowlist and the checks know networks", () => {
  expect(allowlist(plan)).toContain("| `10.20.0.7` | 80 | git proxy |\n");
  expect(plan.checks.map(({ id }) => id)).toContain("reaches-10.20.0.7-80");
  expect(
    [
      ["10.20.0.7", "10.0.0.0/8"],
      ["11.0.0.1", "10.0.0.0/8"],
      ["ten.example.com", "10.0.0.0/8"],
      ["10.0.0.0", "10.0.0.0"],
      ["a.example.com", "*.example.com"],
      ["A.Example.com", ".example.com"],
      ["anexample.com", ".example.com"],
    ].map(([host = "", entry = ""]) => isExcepted(host, entry)),
  ).toEqual([true, false, false, true, true, true, false]);
});

/** Hosts of the test's own network, and what answers there. */
const servers = `
const http = require("node:http"), fs = require("node:fs");
const listen = (name, host, port) => {
  const server = http.createServer((request, response) => {
    fs.appendFileSync(process.argv[2], name + "\\n");
    response.statusCode = 404;
    response.end();
  });
  server.on("connect", (_request, socket) => { fs.appendFileSync(process.argv[2], name + "\\n"); socket.end("HTTP/1.1 502 no\\r\\n\\r\\n"); });
  server.listen(port, host);
};
listen("proxy", "127.0.0.9", 3128);
for (const host of ["10.20.0.7", "10.30.0.8"]) listen("direct", host, 80);
`;

const node = `const { EnvHttpProxyAgent, fetch } = require(${JSON.stringify(join(root, "node_modules/undici"))});
fetch(process.argv[2], { dispatcher: new EnvHttpProxyAgent() }).then(() => process.exit(0), () => process.exit(0));`;

/** Each asks \`http://$1/\`; the settings of the machine are left out. */
const clients: Readonly<Record<string, string>> = {
  curl: "curl -s --max-time 20 http://$1/x",
  git: "GIT_CONFIG_NOSYSTEM=1 timeout 30 git ls-remote http://$1/x.git",
  python: `timeout 30 python3 -c 'import sys, urllib.request; urllib.request.urlopen("http://%s/x" % sys.argv[1])' $1`,
  go: `timeout 30 ${toolPath("crane")} manifest --insecure $1/team/image:1.0`,
  node: `timeout 30 node ${folder}/client.cjs http://$1/x`,
};

/** By which way each client reaches a host. */
const ways = (host: string, drop = ""): Record<string, string> => {
  writeFileSync(join(folder, "servers.cjs"), servers);
  writeFileSync(join(folder, "client.cjs"), node);
  writeFileSync(join(folder, "proxy.env"), environment.replaceAll(drop === "" ? "\n" : drop, drop === "" ? "\n" : ""));
  writeFileSync(
    join(folder, "hosts"),
    "127.0.0.1 localhost\n10.30.0.8 git.corp.example.com apex.example.com other.example.com\n",
  );
  const asks = Object.entries(clients).map(
    ([name, command]) =>
      `: >${folder}/log; ask() { ${command}; }; ask ${host} >/dev/null 2>&1; echo "${name} $(sort -u ${folder}/log | tr '\\n' ' ')" >>${folder}/ways`,
  );
  const { stderr } = spawnSync(
    "unshare",
    [
      "--net",
      "--mount",
      "bash",
      "--norc",
      "-c",
      `ip link set lo up
for address in 10.20.0.7 10.30.0.8; do ip address add $address/32 dev lo; done
mount --bind ${folder}/hosts /etc/hosts
: >${folder}/ways; : >${folder}/log
node ${folder}/servers.cjs ${folder}/log & server=$!
for try in $(seq 200); do (: </dev/tcp/10.30.0.8/80) 2>/dev/null && break; sleep 0.1; done
set -a; . ${folder}/proxy.env; set +a
export HOME=${folder}
${asks.join("\n")}
kill $server`,
    ],
    { encoding: "utf8", env: { PATH: process.env["PATH"] ?? "" } },
  );
  const said = readFileSync(join(folder, "ways"), "utf8").trim().split("\n");
  if (said.length !== asks.length) throw new Error(stderr);
  return Object.fromEntries(said.map((line) => line.trim().split(" ") as [string, string]));
};
const all = (way: string): Record<string, string> =>
  Object.fromEntries(Object.keys(clients).map((name) => [name, way]));

needs("root", "crane").describe("readers of NO_PROXY", () => {
  // As curl before 7.86 and git with it: a network is no entry for them.
  it.each([
    ["the git proxy in an excepted network", "10.20.0.7", "direct"],
    ["a name below *.corp.example.com", "git.corp.example.com", "direct"],
    ["the domain of .apex.example.com, a mirror of the profile", "apex.example.com", "direct"],
    ["a name that is not excepted", "other.example.com", "proxy"],
  ])(
    "%s: all of them go the same way",
    (_what, host, way) => {
      expect(ways(host, "10.0.0.0/8,")).toEqual(all(way));
    },
    180_000,
  );

  it("an address that only its network covers: this is what the warning is about", () => {
    const found = ways("10.30.0.8");
    expect(found).toMatchObject({ go: "direct", python: "proxy", node: "proxy" });
  }, 180_000);
});
