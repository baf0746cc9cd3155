/**
 * A node that became ready once: its disks as they were then, and as they were at the three worst points of its first boot.
 * Made once for a golden image, into the cache: events start from children of these disks, so each can run alone.
 */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import * as z from "zod";
import { type AgentApi, startAgentApi } from "../../../src/check/agent-api/server.ts";
import type { DiskFile, Snapshot } from "../../../src/vm/disks.ts";
import {
  cache,
  type GoldenImage,
  goldenImage,
  type NodeIdentity,
  type StartedVm,
  startVm,
  takeLock,
  testHost,
} from "../golden-image.ts";
import { blankDisk, buildersMade, dataDisk, until, written } from "./power-cuts.ts";

const host = testHost();

/** Milliseconds for a boot until its agents are there. */
export const boot = 15 * 60_000;

/** What the agents of the first boot register with. */
const firstToken = "first-token-of-the-test";

/** What the metadata service of these nodes answers. */
export const metadata = "something";

const diskFile: z.ZodType<DiskFile> = z.object({ file: z.string(), format: z.enum(["qcow2", "raw"]) });
const snapshot: z.ZodType<Snapshot> = z.object({ system: diskFile, data: z.record(z.string(), diskFile) });

const ReadyRecord = z.object({
  /** sha256 of the golden image. */
  image: z.string(),
  cuts: z.object({ atMarker: snapshot, inSeed: snapshot, inBuilders: snapshot }),
  /** Ready for jobs, everything written. */
  ready: snapshot,
  /** The public key of the node, on its data disk. */
  key: z.string(),
  /** Names of Docker's volumes, line by line. */
  volumes: z.string(),
  identity: z.object({ userData: z.string(), metaData: z.string() }),
  /** Where the agents look for their API on this host. */
  apiPort: z.number(),
});

export interface ReadyNode extends Omit<z.infer<typeof ReadyRecord>, "identity"> {
  readonly golden: GoldenImage;
  readonly identity: NodeIdentity;
}

/** A ready node that runs, with the agent API that its agents are connected to. */
export interface RunningNode {
  readonly started: StartedVm;
  readonly golden: GoldenImage;
  api: AgentApi;
  /** What agents have to register with now. */
  token: string;
}

const folder = join(cache, "test/ready");
const recordFile = join(folder, "ready.json");

/** An agent API for the nodes of the golden image. */
export const apiFor = ({ bakeId }: GoldenImage, token: string, port = 0): Promise<AgentApi> =>
  startAgentApi({
    now: Date.now,
    port,
    expected: {
      token,
      spawn: 4,
      nameTemplate: (index) => `%hostname-${index}-2cards`,
      hostname: "bake-test",
      tags: ["queue=ascend", `bake-id=${bakeId}`],
    },
  });

/** Copies of both disks at the three worst points of a first boot, taken while it goes on. */
const takeCuts = async ({ vm, folder: disks }: StartedVm): Promise<z.infer<typeof ReadyRecord>["cuts"]> => {
  const empty = await written(disks);
  await until("the seed's marker is written", async () => (await written(disks)) > empty, { everyMs: 10 });
  const atMarker = await vm.snapshot();
  // The images have more than a hundred MiB.
  await until("ranges are being written", async () => (await written(disks)) > 24 * 2 ** 20, { everyMs: 20 });
  const inSeed = await vm.snapshot();
  await until("builders are being made", async () => (await buildersMade(vm)) > 0, { everyMs: 500 });
  return { atMarker, inSeed, inBuilders: await vm.snapshot() };
};

