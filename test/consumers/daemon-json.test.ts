/** daemon.json of a base merged with bake's by daemon-json.py, and asked of a real dockerd with the options of its unit. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { needs, toolPath } from "../needs.ts";
import { render, trialPlan } from "../plan-of.ts";

const { files } = render(trialPlan());
const text = (path: string): string => files.find((file) => file.path === path)?.content ?? "";
const ours = JSON.parse(text("node/etc/docker/daemon.json")) as Record<string, unknown>;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-daemon-json-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

const merge = (base: string | Buffer) => {
  writeFileSync(at("base"), base);
  writeFileSync(at("ours"), text("node/etc/docker/daemon.json"));
  writeFileSync(at("rules"), text("provision/daemon-json.json"));
  rmSync(at("out"), { force: true });
  const { status, stdout, stderr } = spawnSync(
    "python3",
    [join(root, "templates/node/daemon-json.py"), "merge", ...["base", "ours", "rules", "out"].map(at)],
    { encoding: "utf8", env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C" } },
  );
  const merged = existsSync(at("out"))
    ? (JSON.parse(readFileSync(at("out"), "utf8")) as Record<string, unknown>)
    : undefined;
  return { status, said: stdout, error: stderr, merged };
};

const ascend = {
  runtimes: { ascend: { path: "/usr/local/Ascend/Ascend-Docker-Runtime/ascend-docker-runtime", runtimeArgs: [] } },
  "default-runtime": "ascend",
};
const mirrors = { "registry-mirrors": ["https://mirror.example.com"] };
const json = JSON.stringify;

/** What a base had, what of it stays beside bake's, and what the log says of the rest. */
const cases: readonly (readonly [name: string, base: string | Buffer, stays: object, said: readonly string[]])[] = [
  ["nothing", "", {}, []],
  ["one line without text", "\n", {}, []],
  ["null", "null", {}, []],
  ["a byte order mark", `\uFEFF${json(mirrors)}`, mirrors, []],
  ["UTF-16", Buffer.from(`\uFEFF${json(mirrors)}`, "utf16le"), mirrors, []],
  // moby/moby#25471, docker/for-linux#165
  ["hosts", json({ hosts: ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375"], ...ascend }), ascend, ["hosts"]],
  [
    "hosts with certificates",
    json({ hosts: ["tcp://0.0.0.0:2376"], tlsverify: true, tlscacert: "/x", tlscert: "/y", tlskey: "/z" }),
    {},
    ["hosts", "tlsverify", "tlscacert", "tlscert", "tlskey"],
  ],
  ["containerd", json({ containerd: "/run/containerd/containerd.sock" }), {}, ["containerd"]],
  [
    "another place",
    json({ graph: "/data/docker", "exec-root": "/data/exec", pidfile: "/data/pid" }),
    {},
    ["graph (/data/docker)", "exec-root", "pidfile"],
  ],
  ["its data-root", json({ "data-root": "/data/docker" }), {}, ["data-root (/data/docker) is overruled"]],
  // moby/moby#22685
  [
    "a thin pool",
    json({ "storage-driver": "devicemapper", "storage-opts": ["dm.thinpooldev=/dev/mapper/vg0-thinpool"] }),
    {},
    ["storage-opts", "storage-driver"],
  ],
  ["namespaces of users", json({ "userns-remap": "default" }), {}, ["userns-remap"]],
  [
    "containerd's image store",
    json({ features: { "containerd-snapshotter": true, buildkit: true } }),
    { features: { buildkit: true } },
    ["features.containerd-snapshotter"],
  ],
  [
    "a cluster",
    json({ "cluster-store": "consul://x", "cluster-advertise": "eth0:2376", "cluster-store-opts": {} }),
    {},
    ["cluster-store", "cluster-advertise", "cluster-store-opts"],
  ],
  // moby/moby#12087
  [
    "syslog",
    json({ "log-driver": "syslog", "log-opts": { "syslog-address": "udp://192.0.2.5:514", tag: "{{.Name}}" } }),
    {},
    ["log-opts", "log-driver"],
  ],
  [
    "journald",
    json({ "log-driver": "journald", "log-opts": { tag: "{{.Name}}", "journald-priority": "x" } }),
    {},
    ["log-opts", "log-driver"],
  ],
  [
    "options of another driver without its name",
    json({ "log-opts": { "syslog-address": "x", compress: "true" } }),
    { "log-opts": { compress: "true", ...(ours["log-opts"] as object) } },
    ["log-opts.syslog-address"],
  ],
  [
    "no way out",
    json({ iptables: false, "ip-forward": false, "ip-masq": false, bridge: "none" }),
    {},
    ["iptables", "ip-forward", "ip-masq", "bridge"],
  ],
  [
    "its own address pools",
    json({ "default-address-pools": [{ base: "10.0.0.0/8", size: 24 }] }),
    {},
    ["default-address-pools"],
  ],
  [
    "what is harmless",
    json({
      ...ascend,
      ...mirrors,
      iptables: true,
      debug: true,
      "insecure-registries": ["r:5000"],
      dns: ["192.0.2.1"],
      "exec-opts": ["native.cgroupdriver=systemd"],
      "max-concurrent-downloads": 3,
      "live-restore": true,
    }),
    {
      ...ascend,
      ...mirrors,
      iptables: true,
      debug: true,
      "insecure-registries": ["r:5000"],
      dns: ["192.0.2.1"],
      "exec-opts": ["native.cgroupdriver=systemd"],
      "max-concurrent-downloads": 3,
    },
    [],
  ],
];

test.each(cases)("%s", (_, base, stays, words) => {
  const { status, said, error, merged } = merge(base);
  expect(error).toBe("");
  expect(status).toBe(0);
  expect(merged).toEqual({ ...ours, ...stays });
  const lines = said.trimEnd().split("\n").filter(Boolean);
  expect(lines).toHaveLength(words.length);
  for (const word of words) expect(said).toContain(`bake: /etc/docker/daemon.json of the base: ${word}`);
  expect(said).not.toMatch(/192\.0\.2\.5|consul/);
});

test.each([
  ["a list", "[]", "/etc/docker/daemon.json of the base is no JSON object: mend it in the base, or remove it\n"],
  ["no JSON", '{\n  "debug": yes\n}', "of the base, line 2, column 12 is no JSON (Expecting value): mend it"],
  ["a comment", '// site\n{"debug": true}', "of the base, line 1, column 1 is no JSON"],
])("refused: %s", (_, base, expected) => {
  const { status, error, merged } = merge(base);
  expect(error).toContain(`bake: failed /etc/docker/daemon.json`);
  expect(error).toContain(expected);
  expect(status).toBe(1);
  expect(merged).toBeUndefined();
});

// dockerd wants root.
needs("root", "docker").test("dockerd takes each of them, as its unit starts it", () => {
  const options = /^ExecStart=\S+ (.*)$/m.exec(text("node/etc/systemd/system/docker.service"))?.[1]?.split(" ") ?? [];
  expect(options.length).toBeGreaterThan(1);
  const dockerd = (file: string): string =>
    spawnSync(join(toolPath("docker"), "usr/sbin/dockerd"), [...options, "--validate", "--config-file", file], {
      encoding: "utf8",
      env: { PATH: `${toolPath("docker")}/usr/sbin:${process.env["PATH"] ?? ""}` },
    }).stderr;
  for (const [name, base] of cases) {
    merge(base);
    expect(dockerd(at("out")), name).toContain("configuration OK");
  }
  // It does refuse what a base had.
  writeFileSync(at("out"), json({ hosts: ["unix:///var/run/docker.sock"] }));
  expect(dockerd(at("out"))).toContain("hosts: (from flag");
});
