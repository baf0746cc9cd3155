/**
 * Boots a copy-on-write child of a golden image with a NoCloud seed and emulated NVMe disks, which can be plugged, unplugged
 * and copied while it runs.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Accelerator } from "./accelerator.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { connectQmp, type Qmp } from "./qmp.ts";
import { disconnect, type Ssh, type SshKey, sshTo } from "./ssh.ts";

export interface DiskFile {
  readonly file: string;
  readonly format: "qcow2" | "raw";
}

/** An emulated NVMe disk. */
export interface DataDisk {
  /** Lower-case letters, digits and hyphens, at most 16. */
  readonly id: string;
  readonly serial: string;
  /** A new blank disk, a raw file that is used itself, or a disk that is read from and never written to. */
  readonly from: { readonly blankGiB: number } | { readonly raw: string } | { readonly childOf: DiskFile };
  readonly readOnly?: boolean;
  /** From 0; the guest sees the disks in order of their ports. The lowest free one by default. */
  readonly port?: number;
}

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
  /** What http://169.254.169.254/ answers in the guest; without it nothing is there. */
  readonly metadata?: string;
  /** What the guest calls this host: an address in 10.0.2.0/24, by default 10.0.2.2. */
  readonly hostAddress?: string;
  readonly userData: string;
  readonly metaData: string;
  readonly key: SshKey;
}

/** Both disks as they were at one instant. The files are not written to any more. */
export interface Snapshot {
  readonly system: DiskFile;
  /** By the disk's id. */
  readonly data: Readonly<Record<string, DiskFile>>;
}

