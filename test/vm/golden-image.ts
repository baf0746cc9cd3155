/** The trial's golden image for tests that boot it: baked once, into the cache, and again only when something changed. */
import { acquireLock, type Release } from "../../src/host/lock-file.ts";
import { currentProcess } from "../../src/host/process-identity.ts";
import { planTarget, targetOf } from "../../src/targets/index.ts";
import { spawn } from "node:child_process";
import { mkdir, readFile, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { chooseAccelerator } from "../../src/vm/accelerator.ts";
import { makeSshKey } from "../../src/vm/ssh.ts";
import { bootVm, type Vm, type VmOptions } from "../../src/vm/machine.ts";
import { type Host, runProcess } from "../../src/host/host.ts";
import { planNode } from "../../src/plan/plan.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { substitute } from "../../src/trial/substitutions.ts";
import { readProfile } from "../plan-of.ts";
import type { NodePlan } from "../../src/plan/node-plan.ts";
import { instanceUserData, templateNames } from "../../src/render/tree.ts";
import type { Templates } from "../../src/render/templates.ts";
import type { Instance } from "../../src/node/concern.ts";
import { readTemplates, root } from "../../src/host/root.ts";
import { system } from "../../src/host/system.ts";

export const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "bake");

export interface GoldenImage {
  /** `out/<profile>-trial`, as bake made it. */
  readonly folder: string;
  readonly image: string;
  /** With a trial's replacements. */
  readonly profile: Profile;
  readonly plan: NodePlan;
  readonly templates: Templates;
  readonly bakeId: string;
  /** Of the image's file. */
  readonly sha256: string;
}

interface Ended {
  readonly code: number;
  readonly output: string;
}

export interface RunningBake {
  /** Resolves when bake has said it, or has ended. */
  readonly said: (pattern: RegExp) => Promise<void>;
  readonly ended: Promise<Ended>;
  readonly interrupt: () => void;
}

/** Runs bake in `cwd`; what it says is shown as it comes, since it takes minutes. */
export const startBake = (
  cwd: string,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): RunningBake => {
  process.stdout.write(`\n$ bake ${args.join(" ")}\n`);
  const child = spawn(join(root, "bin/bake"), args, { cwd, env: { ...process.env, CI: "true", ...variables } });
  let output = "";
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data: Buffer) => {
      output += data.toString();
      process.stdout.write(data);
      for (const listener of listeners) listener();
    });
  }
  const ended = new Promise<Ended>((done) => {
    child.on("close", (code) => done({ code: code ?? -1, output }));
  });
  const said = (pattern: RegExp): Promise<void> => {
    const heard = new Promise<void>((done) => {
      const listen = (): void => {
        if (pattern.test(output)) done();
      };
      listeners.add(listen);
      listen();
    });
    return Promise.race([heard, ended.then(() => undefined)]);
  };
  return { said, ended, interrupt: () => child.kill("SIGINT") };
};

