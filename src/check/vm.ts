/** Boots a copy-on-write child of a golden image, with a blank emulated NVMe disk and a NoCloud seed. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Accelerator } from "../build/accelerator.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host.ts";
import { type Ssh, type SshKey, sshTo } from "./ssh.ts";

export interface VmOptions {
  /** Never written to. */
  readonly image: string;
  /** The caller's to delete. */
  readonly workDir: string;
  /** Existing folder for console.log. */
  readonly logDir: string;
  readonly memoryMiB: number;
  readonly cpus: number;
  readonly accelerator: Accelerator;
  /** A blank NVMe disk of this size, sparse. */
  readonly dataDiskGiB: number;
  readonly userData: string;
  readonly metaData: string;
  readonly key: SshKey;
}

export interface Vm {
  readonly sshPort: number;
  readonly ssh: Ssh;
  /** @returns seconds since power-on. @throws BakeError BK505 when QEMU ends, BK506 when the time is up. */
  waitForSsh(timeout: number): Promise<number>;
  /** Asks the guest to power off, and takes the power after `timeout` milliseconds. */
  shutdown(timeout?: number): Promise<void>;
  /** Takes the power. */
  kill(): Promise<void>;
}

/** A port that was free a moment ago. */
const freePort = (): Promise<number> =>
  new Promise((done, failed) => {
    const server = createServer();
    server.once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => done(port));
    });
  });

/** Waits for `work`, but not longer than `ms`; no timer outlives it and keeps the process from ending. */
const within = async (work: Promise<void>, ms: number): Promise<void> => {
  const stop = new AbortController();
  await Promise.race([work, sleep(ms, undefined, { signal: stop.signal }).catch(() => undefined)]);
  stop.abort();
};

/**
 * Whether an ssh server says hello. QEMU accepts a connection long before the guest does and then holds it, so an ssh client
 * would sit out its time-out, and be late.
 */
const greets = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const socket = createConnection({ host: "127.0.0.1", port, timeout: 2000 });
    const end = (answer: boolean) => (): void => {
      done(answer);
      socket.destroy();
    };
    socket.once("data", end(true)).once("error", end(false)).once("timeout", end(false)).once("close", end(false));
  });

/** A comma ends an option's value, unless it is doubled. */
const escaped = (path: string): string => path.replaceAll(",", ",,");

const tail = async (path: string, lines: number): Promise<string> =>
  (await readFile(path, "utf8").catch(() => "")).trimEnd().split("\n").slice(-lines).join("\n");

const makeDisks = async (host: Host, { image, workDir, dataDiskGiB, userData, metaData }: VmOptions) => {
  const seed = join(workDir, "seed");
  await mkdir(seed, { recursive: true });
  await writeFile(join(seed, "user-data"), userData, { mode: 0o600 });
  await writeFile(join(seed, "meta-data"), metaData);
  const iso = join(workDir, "seed.iso");
  await host.run("xorriso", [
    "-as",
    "genisoimage",
    "-quiet",
    "-volid",
    "cidata",
    "-joliet",
    "-rock",
    "-output",
    iso,
    seed,
  ]);
  const system = join(workDir, "system.qcow2");
  await host.run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", resolve(image), "-F", "qcow2", system]);
  const data = join(workDir, "data.qcow2");
  await host.run("qemu-img", ["create", "-q", "-f", "qcow2", data, `${dataDiskGiB}G`]);
  return { iso, system, data };
};

/** @throws BakeError BK505 when QEMU does not start, BK507 when no port could be had. */
export const bootVm = async (host: Host, options: VmOptions): Promise<Vm> => {
  const disks = await makeDisks(host, options);
  for (let attempt = 0; attempt < 3; attempt++) {
    const vm = await startQemu(host, options, disks, await freePort());
    if (vm !== "port taken") return vm;
  }
  throw new BakeError(
    "BK507",
    "no free port for ssh to the VM in three attempts",
    "Something takes every port; try again.",
  );
};

const startQemu = async (
  host: Host,
  options: VmOptions,
  disks: { iso: string; system: string; data: string },
  sshPort: number,
): Promise<Vm | "port taken"> => {
  const { accelerator, logDir } = options;
  const consoleLog = join(logDir, "console.log");
  await writeFile(consoleLog, "");
  // QEMU has a signal of its own: the VM ends with the check, or with bake.
  const power = new AbortController();
  const started = host.now();
  let ended: { exitCode: number; stderr: string } | undefined;
  const running = host
    .run(
      "qemu-system-x86_64",
      [
        ...["-machine", "q35", "-accel", accelerator.accel === "tcg" ? "tcg,thread=multi" : "kvm"],
        ...["-cpu", accelerator.cpuModel, "-smp", String(options.cpus), "-m", String(options.memoryMiB)],
        ...[
          "-display",
          "none",
          "-serial",
          `file:${escaped(consoleLog)}`,
          "-monitor",
          "none",
          "-nodefaults",
          "-vga",
          "std",
        ],
        // The disks live as long as the VM: nothing has to survive a crash of the host.
        ...["-drive", `file=${escaped(disks.system)},if=virtio,format=qcow2,discard=unmap,cache=unsafe`],
        ...["-drive", `file=${escaped(disks.data)},if=none,id=data,format=qcow2,discard=unmap,cache=unsafe`],
        ...["-device", "nvme,drive=data,serial=bake-check-1"],
        ...["-drive", `file=${escaped(disks.iso)},if=virtio,format=raw,readonly=on`],
        ...["-netdev", `user,id=net,hostfwd=tcp:127.0.0.1:${sshPort}-:22`],
        // Without its boot ROM, which takes seconds to look for a network to boot from.
        ...["-device", "virtio-net-pci,netdev=net,romfile="],
        ...["-device", "virtio-rng-pci"],
      ],
      { allowFailure: true, cancel: power.signal },
    )
    .then(
      (result) => {
        ended = result;
      },
      (error: unknown) => {
        ended = { exitCode: 1, stderr: String(error) };
      },
    );
  await within(running, 1500);
  if (ended !== undefined) {
    if (/Could not set up host forwarding rule/.test(ended.stderr)) return "port taken";
    throw new BakeError("BK505", "QEMU did not start", ended.stderr.trim().split("\n").slice(-8).join("\n"));
  }
  const ssh = sshTo(host, options.key, sshPort);
  const kill = async (): Promise<void> => {
    power.abort();
    await running;
  };
  return {
    sshPort,
    ssh,
    kill,
    waitForSsh: async (timeout) => {
      while (host.now() - started < timeout) {
        if (ended !== undefined) {
          throw new BakeError(
            "BK505",
            "the VM ended while it booted",
            `${ended.stderr}\n${await tail(consoleLog, 12)}`,
          );
        }
        host.signal.throwIfAborted();
        // The server may be up before cloud-init has put the key there.
        if (await greets(sshPort)) {
          const answer = await ssh("true", { allowFailure: true, timeout: 30_000 });
          if (answer.exitCode === 0) return (host.now() - started) / 1000;
        }
        await within(running, 500);
      }
      throw new BakeError(
        "BK506",
        `the VM did not answer by ssh within ${Math.round(timeout / 1000)} s`,
        `serial console, last lines (${consoleLog}):\n${await tail(consoleLog, 16)}`,
      );
    },
    shutdown: async (timeout = 120_000) => {
      await ssh("systemctl poweroff --no-block", { allowFailure: true, timeout: 30_000 });
      await within(running, timeout);
      await kill();
    },
  };
};