export interface Vm {
  readonly sshPort: number;
  readonly ssh: Ssh;
  /** The serial console of all boots, as it is written. */
  readonly consoleLog: string;
  /** @returns seconds since power-on. @throws BakeError BK505 when QEMU ends, BK506 when the time is up. */
  waitForSsh(timeout: number): Promise<number>;
  /** Reboots the guest, by `command` when it is given. @returns seconds until it answers by ssh again. @throws BakeError BK505, BK506 */
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

const makeSeed = async (host: Host, { workDir, userData, metaData }: VmOptions): Promise<string> => {
  const seed = join(workDir, "seed");
  await mkdir(seed, { recursive: true });
  await writeFile(join(seed, "user-data"), userData, { mode: 0o600 });
  await writeFile(join(seed, "meta-data"), metaData);
  const iso = join(workDir, "seed.iso");
  await host.run("xorriso", [
    ...["-as", "genisoimage", "-quiet", "-volid", "cidata", "-joliet", "-rock", "-output", iso, seed],
  ]);
  return iso;
};

const makeChild = async (host: Host, of: DiskFile, file: string): Promise<DiskFile> => {
  await host.run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", resolve(of.file), "-F", of.format, file]);
  return { file, format: "qcow2" };
};

const makeDataDisk = async (host: Host, { id, from }: DataDisk, workDir: string): Promise<DiskFile> => {
  if ("raw" in from) return { file: from.raw, format: "raw" };
  const file = join(workDir, `disk-${id}.qcow2`);
  if ("childOf" in from) return makeChild(host, from.childOf, file);
  await host.run("qemu-img", ["create", "-q", "-f", "qcow2", file, `${from.blankGiB}G`]);
  return { file, format: "qcow2" };
};

/** Answers one connection, which QEMU hands over as standard input and output. */
const metadataScript = `#!/bin/sh
while IFS= read -r line && [ "\${#line}" -gt 1 ]; do :; done
printf 'HTTP/1.0 200 OK\\r\\nContent-Type: text/plain\\r\\nConnection: close\\r\\n\\r\\n'
cat "\${0%.sh}.txt"
`;

/**
 * A network of its own for 169.254.169.254: QEMU forwards no address outside a network. It is closed and offers no route, so
 * the default route stays with the other card.
 */
const metadataNetwork = async (workDir: string, answer: string): Promise<string[]> => {
  const script = join(resolve(workDir), "metadata.sh");
  await writeFile(script, metadataScript, { mode: 0o755 });
  await writeFile(join(workDir, "metadata.txt"), answer);
  const command = `/bin/sh '${script.replaceAll("'", `'\\''`)}'`;
  return [
    "-netdev",
    `user,id=metadata,restrict=on,ipv6=off,net=169.254.169.0/24,guestfwd=tcp:169.254.169.254:80-cmd:${escaped(command)}`,
    "-device",
    "virtio-net-pci,netdev=metadata,romfile=",
  ];
};

/** QEMU's description of a disk's file. The disks live as long as the VM: nothing has to survive a crash of the host. */
const blockNode = (name: string, { file, format }: DiskFile, readOnly = false): Record<string, unknown> => ({
  driver: format,
  "node-name": name,
  discard: "unmap",
  "read-only": readOnly,
  cache: { direct: false, "no-flush": true },
  file: {
    driver: "file",
    filename: resolve(file),
    discard: "unmap",
    "read-only": readOnly,
    cache: { direct: false, "no-flush": true },
  },
});

/** A disk that is in the VM. `top` is the file that is written to now; a snapshot leaves it and goes on in another. */
interface Attached {
  readonly name: string;
  /** What QEMU calls `top`. */
  node: string;
  top: DiskFile;
}

interface AttachedData extends Attached {
  readonly disk: DataDisk;
  readonly port: number;
}

const nvmeDevice = ({ disk, port, node }: AttachedData): Record<string, unknown> => ({
  driver: "nvme",
  id: disk.id,
  drive: node,
  serial: disk.serial,
  bus: `port${port}`,
});

/** One run of QEMU, from power-on to its end. */
interface Machine {
  readonly qmp: Qmp;
  readonly started: number;
  readonly running: Promise<void>;
  ended(): { readonly stderr: string } | undefined;
  kill(): Promise<void>;
}

/** @throws BakeError BK505 when QEMU does not start. */
const startQemu = async (host: Host, qemuArguments: readonly string[]): Promise<Machine | "port taken"> => {
  // In a folder of its own: a socket's path ends at 108 bytes.
  const folder = await mkdtemp(join(tmpdir(), "bake-qemu-"));
  const socket = join(folder, "qmp");
  // QEMU has a signal of its own: the VM ends with the check, or with bake.
  const power = new AbortController();
  const started = host.now();
  let ended: { exitCode: number; stderr: string } | undefined;
  const running = host
    .run("qemu-system-x86_64", [...qemuArguments, "-qmp", `unix:${escaped(socket)},server=on,wait=off`], {
      allowFailure: true,
      cancel: power.signal,
    })
    .then(
      (result) => {
        ended = result;
      },
      (error: unknown) => {
        ended = { exitCode: 1, stderr: String(error) };
      },
    )
    .finally(() => rm(folder, { recursive: true, force: true }));
  const connecting = connectQmp(socket, 20_000);
  connecting.catch(() => undefined);
  const kill = async (): Promise<void> => {
    power.abort();
    await running;
  };
  try {
    const qmp = await Promise.race([connecting, running.then(() => undefined)]);
    if (qmp !== undefined) return { qmp, started, running, ended: () => ended, kill };
  } catch (error) {
    await kill();
    throw error;
  }
  const stderr = ended?.stderr ?? "";
  if (/Could not set up host forwarding rule/.test(stderr)) return "port taken";
  throw new BakeError("BK505", "QEMU did not start", stderr.trim().split("\n").slice(-8).join("\n"));
};

/** @throws BakeError BK505 when QEMU does not start, BK507 when no port could be had. */
export const bootVm = async (host: Host, options: VmOptions): Promise<Vm> => {
  const { accelerator, workDir, logDir } = options;
  const consoleLog = join(logDir, "console.log");
  await writeFile(consoleLog, "");
  const iso = await makeSeed(host, options);
  const metadata = options.metadata === undefined ? [] : await metadataNetwork(workDir, options.metadata);
  const system: Attached = {
    name: "system",
    node: "system",
    top: await makeChild(host, { file: options.image, format: "qcow2" }, join(workDir, "system.qcow2")),
  };
  const wanted: readonly DataDisk[] = [
    ...(options.dataDiskGiB === undefined
      ? []
      : [{ id: "data", serial: "bake-check-1", from: { blankGiB: options.dataDiskGiB } }]),
    ...(options.disks ?? []),
  ];
  const ports = wanted.length + (options.freePorts ?? 0);
  const attached = new Map<string, AttachedData>();
  let snapshots = 0;

  const attach = async (disk: DataDisk): Promise<AttachedData> => {
    const taken = new Set([...attached.values()].map(({ port }) => port));
    const port = disk.port ?? Array.from({ length: ports }, (_, index) => index).find((index) => !taken.has(index));
    if (port === undefined || port >= ports || taken.has(port) || attached.has(disk.id)) {
      throw new BakeError("BK508", `no free port for disk ${disk.id}: the VM has ${ports}`);
    }
    const name = `disk-${disk.id}`;
    const data = { disk, port, name, node: name, top: await makeDataDisk(host, disk, workDir) };
    attached.set(disk.id, data);
    return data;
  };
  for (const disk of wanted) await attach(disk);

  const qemuArguments = (sshPort: number): string[] => [
    ...["-machine", "q35", "-accel", accelerator.accel === "tcg" ? "tcg,thread=multi" : "kvm"],
    ...["-cpu", accelerator.cpuModel, "-smp", String(options.cpus), "-m", String(options.memoryMiB)],
    ...["-display", "none", "-monitor", "none", "-nodefaults", "-vga", "std"],
    ...["-chardev", `file,id=console,path=${escaped(consoleLog)},append=on`, "-serial", "chardev:console"],
    ...["-blockdev", JSON.stringify(blockNode(system.node, system.top)), "-device", "virtio-blk-pci,drive=system"],
    ...["-blockdev", JSON.stringify(blockNode("seed", { file: iso, format: "raw" }, true))],
    ...["-device", "virtio-blk-pci,drive=seed"],
    ...["-netdev", `user,id=net,host=${options.hostAddress ?? "10.0.2.2"},hostfwd=tcp:127.0.0.1:${sshPort}-:22`],
    // Without its boot ROM, which takes seconds to look for a network to boot from.
    ...["-device", "virtio-net-pci,netdev=net,romfile="],
    ...metadata,
    ...["-device", "virtio-rng-pci"],
    ...Array.from({ length: ports }, (_, port) => [
      ...["-device", `pcie-root-port,id=port${port},chassis=${port + 1},slot=${port + 1}`],
    ]).flat(),
    ...[...attached.values()].flatMap((data) => [
      ...["-blockdev", JSON.stringify(blockNode(data.node, data.top, data.disk.readOnly))],
      ...["-device", JSON.stringify(nvmeDevice(data))],
    ]),
  ];

  const powerOn = async (): Promise<{ machine: Machine; sshPort: number }> => {
    // A new QEMU knows nothing of snapshots: the files that are written to now are its disks.
    for (const each of [system, ...attached.values()]) each.node = each.name;
    for (let attempt = 0; attempt < 3; attempt++) {
      const sshPort = await freePort();
      const machine = await startQemu(host, qemuArguments(sshPort));
      if (machine !== "port taken") return { machine, sshPort };
    }
    throw new BakeError(
      "BK507",
      "no free port for ssh to the VM in three attempts",
      "Something takes every port; try again.",
    );
  };
  let { machine, sshPort } = await powerOn();

  const ssh: Ssh = (command, sshOptions) => sshTo(host, options.key, sshPort)(command, sshOptions);
  const bootId = async (): Promise<string> => {
    const answer = await ssh("cat /proc/sys/kernel/random/boot_id", { allowFailure: true, timeout: 30_000 });
    return answer.exitCode === 0 ? answer.stdout.trim() : "";
  };
  /** Waits for a boot that is not `former`. */
  const waitForBoot = async (from: number, timeout: number, former?: string): Promise<number> => {
    while (host.now() - from < timeout) {
      const ended = machine.ended();
      if (ended !== undefined) {
        throw new BakeError("BK505", "the VM ended while it booted", `${ended.stderr}\n${await tail(consoleLog, 12)}`);
      }
      host.signal.throwIfAborted();
      // The server may be up before cloud-init has put the key there.
      if (await greets(sshPort)) {
        const current = await bootId();
        if (current !== "" && current !== former) return (host.now() - from) / 1000;
        await disconnect(host, sshPort);
      }
      await within(machine.running, 500);
    }
    throw new BakeError(
      "BK506",
      `the VM did not answer by ssh within ${Math.round(timeout / 1000)} s`,
      `serial console, last lines (${consoleLog}):\n${await tail(consoleLog, 16)}`,
    );
  };
  const kill = async (): Promise<void> => {
    await machine.kill();
    await disconnect(host, sshPort);
  };

  return {
    get sshPort() {
      return sshPort;
    },
    ssh,
    consoleLog,
    kill,
    waitForSsh: (timeout) => waitForBoot(machine.started, timeout),
    reboot: async (timeout, command = "systemctl reboot --no-block") => {
      const former = await bootId();
      const from = host.now();
      await ssh(command, { allowFailure: true, timeout: 30_000 });
      return waitForBoot(from, timeout, former);
    },
    powerCycle: async () => {
      await kill();
      ({ machine, sshPort } = await powerOn());
    },
    plug: async (disk) => {
      const data = await attach(disk);
      try {
        await machine.qmp.execute("blockdev-add", blockNode(data.node, data.top, disk.readOnly));
        await machine.qmp.execute("device_add", nvmeDevice(data));
      } catch (error) {
        attached.delete(disk.id);
        throw error;
      }
    },
    unplug: async (id) => {
      const data = attached.get(id);
      if (data === undefined) throw new BakeError("BK508", `no disk ${id} is in the VM`);
      const deleted = machine.qmp.event(
        `disk ${id} was to be unplugged`,
        (seen) => seen.event === "DEVICE_DELETED" && seen.data["device"] === id,
        60_000,
      );
      await Promise.all([deleted, machine.qmp.execute("device_del", { id })]);
      await machine.qmp.execute("blockdev-del", { "node-name": data.node });
      attached.delete(id);
    },
    snapshot: async () => {
      snapshots++;
      const writable: Attached[] = [system, ...[...attached.values()].filter(({ disk }) => disk.readOnly !== true)];
      const next = writable.map((each) => {
        const node = `${each.name}-${snapshots}`;
        const top: DiskFile = { file: join(workDir, `${node}.qcow2`), format: "qcow2" };
        return { each, node, top };
      });
      await machine.qmp.execute("transaction", {
        actions: next.map(({ each, node, top }) => ({
          type: "blockdev-snapshot-sync",
          data: { "node-name": each.node, "snapshot-node-name": node, "snapshot-file": resolve(top.file) },
        })),
      });
      const taken: Snapshot = {
        system: system.top,
        data: Object.fromEntries([...attached].map(([id, { top }]) => [id, top])),
      };
      for (const { each, node, top } of next) Object.assign(each, { node, top });
      return taken;
    },
    shutdown: async (timeout = 120_000) => {
      await ssh("systemctl poweroff --no-block", { allowFailure: true, timeout: 30_000 });
      await within(machine.running, timeout);
      await kill();
    },
  };
};