/** Runs bake in `cwd` to its end. */
export const bake = (
  cwd: string,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<Ended> => startBake(cwd, args, variables).ended;

/** Waits for as long as another process has the lock: test files that run side by side share what one of them makes. */
export const takeLock = async (lock: string): Promise<Release> => {
  for (;;) {
    const taken = await acquireLock(lock);
    if (typeof taken !== "number") return taken;
    await sleep(500);
  }
};

/** Where the VM tests bake what they boot. */
export const goldenFolder = join(cache, "test/golden");

/** Held by whoever makes the golden image. */
export const goldenLock = `${goldenFolder}.lock`;

/** Bakes the trial of 2cards, or finds that it is up to date. */
export const goldenImage = async (): Promise<GoldenImage> => {
  const cwd = goldenFolder;
  await mkdir(cwd, { recursive: true });
  const release = await takeLock(goldenLock);
  try {
    const { code, output } = await bake(cwd, ["image", "--profile", "2cards", "--trial", "--no-check"]);
    if (code !== 0) throw new Error(`the golden image could not be baked:\n${output}`);
  } finally {
    await release();
  }
  return readGolden("2cards", join(cwd, "out/2cards-trial"));
};

/** What bake left in `folder`, planned again from the profile and the lock's artifacts in plan.json. */
export const readGolden = async (
  name: string,
  folder: string,
  profileFile = join(root, "profiles", `${name}.yaml`),
): Promise<GoldenImage> => {
  const read = async <T>(file: string): Promise<T> => JSON.parse(await readFile(join(folder, file), "utf8")) as T;
  const { base, artifacts, lockDigest } =
    await read<Required<Pick<NodePlan, "base" | "artifacts" | "lockDigest">>>("plan.json");
  const { bakeId, sha256 } = await read<{ readonly bakeId: string; readonly sha256: string }>("image.json");
  const { profile } = substitute(readProfile(profileFile));
  const plan = planNode({
    name,
    profile,
    target: planTarget(name, profile, "qemu"),
    trial: true,
    locked: { base, artifacts, digest: lockDigest },
  });
  const templates = readTemplates(templateNames(plan));
  return { folder, image: join(folder, "image.qcow2"), profile, plan, templates, bakeId, sha256 };
};

/** Processes and clock as they are; says nothing. */
export const testHost = (): Host => {
  const { signal } = new AbortController();
  return {
    ...system,
    run: runProcess(signal),
    env: process.env,
    cacheDir: cache,
    signal,
    progress: { note: () => undefined, step: (_id, _title, work) => work(() => undefined) },
  };
};

let started = 0;

/** What makes another boot one of the same node. */
export type NodeIdentity = Pick<VmOptions, "userData" | "metaData" | "key">;

export interface StartedVm {
  readonly vm: Vm;
  /** Its disks and its console are here. */
  readonly folder: string;
  readonly identity: NodeIdentity;
  /** Takes the power and deletes the folder, unless it was given. */
  readonly end: () => Promise<void>;
}

/** Nobody answers the agents, which go on trying. */
const alone = {
  agentToken: "nobody-asks-for-it",
  environment: { BUILDKITE_AGENT_ENDPOINT: "http://10.0.2.2:9/v3", BAKE_ABSENT: "npu" },
};

/** Boots a child of the image with user-data of one node. */
export const startVm = async (
  host: Host,
  { plan, templates, image }: Pick<GoldenImage, "plan" | "templates" | "image">,
  {
    keepIn,
    instance = alone,
    metaData,
    userDataFor = (publicKey) => instanceUserData(plan, templates, { ...instance, authorizedKeys: [publicKey] }),
    ...options
  }: Partial<VmOptions> & {
    /** An existing folder for disks, console and key, instead of one for the time of the VM. */
    readonly keepIn?: string;
    readonly instance?: Omit<Instance, "authorizedKeys">;
    /** Instead of `instance`: by the public key that logs in. */
    readonly userDataFor?: (publicKey: string) => string;
  },
): Promise<StartedVm> => {
  // Named as bake names its own: by the process that it goes with, so that a later bake clears up after a killed one.
  started++;
  const folder = keepIn ?? join(cache, "work", `test${started}-${currentProcess()}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const remove = async (): Promise<void> => {
    if (keepIn === undefined) await rm(folder, { recursive: true, force: true });
  };
  try {
    const key = await makeSshKey(host, folder);
    const identity: NodeIdentity = {
      key,
      userData: userDataFor(key.publicKey),
      metaData: metaData ?? JSON.stringify({ "instance-id": `bake-test-${host.now()}`, "local-hostname": "bake-test" }),
    };
    const vm = await bootVm(host, {
      ...identity,
      image,
      workDir: folder,
      logDir: folder,
      ...targetOf(plan.target).vmSize(plan.target),
      // KVM is tried with the image itself, once per boot of this machine.
      accelerator: await chooseAccelerator({ host, architecture: plan.target.architecture, image }),
      ...options,
    });
    const end = async (): Promise<void> => {
      await vm.kill();
      await remove();
    };
    return { vm, folder, identity, end };
  } catch (error) {
    await remove();
    throw error;
  }
};
