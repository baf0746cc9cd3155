/**
 * Ten nodes of an emulated cloud get another image in waves. Two of them are VMs: when the cloud changes their system they really boot
 * the other image, with the user-data that the rollout attached, and their agents really connect anew. The sixth never comes back: the
 * rollout pauses, says why, and is taken back. Run it by `bin/bench rollout-nodes` after `bin/test vm` has baked the golden image; takes
 * half an hour without KVM and 5 GiB of memory.
 */
import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { isMap, isSeq, parseDocument } from "yaml";
import { type AgentApi, startAgentApi } from "../src/check/agent-api/server.ts";
import { root } from "../src/host/root.ts";
import { planNode } from "../src/plan/plan.ts";
import { renderTree } from "../src/render/tree.ts";
import { planTarget } from "../src/targets/index.ts";
import { makeSshKey } from "../src/vm/ssh.ts";
import { substitute } from "../src/trial/substitutions.ts";
import { startBuildkite } from "../test/buildkite/emulator.ts";
import { startEmulator } from "../test/huaweicloud/emulator.ts";
import { newId } from "../test/huaweicloud/route.ts";
import { bakedImage, ids, type Server } from "../test/huaweicloud/world.ts";
import { readProfile } from "../test/plan-of.ts";
import { cache, goldenImage, type StartedVm, startVm, testHost } from "../test/vm/golden-image.ts";
import { differingFiles, layInto } from "../test/vm/laid-image.ts";
import { blankDisk } from "../test/vm/node/power-cuts.ts";

const host = testHost();
const started = Date.now();
const say = (text: string): void => {
  const seconds = Math.round((Date.now() - started) / 1000);
  process.stdout.write(
    `${String(Math.floor(seconds / 60)).padStart(3)}:${String(seconds % 60).padStart(2, "0")}  ${text}\n`,
  );
};
const agentToken = "token-of-the-fleet";
const imageIds = { old: "aaaaaaaa-0000-4000-8000-000000000001", next: "aaaaaaaa-0000-4000-8000-000000000002" } as const;
/** Names of the servers that are VMs: the canary, and one of the last wave. */
const vmNames = ["npu-0001", "npu-0005"];
const broken = "npu-0006";

const folder = mkdtempSync(join(cache, "rollout-"));
mkdirSync(join(folder, "profiles"));
const at = (...path: string[]): string => join(folder, ...path);

// The old image is the golden one; the next is the same node with another tag of its agents.
const golden = await goldenImage();
writeFileSync(
  at("next.yaml"),
  `extends: ${JSON.stringify(join(root, "profiles/2cards.yaml"))}\nagents: { tags: { release: next } }\n`,
);
const { profile } = substitute(readProfile(at("next.yaml")));
const { base, artifacts, lockDigest } = golden.plan;
if (base === undefined || artifacts === undefined || lockDigest === undefined) throw new Error("a trial has a lock");
const nextPlan = planNode({
  name: "2cards",
  profile,
  target: planTarget("2cards", profile, "qemu"),
  trial: true,
  locked: { base, artifacts, digest: lockDigest },
});
const nextBakeId = renderTree(nextPlan, golden.templates).bakeId ?? "";
layInto(golden.image, at("next.qcow2"), differingFiles(nextPlan, golden, { sameId: false }), { folder });
// Whoever bakes meanwhile replaces the golden image.
copyFileSync(golden.image, at("old.qcow2"));
const files = { [imageIds.old]: at("old.qcow2"), [imageIds.next]: at("next.qcow2") };
say(`two images: ${golden.bakeId.slice(0, 10)} and ${nextBakeId.slice(0, 10)}`);

const { publicKey: operatorKey } = await makeSshKey(host, folder);
writeFileSync(at("token"), `${agentToken}\n`, { mode: 0o600 });
/** @param readyTimeout Seconds: how fast VMs boot here is known once the first have. */
const writeProfile = (readyTimeout: number): void =>
  writeFileSync(
    at("profiles/npu.yaml"),
    `extends: ${JSON.stringify(join(root, "profiles/2cards.yaml"))}
ssh: { operatorKeys: [${JSON.stringify(operatorKey.trim())}] }
secrets: { agentToken: { file: ${JSON.stringify(at("token"))} } }
rollout: { wave: 5, canarySoak: 20, soak: 20, interval: 5, minHealthy: 4, readyTimeout: ${readyTimeout} }
targets:
  huaweicloud:
    region: cn-north-4
    sourceImage: ${ids.sourceImage}
    flavor: s6.large.2
    architecture: x86_64
    vpc: ${ids.vpc}
    subnet: ${ids.subnet}
    securityGroup: ${ids.securityGroup}
`,
  );
/** Seconds that a boot may take while nobody knows how long one takes. */
const unknownBoot = 1800;
writeProfile(unknownBoot);

const cloud = await startEmulator();
const buildkite = await startBuildkite();
const { world } = cloud;
world.takes.changeOs = 20_000;
const bakeIds = { [imageIds.old]: golden.bakeId, [imageIds.next]: nextBakeId };
for (const [id, bakeId] of Object.entries(bakeIds)) {
  const rest = { architecture: "x86", firmware: "bios", tags: { "bake-profile": "npu", "bake-id": bakeId } } as const;
  world.images.push(bakedImage(id, bakeId, rest));
}

