/**
 * One QEMU machine: a copy-on-write overlay of a golden image, a datasource of cloud-init, and emulated NVMe disks.
 * Disks can be plugged, unplugged and copied while it runs.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Accelerator, machineArguments } from "./accelerator.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { saidBy } from "../host/program-output.ts";
import { localMachines } from "../targets/local-machine.ts";
import { consoleSays } from "./console.ts";
import { blockNode, createDisks, type DataDisk, type Disks, type DiskFile, type Snapshot } from "./disks.ts";
import { freePort, sendsBanner } from "./loopback.ts";
import { type Datasource, openStackFiles, writeSeed } from "./datasource.ts";
import { metadataForward, metadataService } from "./metadata-service.ts";
import { optionValue, type QemuProcess, startQemu } from "./qemu.ts";
import { disconnect, type Ssh, type SshKey, sshTo } from "./ssh.ts";

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
  /** Short for one blank disk with id `data`. */
  readonly dataDiskGiB?: number;
  readonly disks?: readonly DataDisk[];
  /** Ports for disks that are plugged later. Default none: each costs the firmware time. */
  readonly freePorts?: number;
  /** What http://169.254.169.254/ answers in the guest; without it nothing is there, but for OpenStack's metadata. */
  readonly metadata?: string;
  /** What the guest calls this host: an address in the machine's network, by default the second. */
  readonly hostAddress?: string;
  /** Where cloud-init finds user-data and metadata. Default: NoCloud. */
  readonly datasource?: Datasource;
  /** What OpenStack's metadata service answers besides that, by path. */
  readonly metadataFiles?: Readonly<Record<string, string>>;
  readonly userData: string;
  readonly metaData: string;
  readonly key: SshKey;
}

export interface Vm {
  readonly sshPort: number;
  readonly ssh: Ssh;
  /** The serial console of all boots, as it is written. */
  readonly consoleLog: string;
  /** @param timeout Milliseconds. @returns seconds since power-on. @throws BakeError BK505 when QEMU ends, BK506 when the time is up. */
  waitForSsh(timeout: number): Promise<number>;
  /**
   * Reboots the guest.
   * @param timeout Milliseconds until it has to answer by ssh again.
   * @param command What the guest runs for it; by default systemctl.
   * @returns the seconds that it took.
   * @throws BakeError BK505 when QEMU ends, BK506 when the time is up.
   */
  reboot(timeout: number, command?: string): Promise<number>;
  /** A power cut, and power again: the same disks, another boot. @throws BakeError BK505, BK507 */
  powerCycle(): Promise<void>;
  /** @throws BakeError BK508 when there is no port, or QEMU refuses. */
  plug(disk: DataDisk): Promise<void>;
  /** Resolves when the guest has let go of the disk and its file is closed. @throws BakeError BK508 */
  unplug(id: string): Promise<void>;
  /** Takes all disks at one instant, whatever the guest is doing: what a power cut would leave. */
  snapshot(): Promise<Snapshot>;
  /** Asks the guest to power off, and takes the power after `timeout` milliseconds. */
  shutdown(timeout?: number): Promise<void>;
  /** Takes the power. */
  kill(): Promise<void>;
}

/** Waits for `work`, but not longer than `ms`; no timer outlives it and keeps the process from ending. */
const waitAtMost = async (host: Host, work: Promise<void>, ms: number): Promise<void> => {
  const stop = new AbortController();
  await Promise.race([work, host.sleep(ms, stop.signal).catch(() => undefined)]);
  stop.abort();
};

/** QEMU's options, in the order in which the guest finds its devices. Pure but for the current folder. */
const qemuArguments = (
  { accelerator, cpus, memoryMiB, hostAddress, datasource = "NoCloud" }: VmOptions,
  machine: {
    readonly consoleLog: string;
    readonly disks: Disks;
    /** Of a datasource that is a disk. */
    readonly seed?: DiskFile;
    readonly sshPort: number;
    /** Options of a metadata service in a network of its own, if it has one. */
    readonly metadata: readonly string[];
    /** How the machine's own network forwards to OpenStack's metadata, if that is the datasource. */
    readonly forward?: string;
  },
): string[] => [
  ...machineArguments(accelerator),
  ...["-smp", String(cpus), "-m", String(memoryMiB)],
  ...["-display", "none", "-monitor", "none", "-nodefaults", ...localMachines[accelerator.architecture].display],
  ...["-chardev", `file,id=console,path=${optionValue(machine.consoleLog)},append=on`, "-serial", "chardev:console"],
  ...machine.disks.systemArguments(),
  ...(machine.seed === undefined
    ? []
    : [
        ...["-blockdev", JSON.stringify(blockNode("seed", machine.seed, true))],
        ...["-device", "virtio-blk-pci,drive=seed"],
      ]),
  // By this cloud-init knows the cloud (its ds-identify and DataSourceOpenStack, from 22.4 on).
  ...(datasource === "NoCloud" ? [] : ["-smbios", "type=3,asset=HUAWEICLOUD"]),
  ...[
    "-netdev",
    [
      "user,id=net",
      // QEMU forwards no address outside a network: the metadata's is in it.
      ...(machine.forward === undefined ? [] : ["net=169.254.169.0/24", machine.forward]),
      `host=${hostAddress ?? (machine.forward === undefined ? "10.0.2.2" : "169.254.169.2")}`,
      `hostfwd=tcp:127.0.0.1:${machine.sshPort}-:22`,
    ].join(","),
  ],
  // Without its boot ROM, which takes seconds to look for a network to boot from.
  ...["-device", "virtio-net-pci,netdev=net,romfile="],
  ...machine.metadata,
  ...["-device", "virtio-rng-pci"],
  ...machine.disks.dataArguments(),
];

