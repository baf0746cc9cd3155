/** One bake in the emulated cloud, with the stand-in for Packer, for tests and benchmarks of what goes wrong in it. */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { huaweiCloudBaker } from "../../src/bake/huaweicloud.ts";
import { planFor } from "../../src/commands/plan.ts";
import { BakeError } from "../../src/errors.ts";
import { type Host, runProcess } from "../../src/host/host.ts";
import { root } from "../../src/host/root.ts";
import { system } from "../../src/host/system.ts";
import { Store } from "../../src/store/store.ts";
import { readProfile, render, trialLock } from "../plan-of.ts";
import type { Emulator } from "./emulator.ts";
import { layPacker } from "./packer-stand-in.ts";
import { ids } from "./world.ts";

/** The emulated cloud as such a bake needs it: its source image is an x86 one, and jobs take no time. */
export const readyForBake = ({ world }: Emulator): void => {
  Object.assign(world.images[0] ?? {}, { architecture: "x86", firmware: "bios" });
  Object.assign(world.takes, { create: 5, stop: 5, image: 5, delete: 5, share: 5 });
};

export interface Run {
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Called with each note of the progress. */
  readonly onNote?: (line: string) => void;
  /** Waited for before Packer starts. */
  readonly gate?: () => Promise<void>;
  readonly name?: string;
  /** A public address for the server. Default yes. */
  readonly address?: boolean;
  /** Further settings of the cloud's, a line each. */
  readonly settings?: readonly string[];
  /** Of the profile's file, without an ending. Default `site`. */
  readonly profile?: string;
  /** Of this process, which may be killed. */
  readonly life?: Life;
}

/** Variable that tells a client whose life it belongs to. */
export const lifeVariable = "BAKE_TEST_LIFE";

/** The life of a bake: once it is over nothing of it goes on, as after kill -9. */
export interface Life {
  readonly name: string;
  readonly isOver: () => boolean;
  /** Fulfilled when it is over. */
  readonly over: Promise<void>;
  /** Called with what Packer's build ended with, before the bake hears of it. */
  readonly onPacker?: () => void;
}

/** Nobody hears of it any more. */
export const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

/** A runner whose commands a killed process hears nothing of: they go on without it, as what has a process group of its own does. */
const runnerOf = (run: Host["run"], life: Life): Host["run"] => {
  return async (file, args, options = {}) => {
    const { onLine } = options;
    const result = await run(file, args, {
      ...options,
      ...(onLine !== undefined && {
        onLine: (line, stream) => {
          if (!life.isOver()) onLine(line, stream);
        },
      }),
    });
    if (args[0] === "build") life.onPacker?.();
    return life.isOver() ? never() : result;
  };
};