interface Node {
  readonly api: AgentApi;
  vm: StartedVm | undefined;
  /** When its system was started, in milliseconds: who registered before is gone. */
  bootedAt: number;
  /** Buildkite's ID of each agent that is connected, else `gone`, by name and registration. */
  readonly agents: Map<string, string>;
}
const gone = "";
const nodes = new Map<string, Node>();

/** What the rollout attached, and where agents find their API here. */
const forThisHost = (userData: string, publicKey: string, endpoint: string): string => {
  const document = parseDocument(userData);
  const written = document.get("write_files");
  if (!isMap(document.contents) || !isSeq(written)) throw new Error("this is no golden user-data");
  const content = `BUILDKITE_AGENT_ENDPOINT=${endpoint}\nBAKE_ABSENT=npu\n`;
  written.add(document.createNode({ path: "/etc/bake/instance.env", permissions: "0600", content }));
  document.set("ssh_authorized_keys", [publicKey]);
  return document.toString();
};

/** Attached user-data may be gzip, as cloud-init takes it. */
const gzipMagic = Buffer.from([0x1f, 0x8b]);

const stopVm = async (node: Node): Promise<void> => {
  const { vm } = node;
  node.vm = undefined;
  await vm?.end();
  for (const id of node.agents.values()) if (id !== gone) buildkite.disconnect(id, "lost");
  node.agents.clear();
};

let boots = 0;
const bootVm = async (server: Server, node: Node): Promise<void> => {
  await stopVm(node);
  const attached = Buffer.from(server.bootedWith ?? "", "base64");
  const userData = (attached.subarray(0, 2).equals(gzipMagic) ? gunzipSync(attached) : attached).toString("utf8");
  say(`    VM ${server.name}: boots ${server.imageId === imageIds.old ? "the old" : "the next"} image`);
  const keepIn = at(`${server.name}-${++boots}`);
  mkdirSync(keepIn, { mode: 0o700 });
  node.bootedAt = Date.now();
  node.vm = await startVm(
    host,
    { ...golden, image: files[server.imageId as keyof typeof files] },
    {
      keepIn,
      disks: [blankDisk],
      metaData: JSON.stringify({ "instance-id": `${server.name}-${Date.now()}`, "local-hostname": server.name }),
      userDataFor: (publicKey) => forThisHost(userData, publicKey, node.api.endpoint("10.0.2.2")),
    },
  );
};

/** Carries over what the agents of a VM did. */
const follow = (name: string, node: Node): void => {
  for (const { name: agent, at: since, state, request } of node.api.registrations()) {
    if (since < node.bootedAt) continue;
    const key = `${agent} ${since}`;
    const id = node.agents.get(key);
    if (state === "connected" && id === undefined && node.vm !== undefined) {
      const [queue] = request.tags.flatMap((tag) => (tag.startsWith("queue=") ? [tag.slice("queue=".length)] : []));
      const tags = request.tags.filter((tag) => !tag.startsWith("queue="));
      const connected = buildkite.connect({
        name: agent,
        hostname: request.hostname,
        tags,
        ...(queue !== undefined && { queue }),
      });
      node.agents.set(key, connected.id);
      say(
        `    VM ${name}: agent ${agent} is connected, ${tags.find((tag) => tag.startsWith("bake-id="))?.slice(0, 18) ?? "?"}`,
      );
    } else if ((state === "disconnected" || state === "replaced") && id !== undefined && id !== gone) {
      buildkite.disconnect(id);
      node.agents.set(key, gone);
      say(`    VM ${name}: agent ${agent} is gone`);
    }
  }
  for (const { id } of buildkite.stops) {
    const agent = buildkite.world.agents.get(id);
    if (agent?.hostname === name && [...node.agents.values()].includes(id)) node.api.stopAgent(agent.name);
  }
};

const connectAll = (server: Server): void => {
  const tag = `bake-id=${bakeIds[server.imageId as keyof typeof bakeIds]}`;
  for (const index of [1, 2, 3, 4])
    buildkite.connect({ name: `${server.name}-${index}`, hostname: server.name, queue: "ascend", tags: [tag] });
};

const emulated = (name: string): Server => ({
  id: newId(),
  name,
  imageId: imageIds.old,
  flavorId: "s6.large.2",
  zone: "cn-north-4a",
  status: "ACTIVE",
  address: "192.168.0.20",
  addressId: undefined,
  keyName: undefined,
  diskSize: 40,
  tags: {},
});

world.onBooted = (server) => {
  const node = nodes.get(server.name);
  if (node !== undefined) void bootVm(server, node).catch((error: unknown) => say(String(error)));
  else if (server.name !== broken || server.imageId === imageIds.old) connectAll(server);
};

