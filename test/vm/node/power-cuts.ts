/** What a power cut leaves at a point of a first boot, and whether a node comes of it. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { DataDisk, Snapshot } from "../../../src/vm/disks.ts";
import type { Vm } from "../../../src/vm/machine.ts";
import type { Host } from "../../../src/host/host.ts";
import { type GoldenImage, type NodeIdentity, startVm, type StartedVm } from "../golden-image.ts";

/** What the node's data disk is called. */
export const dataDisk = { id: "data", serial: "bake-test" } as const;

/** GiB, sparse. */
const dataDiskGiB = 8;

/** The data disk of a first boot. */
export const blankDisk: DataDisk = { ...dataDisk, from: { blankGiB: dataDiskGiB } };

/** A first boot, on a blank data disk. */
export const firstBoot = (host: Host, golden: GoldenImage): Promise<StartedVm> =>
  startVm(host, golden, { disks: [blankDisk] });

/** Bytes that the data disk takes, its copies included: grows with what the guest writes. */
export const written = async (folder: string): Promise<number> => {
  const files = (await readdir(folder)).filter((name) => name.startsWith(`disk-${dataDisk.id}`));
  const sizes = await Promise.all(files.map(async (name) => (await stat(join(folder, name))).blocks * 512));
  return sizes.reduce((sum, size) => sum + size, 0);
};

/** Resolves when `holds`; asks every `everyMs`. */
export const until = async (
  what: string,
  holds: () => Promise<boolean>,
  { everyMs, timeoutMs = 10 * 60_000 }: { readonly everyMs: number; readonly timeoutMs?: number },
): Promise<void> => {
  const end = Date.now() + timeoutMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
    await sleep(everyMs);
  }
};

/** Whether the serial console shows it. */
export const onConsole = async ({ consoleLog }: Vm, pattern: RegExp): Promise<boolean> =>
  pattern.test(await readFile(consoleLog, "utf8"));

/** The units that are starting just now, as far as the guest can be asked. */
export const starting = async ({ ssh }: Vm): Promise<string> => {
  const { stdout } = await ssh("systemctl list-jobs --no-legend | awk '$4 == \"running\" { print $2 }'", {
    allowFailure: true,
    timeout: 60_000,
  });
  return stdout.trim().replaceAll(".service", "").replaceAll("\n", " ");
};

/** Whether a command in the guest exits 0; false also while there is no ssh. */
const inGuest = async (vm: Vm, command: string): Promise<boolean> =>
  (await vm.ssh(command, { allowFailure: true, timeout: 60_000 })).exitCode === 0;

export const isReady = (vm: Vm): Promise<boolean> => inGuest(vm, `grep -q '"ready": true' /run/bake/status.json`);

/** How many builders buildx knows. */
export const buildersMade = async (vm: Vm): Promise<number> => {
  const { stdout } = await vm.ssh("ls /root/.docker/buildx/instances 2>/dev/null | wc -l", {
    allowFailure: true,
    timeout: 60_000,
  });
  return Number(stdout.trim());
};

export interface Outcome {
  readonly ready: boolean;
  /** From power-on. */
  readonly seconds: number;
  /** Names of the builders that run. */
  readonly builders: readonly string[];
  /** What bake-first-boot, bake-storage, bake-images and bake-builders said in this boot. */
  readonly said: string;
  /** What went wrong, when the node did not become whole: its status and the journal of bake's units. */
  readonly why: string;
}

/**
 * Boots what a power cut left, as the same node, and waits until it is ready, or for `timeoutMs`. Its agents reach nobody: the
 * API that they know may serve another VM of the same node.
 */
export const bootAfterCut = async (
  host: Host,
  golden: GoldenImage,
  identity: NodeIdentity,
  { system, data }: Snapshot,
  timeoutMs = 6 * 60_000,
): Promise<Outcome> => {
  const left = data[dataDisk.id];
  if (left === undefined) throw new Error("the snapshot has no data disk");
  const disks: DataDisk[] = [{ ...dataDisk, from: { childOf: left } }];
  const { vm, end } = await startVm(
    host,
    { ...golden, image: system.file },
    {
      ...identity,
      disks,
      hostAddress: "10.0.2.9",
    },
  );
  const output = async (command: string): Promise<string> =>
    (await vm.ssh(command, { allowFailure: true, timeout: 120_000 })).stdout.trim();
  try {
    const from = host.now();
    await vm.waitForSsh(timeoutMs);
    const ready = await until("ready", () => isReady(vm), { everyMs: 2000, timeoutMs }).then(
      () => true,
      () => false,
    );
    const seconds = (host.now() - from) / 1000;
    const builders = (
      await output(
        `. /etc/bake/builders.env; export HOME=/root; for each in $BUILDER_NAMES; do docker buildx inspect "$each" | grep -q '^Status:.*running' && echo "$each"; done`,
      )
    )
      .split("\n")
      .filter((name) => name !== "");
    return {
      ready,
      seconds,
      builders,
      said: await output(
        "journalctl -b -o cat --no-pager -u bake-first-boot -u bake-storage -u bake-images -u bake-builders | grep '^bake-[a-z-]*: '",
      ),
      why:
        ready && builders.length === golden.plan.facts.builders.names.length
          ? ""
          : await output(
              "cat /run/bake/status.json; HOME=/root docker buildx ls; journalctl -b --no-pager -n 80 -u 'bake-*' -u docker -u mnt.mount; lsblk -f; docker ps -a",
            ),
    };
  } finally {
    await end();
  }
};