/** Bakes the cloud's profile, with a mirror and a public address. @returns what was said, and the error. */
export const bakeOnce = async (
  { emulator, folder }: { readonly emulator: Emulator; readonly folder: string },
  {
    env = {},
    signal = new AbortController().signal,
    onNote,
    gate,
    name = "a",
    address = true,
    settings = [],
    profile = "site",
    life,
  }: Run = {},
) => {
  const at = join(folder, name);
  mkdirSync(at, { recursive: true });
  writeFileSync(
    join(at, `${profile}.yaml`),
    // As what the lock of the trial is made for.
    [
      `extends: ${JSON.stringify(join(root, "test/golden/cloud/profile.yaml"))}`,
      'builders: { image: "moby/buildkit:v0.26.1" }',
      "targets:",
      "  huaweicloud:",
      "    architecture: x86_64",
      "    flavor: s6.large.2",
      "    mirror: http://mirror.example.com/",
      ...(address ? ["    publicIp: { bandwidth: 5 }"] : []),
      ...settings.map((line) => `    ${line}`),
      "",
    ].join("\n"),
  );
  const plan = planFor({
    name: profile,
    profile: readProfile(join(at, `${profile}.yaml`)),
    target: "huaweicloud",
    lock: trialLock,
  });
  const { files, bakeId = "" } = render(plan);
  for (const { path, content } of files) {
    mkdirSync(dirname(join(at, "out", path)), { recursive: true });
    writeFileSync(join(at, "out", path), content);
  }
  const said: string[] = [];
  const note = (line: string): void => {
    if (life?.isOver() === true) return;
    said.push(line);
    onNote?.(line);
  };
  const given = {
    PATH: process.env["PATH"] ?? "",
    STAND_IN_LOOKS: "1",
    ...emulator.env,
    HW_PROJECT_ID: ids.project,
    ...(life !== undefined && { [lifeVariable]: life.name }),
    ...env,
  };
  const run = runProcess(signal, given);
  const host: Host = {
    ...system,
    run: life === undefined ? run : runnerOf(run, life),
    env: given,
    // Of a killed bake a work folder stays; this process still lives.
    cacheDir: mkdtempSync(join(at, "cache-")),
    signal,
    progress: {
      step: async (id, _title, work) => {
        if (id === "packer") await gate?.();
        return work(() => {});
      },
      note,
    },
  };
  const work = huaweiCloudBaker.bake(host, {
    folder: join(at, "out"),
    plan,
    bakeId,
    files,
    trial: false,
    // All of the stand-in's own among them.
    credentials: Object.fromEntries(Object.entries(given).filter(([each]) => /^(HW_|STAND_IN_)/.test(each))),
    secrets: {},
    store: new Store(join(at, "store")),
    packer: { path: layPacker(join(at, "bin")), environment: {} },
    fetch: async () => {},
    recordStep: () => {},
    steps: () => [],
    provenance: () => "{}\n",
    print: note,
  });
  const dead = life?.over.then((): { image?: string; error?: unknown } => ({ error: new Error("killed") }));
  const ended = work.then(
    (baked): { image?: string; error?: unknown } => ({ image: baked.describe(1) }),
    (thrown: unknown): { image?: string; error?: unknown } => ({ error: thrown }),
  );
  const { image, error } = await (dead === undefined ? ended : Promise.race([ended, dead]));
  return {
    image,
    error,
    bakeId,
    text: [...said, error instanceof BakeError ? `${error.code} ${error.message}\n${error.help ?? ""}` : ""].join("\n"),
    file: (file: string): Record<string, unknown> =>
      JSON.parse(readFileSync(join(at, "out", file), "utf8")) as Record<string, unknown>,
  };
};

/** What there is that costs something or lies about. */
export const thingsIn = ({ world: { servers, keyPairs, addresses } }: Emulator): string[] => {
  return [...servers.map(({ id }) => id), ...keyPairs, ...addresses.map(({ id }) => id)];
};

/** The plugin's calls, in the order that its users know from its source. */
export const pluginOrder = [
  "ECS GET /v2.1/{project_id}/os-availability-zone",
  "ECS POST /v2.1/{project_id}/os-keypairs",
  "VPC GET /v1/{project_id}/vpcs/{vpc_id}",
  "VPC POST /v1/{project_id}/publicips",
  "VPC GET /v1/{project_id}/publicips/{publicip_id}",
  "ECS POST /v1/{project_id}/cloudservers",
  "ECS GET /v1/{project_id}/jobs/{job_id}",
  "ECS GET /v1/{project_id}/cloudservers/{server_id}/os-interface",
  "ECS POST /v1/{project_id}/cloudservers/action",
  "ECS GET /v1/{project_id}/cloudservers/{server_id}",
  "IMS POST /v2/cloudimages/action",
  "IMS GET /v1/{project_id}/jobs/{job_id}",
  "ECS POST /v1/{project_id}/cloudservers/delete",
  "ECS GET /v1/{project_id}/cloudservers/{server_id}",
  "VPC DELETE /v1/{project_id}/publicips/{publicip_id}",
  "ECS DELETE /v2.1/{project_id}/os-keypairs/{keypair_name}",
];

export const callsOfPlugin = ({ calls, headers }: Emulator): string[] =>
  calls.filter((_, at) => headers[at]?.["user-agent"]?.includes("packer") === true);