const bake = (args: readonly string[]): Promise<number> =>
  new Promise((resolve) => {
    say(`$ bake ${args.join(" ")}`);
    const env = { ...process.env, CI: "true", NO_PROXY: "127.0.0.1", ...cloud.env, ...buildkite.env };
    const child = spawn(join(root, "bin/bake"), args, { cwd: folder, env });
    for (const stream of [child.stdout, child.stderr]) {
      let left = "";
      stream.on("data", (data: Buffer) => {
        const lines = (left + data.toString()).split("\n");
        left = lines.pop() ?? "";
        for (const line of lines) say(line);
      });
    }
    child.on("close", (code) => {
      say(`exit ${code ?? "by a signal"}`);
      resolve(code ?? -1);
    });
  });

const expect = (what: string, right: boolean): void => {
  say(`${right ? "seen" : "NOT SEEN"}: ${what}`);
  if (!right) process.exitCode = 1;
};

/** What a VM says of itself: why its agents do not come. */
const askVm = async (name: string, { vm }: Node): Promise<void> => {
  const command = "bake-status; systemctl --failed --no-legend; journalctl -b -u bake-ready -n 20 --no-pager";
  const answer = await vm?.vm
    .ssh(command, { allowFailure: true, timeout: 60_000 })
    .then(({ stdout, stderr }) => stdout + stderr, String);
  for (const line of (answer ?? "it does not run").trimEnd().split("\n")) say(`    VM ${name}: ${line}`);
};

const connectedOn = (name: string, bakeId: string): number =>
  [...buildkite.world.agents.values()].filter(
    ({ hostname, state, tags }) => hostname === name && state === "connected" && tags.includes(`bake-id=${bakeId}`),
  ).length;

const ticking = setInterval(() => {
  for (const [name, node] of nodes) follow(name, node);
  // The emulated clock is the real one; what is due is done at a look.
  cloud.advance(0);
}, 1000);

try {
  // Made as people make them: user-data of the profile attached.
  const servers = Array.from({ length: 10 }, (_, index) => `npu-${String(index + 1).padStart(4, "0")}`);
  for (const name of vmNames) {
    const api = await startAgentApi({
      now: Date.now,
      expected: {
        token: agentToken,
        spawn: 4,
        nameTemplate: (index) => `%hostname-${index}-2cards`,
        hostname: name,
        tags: ["queue=ascend"],
      },
    });
    nodes.set(name, { api, vm: undefined, bootedAt: 0, agents: new Map() });
  }
  // Side by side: the last that is made is waited for, the others boot meanwhile.
  for (const name of vmNames.toReversed()) {
    const create = ["--image", imageIds.old, "--name", name, "--flavor", "s6.large.2", "--no-npus", "--yes"];
    const waiting = name === vmNames[0] ? [] : ["--no-wait"];
    const made = await bake(["ecs", "create", "--profile", "npu", ...create, ...waiting]);
    if (made !== 0) throw new Error(`${name} was not made`);
  }
  for (const name of servers.filter((each) => !vmNames.includes(each))) world.servers.push(emulated(name));
  for (const server of world.servers.filter(({ name }) => !vmNames.includes(name))) connectAll(server);
  for (const name of vmNames) {
    await nodes.get(name)?.api.waitForAgents(20 * 60_000);
    await sleep(2000);
    expect(`${name} runs the old image, with four agents`, connectedOn(name, golden.bakeId) === 4);
  }
  // They booted side by side, as two never do from here on. The node that does not come back is waited for as long.
  const slowest = Math.max(...[...nodes.values()].map(({ bootedAt }) => Date.now() - bootedAt)) / 1000;
  const readyTimeout = Math.ceil(Math.max(300, 1.5 * slowest) / 10) * 10;
  writeProfile(readyTimeout);
  say(`two nodes took ${Math.round(slowest)} s to boot: readyTimeout is ${readyTimeout} s`);
  const to = ["--to", servers.join(",")];
  await bake(["rollout", "plan", "--profile", "npu", "--image", imageIds.next, ...to]);
  const ran = await bake(["rollout", "run", "--profile", "npu", "--image", imageIds.next, ...to, "--yes"]);
  expect("the rollout stopped at a gate", ran === 1);
  for (const name of vmNames) {
    const isNew = connectedOn(name, nextBakeId) === 4;
    expect(`${name} is a VM whose four agents connected anew, from the next image`, isNew);
    const node = nodes.get(name);
    if (!isNew && node !== undefined) await askVm(name, node);
  }
  await bake(["rollout", "status"]);
  const back = await bake(["rollout", "run", "--profile", "npu", "--back", "--yes"]);
  expect("the way back was walked to its end", back === 0);
  for (const name of servers) expect(`${name} is what it was`, connectedOn(name, golden.bakeId) === 4);
} catch (error) {
  say(`it ended early: ${String(error)}`);
  process.exitCode = 1;
} finally {
  clearInterval(ticking);
  if (process.exitCode === 1) for (const [name, node] of nodes) await askVm(name, node);
  for (const node of nodes.values()) {
    await stopVm(node);
    await node.api.close();
  }
  await buildkite.close();
  await cloud.close();
  if (process.exitCode === 1) say(`journals and consoles: ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
}
