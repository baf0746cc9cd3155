/** A machine's disks: the files behind them, and what QEMU is told about them when it starts and while it runs. */
import { join, resolve } from "node:path";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { Qmp } from "./qmp.ts";

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

/** All disks as they were at one instant. The files are not written to any more. */
export interface Snapshot {
  readonly system: DiskFile;
  /** By the disk's id. */
  readonly data: Readonly<Record<string, DiskFile>>;
}

/** A disk that is in the machine. `top` is the file that is written to now; a snapshot leaves it and goes on in another. */
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

/** The disks of one machine, over all its runs of QEMU. */
export interface Disks {
  /** QEMU's options for the system disk, which is the first of its kind. */
  readonly systemArguments: () => string[];
  /** QEMU's options for the ports, and for the data disks in them. */
  readonly dataArguments: () => string[];
  /** A new QEMU knows nothing of snapshots: the files that are written to now are its disks. */
  readonly powerOn: () => void;
  /** @throws BakeError BK508 when there is no port, or QEMU refuses. */
  readonly plug: (qmp: Qmp, disk: DataDisk) => Promise<void>;
  /** Resolves when the guest has let go of the disk and its file is closed. @throws BakeError BK508 */
  readonly unplug: (qmp: Qmp, id: string) => Promise<void>;
  /** Takes all disks at one instant. @throws BakeError BK508 when QEMU refuses. */
  readonly snapshot: (qmp: Qmp) => Promise<Snapshot>;
}

/** Makes a copy-on-write overlay: what it does not hold is read from `of`, which is not written to. */
const createOverlay = async (host: Host, of: DiskFile, file: string): Promise<DiskFile> => {
  await host.run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", resolve(of.file), "-F", of.format, file]);
  return { file, format: "qcow2" };
};

const createDataDisk = async (host: Host, { id, from }: DataDisk, workDir: string): Promise<DiskFile> => {
  if ("raw" in from) return { file: from.raw, format: "raw" };
  const file = join(workDir, `disk-${id}.qcow2`);
  if ("childOf" in from) return createOverlay(host, from.childOf, file);
  await host.run("qemu-img", ["create", "-q", "-f", "qcow2", file, `${from.blankGiB}G`]);
  return { file, format: "qcow2" };
};

/**
 * QEMU's description of a disk's file, for `-blockdev` and `blockdev-add`. Pure but for the current folder.
 * The disks live as long as the machine: nothing has to survive a crash of the host.
 * @param name What QEMU calls it from then on.
 */
export const blockNode = (name: string, { file, format }: DiskFile, readOnly = false): Record<string, unknown> => ({
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

const nvmeDevice = ({ disk, port, node }: AttachedData): Record<string, unknown> => ({
  driver: "nvme",
  id: disk.id,
  drive: node,
  serial: disk.serial,
  bus: `port${port}`,
});

/**
 * Makes the files of a machine's disks: an overlay of its image, and the data disks that it starts with.
 * @param workDir Where the files are made.
 * @param freePorts Ports for disks that are plugged later, besides those of `disks`.
 * @throws BakeError BK302 when qemu-img fails, BK508 when two disks ask for one port.
 */
export const createDisks = async (
  host: Host,
  {
    image,
    workDir,
    disks,
    freePorts,
  }: {
    readonly image: string;
    readonly workDir: string;
    readonly disks: readonly DataDisk[];
    readonly freePorts: number;
  },
): Promise<Disks> => {
  const system: Attached = {
    name: "system",
    node: "system",
    top: await createOverlay(host, { file: image, format: "qcow2" }, join(workDir, "system.qcow2")),
  };
  const ports = disks.length + freePorts;
  const attached = new Map<string, AttachedData>();
  let snapshots = 0;

  const attach = async (disk: DataDisk): Promise<AttachedData> => {
    const taken = new Set([...attached.values()].map(({ port }) => port));
    const port = disk.port ?? Array.from({ length: ports }, (_, index) => index).find((index) => !taken.has(index));
    if (port === undefined || port >= ports || taken.has(port) || attached.has(disk.id)) {
      throw new BakeError("BK508", `no free port for disk ${disk.id}: the VM has ${ports}`);
    }
    const name = `disk-${disk.id}`;
    const data = { disk, port, name, node: name, top: await createDataDisk(host, disk, workDir) };
    attached.set(disk.id, data);
    return data;
  };
  for (const disk of disks) await attach(disk);

  return {
    systemArguments: () => [
      ...["-blockdev", JSON.stringify(blockNode(system.node, system.top)), "-device", "virtio-blk-pci,drive=system"],
    ],
    dataArguments: () => [
      ...Array.from({ length: ports }, (_, port) => [
        ...["-device", `pcie-root-port,id=port${port},chassis=${port + 1},slot=${port + 1}`],
      ]).flat(),
      ...[...attached.values()].flatMap((data) => [
        ...["-blockdev", JSON.stringify(blockNode(data.node, data.top, data.disk.readOnly))],
        ...["-device", JSON.stringify(nvmeDevice(data))],
      ]),
    ],
    powerOn: () => {
      for (const each of [system, ...attached.values()]) each.node = each.name;
    },
    plug: async (qmp, disk) => {
      const data = await attach(disk);
      try {
        await qmp.execute("blockdev-add", blockNode(data.node, data.top, disk.readOnly));
        await qmp.execute("device_add", nvmeDevice(data));
      } catch (error) {
        attached.delete(disk.id);
        throw error;
      }
    },
    unplug: async (qmp, id) => {
      const data = attached.get(id);
      if (data === undefined) throw new BakeError("BK508", `no disk ${id} is in the VM`);
      const deleted = qmp.event(
        `disk ${id} was to be unplugged`,
        (seen) => seen.event === "DEVICE_DELETED" && seen.data["device"] === id,
        60_000,
      );
      await Promise.all([deleted, qmp.execute("device_del", { id })]);
      await qmp.execute("blockdev-del", { "node-name": data.node });
      attached.delete(id);
    },
    snapshot: async (qmp) => {
      snapshots++;
      const writable: Attached[] = [system, ...[...attached.values()].filter(({ disk }) => disk.readOnly !== true)];
      const next = writable.map((each) => {
        const node = `${each.name}-${snapshots}`;
        const top: DiskFile = { file: join(workDir, `${node}.qcow2`), format: "qcow2" };
        return { each, node, top };
      });
      await qmp.execute("transaction", {
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
  };
};