/** The first boot of a node. It goes on, in files of its own, after its disks were taken. */
const makeReady = async (golden: GoldenImage): Promise<{ readonly node: ReadyNode; readonly running: RunningNode }> => {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const api = await apiFor(golden, firstToken);
  let started: StartedVm | undefined;
  try {
    started = await startVm(host, golden, {
      keepIn: folder,
      disks: [blankDisk],
      metadata: `${metadata}\n`,
      instance: {
        agentToken: firstToken,
        environment: { BUILDKITE_AGENT_ENDPOINT: api.endpoint("10.0.2.2"), BAKE_ABSENT: "npu" },
      },
    });
    const { vm, identity } = started;
    const cuts = await takeCuts(started);
    await vm.waitForSsh(boot);
    await api.waitForAgents(boot);
    // For the node that gets this data disk later.
    await vm.ssh("mkdir -p /mnt/docker-cache3 && echo kept >/mnt/docker-cache3/kept");
    const key = (await vm.ssh("cat /mnt/.bake/ssh/id_ed25519.pub")).stdout.trim();
    const volumes = (await vm.ssh("docker volume ls -q | sort")).stdout.trim();
    await vm.ssh("sync", { timeout: 300_000 });
    const ready = await vm.snapshot();
    const record = { image: golden.sha256, cuts, ready, key, volumes, apiPort: api.port };
    const { userData, metaData } = identity;
    const text: z.infer<typeof ReadyRecord> = { ...record, identity: { userData, metaData } };
    await writeFile(recordFile, JSON.stringify(text));
    return { node: { ...record, golden, identity }, running: { started, golden, api, token: firstToken } };
  } catch (error) {
    await started?.end();
    await api.close();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
};

/** What an earlier call, or another test file, made of the same golden image. */
const knownReady = async (golden: GoldenImage): Promise<ReadyNode | undefined> => {
  const text = await readFile(recordFile, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const record = ReadyRecord.safeParse(JSON.parse(text)).data;
  if (record?.image !== golden.sha256) return undefined;
  const key = { privateKeyFile: join(folder, "id_ed25519"), publicKey: "" };
  return { ...record, golden, identity: { ...record.identity, key } };
};

/** Files that nothing of the record needs: what the first boot wrote after it. */
const removeLater = async ({ cuts, ready }: ReadyNode): Promise<void> => {
  const needed = new Set(
    [...Object.values(cuts), ready]
      .flatMap(({ system, data }) => [system, ...Object.values(data)])
      .map(({ file }) => basename(file)),
  );
  for (const name of await readdir(folder)) {
    if (name.endsWith(".qcow2") && !needed.has(name)) await rm(join(folder, name));
  }
};

let made: Promise<ReadyNode> | undefined;
let goesOn: RunningNode | undefined;

const makeOrFind = async (): Promise<ReadyNode> => {
  const golden = await goldenImage();
  const release = await takeLock(`${folder}.lock`);
  try {
    const known = await knownReady(golden);
    if (known !== undefined) return known;
    const { node, running } = await makeReady(golden);
    goesOn = running;
    return node;
  } finally {
    await release();
  }
};

/** One that could not be made is not tried again by this file. */
const readyNode = (): Promise<ReadyNode> => (made ??= makeOrFind());

let current: RunningNode | undefined;

/** Boots a child of the ready disks. */
const startChild = async ({ golden, identity, ready, apiPort }: ReadyNode): Promise<RunningNode> => {
  const data = ready.data[dataDisk.id];
  if (data === undefined) throw new Error("the ready node has no data disk");
  const api = await apiFor(golden, firstToken, apiPort);
  try {
    const started = await startVm(
      host,
      { ...golden, image: ready.system.file },
      { ...identity, metadata: `${metadata}\n`, disks: [{ ...dataDisk, from: { childOf: data } }] },
    );
    try {
      await started.vm.waitForSsh(boot);
      await api.waitForAgents(boot);
      return { started, golden, api, token: firstToken };
    } catch (error) {
      await started.end();
      throw error;
    }
  } catch (error) {
    await api.close();
    throw error;
  }
};

/**
 * A ready node that runs: the one that is there already, as long as nothing failed on it. The first is the node whose first
 * boot this file has made, so that a boot is saved.
 */
export const runningNode = async (): Promise<RunningNode> => {
  const node = await readyNode();
  if (current === undefined && goesOn !== undefined) {
    current = goesOn;
    goesOn = undefined;
  }
  return (current ??= await startChild(node));
};

/** Takes the power of the node that runs; the next one starts from the ready disks. */
export const endRunningNode = async (): Promise<void> => {
  const running = current ?? goesOn;
  const isFirst = running?.started.folder === folder;
  current = undefined;
  goesOn = undefined;
  if (running === undefined) return;
  await running.started.end();
  await running.api.close();
  if (isFirst) await removeLater(await readyNode());
};

/** The disks alone: a node of which only they are wanted does not run on. */
export const readyDisks = async (): Promise<ReadyNode> => {
  const node = await readyNode();
  if (goesOn !== undefined) await endRunningNode();
  return node;
};