/**
 * Makes the disks and the seed, and takes the machine to power-on; `waitForSsh` waits for the guest.
 * @throws BakeError BK302 when a disk or the seed cannot be made, BK505 when QEMU does not start, BK507 when no port could
 * be had.
 */
export const bootVm = async (host: Host, options: VmOptions): Promise<Vm> => {
  const { workDir, logDir } = options;
  const consoleLog = join(logDir, "console.log");
  await writeFile(consoleLog, "");
  const { datasource = "NoCloud" } = options;
  const served =
    datasource === "OpenStack"
      ? { forward: await metadataForward(workDir, { ...openStackFiles(options), ...options.metadataFiles }) }
      : { seed: await writeSeed(host, workDir, datasource, options) };
  const metadata = options.metadata === undefined ? [] : await metadataService(workDir, options.metadata);
  const disks = await createDisks(host, {
    image: options.image,
    workDir,
    disks: [
      ...(options.dataDiskGiB === undefined
        ? []
        : [{ id: "data", serial: "bake-check-1", from: { blankGiB: options.dataDiskGiB } }]),
      ...(options.disks ?? []),
    ],
    freePorts: options.freePorts ?? 0,
  });

  const program = localMachines[options.accelerator.architecture].qemu;
  const powerOn = async (): Promise<{ qemu: QemuProcess; sshPort: number }> => {
    disks.powerOn();
    for (let attempt = 0; attempt < 3; attempt++) {
      const sshPort = await freePort();
      const qemu = await startQemu(
        host,
        program,
        qemuArguments(options, { consoleLog, disks, ...served, sshPort, metadata }),
      );
      if (qemu !== "port taken") return { qemu, sshPort };
    }
    throw new BakeError(
      "BK507",
      "no free port for ssh to the VM in three attempts",
      "Something takes every port; try again.",
    );
  };
  let { qemu, sshPort } = await powerOn();

  const ssh: Ssh = (command, sshOptions) => sshTo(host, options.key, sshPort)(command, sshOptions);
  const bootId = async (): Promise<string> => {
    const answer = await ssh("cat /proc/sys/kernel/random/boot_id", { allowFailure: true, timeout: 30_000 });
    return answer.exitCode === 0 ? answer.stdout.trim() : "";
  };
  /** Waits for a boot that is not `former`. */
  const waitForBoot = async (from: number, timeout: number, former?: string): Promise<number> => {
    while (host.now() - from < timeout) {
      const ended = qemu.ended();
      if (ended !== undefined) {
        throw new BakeError(
          "BK505",
          "the VM ended while it booted",
          `${await saidBy(host, [program], { stdout: "", stderr: ended.stderr })}\n${await consoleSays(consoleLog, 12)}`,
        );
      }
      host.signal.throwIfAborted();
      // The server may be up before cloud-init has put the key there.
      if (await sendsBanner(sshPort)) {
        const current = await bootId();
        if (current !== "" && current !== former) return (host.now() - from) / 1000;
        await disconnect(host, sshPort);
      }
      await waitAtMost(host, qemu.running, 500);
    }
    throw new BakeError(
      "BK506",
      `the VM did not answer by ssh within ${Math.round(timeout / 1000)} s`,
      await consoleSays(consoleLog, 16),
    );
  };
  const kill = async (): Promise<void> => {
    await qemu.kill();
    await disconnect(host, sshPort);
  };

  return {
    get sshPort() {
      return sshPort;
    },
    ssh,
    consoleLog,
    kill,
    waitForSsh: (timeout) => waitForBoot(qemu.started, timeout),
    reboot: async (timeout, command = "systemctl reboot --no-block") => {
      const former = await bootId();
      const from = host.now();
      await ssh(command, { allowFailure: true, timeout: 30_000 });
      return waitForBoot(from, timeout, former);
    },
    powerCycle: async () => {
      await kill();
      ({ qemu, sshPort } = await powerOn());
    },
    plug: (disk) => disks.plug(qemu.qmp, disk),
    unplug: (id) => disks.unplug(qemu.qmp, id),
    snapshot: () => disks.snapshot(qemu.qmp),
    shutdown: async (timeout = 120_000) => {
      await ssh("systemctl poweroff --no-block", { allowFailure: true, timeout: 30_000 });
      await waitAtMost(host, qemu.running, timeout);
      await kill();
    },
  };
};
