/** How this host runs guests of an architecture: with KVM when that works, else TCG, emulation, where a boot takes minutes. */
import { constants } from "node:fs";
import { access, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import * as z from "zod";
import type { Architecture } from "../artifact.ts";
import { BakeError } from "../errors.ts";
import { exists } from "../host/exists.ts";
import type { Host } from "../host/host.ts";
import { localMachines } from "../targets/local-machine.ts";
import { optionValue } from "./qemu.ts";

export interface Accelerator {
  readonly accel: "kvm" | "tcg";
  /** Of the guest. */
  readonly architecture: Architecture;
  /** QEMU's `-cpu`. */
  readonly cpuModel: string;
  /** UEFI firmware on this host, for a machine that has none of its own. */
  readonly firmware?: string;
  readonly reason: string;
}

/**
 * QEMU's options for the machine itself, its accelerator, processor and firmware. Pure.
 * The firmware is read and never written to. What it stores is forgotten with the machine: an image has to boot without.
 */
export const machineArguments = ({
  accel,
  architecture,
  cpuModel,
  firmware,
}: Omit<Accelerator, "reason">): string[] => [
  ...["-machine", localMachines[architecture].machine, "-accel", accel === "tcg" ? "tcg,thread=multi" : "kvm"],
  ...(firmware === undefined ? [] : ["-bios", firmware]),
  ...["-cpu", cpuModel],
];

/** The first of `places` that is there; undefined where QEMU brings the firmware. @throws BakeError BK301 when none is. */
const firmwareOf = async (architecture: Architecture, places: readonly string[]): Promise<string | undefined> => {
  if (places.length === 0) return undefined;
  for (const place of places) if (await exists(place)) return place;
  throw new BakeError(
    "BK301",
    `UEFI firmware for ${architecture} is not on this host: ${places.join(", ")}`,
    "Install qemu-efi-aarch64 (Debian, Ubuntu) or edk2-aarch64 (openEuler, Fedora).",
  );
};

/** A guest that is going to start has said something by then, also behind a boot menu of five seconds. */
const probeSeconds = 20;

/** A capture file without a packet is its header. */
const emptyCapture = 24;

/**
 * Boots `image` until its kernel says something. The image is not written to.
 * That is a line on the serial console, or, for an image without one, a packet on a network that leads nowhere.
 * @returns the seconds it took, undefined when nothing came in time.
 */
const timeGuestStart = async (
  host: Host,
  image: string,
  machine: Omit<Accelerator, "reason">,
  seconds: number = probeSeconds,
): Promise<number | undefined> => {
  await makeFolder(host.cacheDir);
  const folder = await mkdtemp(join(host.cacheDir, "probe-"));
  const capture = join(folder, "net.pcap");
  const stop = new AbortController();
  const started = host.now();
  let after: number | undefined;
  const alive = (): void => {
    after ??= (host.now() - started) / 1000;
    stop.abort();
  };
  const packets = setInterval(() => {
    void stat(capture)
      .then(({ size }) => (size > emptyCapture ? alive() : undefined))
      .catch(() => undefined);
  }, 500);
  try {
    await host.run(
      localMachines[machine.architecture].qemu,
      [
        ...machineArguments(machine),
        ...["-m", "1024", "-nodefaults", "-no-reboot", "-display", "none"],
        ...[...localMachines[machine.architecture].display, "-serial", "stdio"],
        ...["-drive", `file=${optionValue(resolve(image))},if=virtio,format=qcow2,snapshot=on`],
        // No boot ROM: only the guest's kernel can send a packet.
        ...["-netdev", "user,id=net,restrict=on,ipv6=off", "-device", "virtio-net-pci,netdev=net,romfile="],
        ...["-object", `filter-dump,id=dump,netdev=net,file=${optionValue(capture)}`],
      ],
      {
        allowFailure: true,
        timeout: seconds * 1000,
        cancel: stop.signal,
        onLine: (line) => {
          if (/Linux version \d|systemd\[1\]|login:/.test(line)) alive();
        },
      },
    );
  } finally {
    clearInterval(packets);
    await rm(folder, { recursive: true, force: true });
  }
  return after;
};

const ProbeRecord = z.object({ bootId: z.string(), seconds: z.number().nullable() });

/** The probe's answer, kept until this host boots again. */
const probeKvm = async (
  host: Host,
  image: string,
  machine: Omit<Accelerator, "reason">,
): Promise<number | undefined> => {
  const file = join(host.cacheDir, "kvm-probe.json");
  const bootId = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  try {
    const record = ProbeRecord.parse(JSON.parse(await readFile(file, "utf8")));
    if (record.bootId === bootId) return record.seconds ?? undefined;
  } catch {
    // Not probed yet.
  }
  const seconds = await timeGuestStart(host, image, machine);
  await writeFile(file, `${JSON.stringify({ bootId, seconds: seconds ?? null })}\n`);
  return seconds;
};

/**
 * KVM when it works, else TCG. What was found out by booting is kept until this host boots again.
 * `/dev/kvm` alone proves nothing. Without the processor's own virtualization (a nested guest), a KVM device may be
 * there that runs firmware, emulates instructions, and fails on those of a current kernel.
 * KVM runs guests of the host's own architecture alone; all others are emulated.
 * @param probe `image`: one of `architecture` that boots, to try KVM with, once for each boot of this host. `firmware`: where it
 * may lie, instead of the usual places.
 * @throws BakeError BK301 when the machine needs a firmware that is not here.
 */
export const chooseAccelerator = async (probe: {
  readonly host: Host;
  readonly architecture: Architecture;
  readonly image: string;
  readonly firmware?: readonly string[];
}): Promise<Accelerator> => {
  const { architecture } = probe;
  const { emulatedCpu, kvmHost, kvmFlags } = localMachines[architecture];
  const firmware = await firmwareOf(architecture, probe.firmware ?? localMachines[architecture].firmware);
  const machine = { architecture, ...(firmware !== undefined && { firmware }) };
  const tcg = (reason: string): Accelerator => ({
    ...machine,
    accel: "tcg",
    cpuModel: emulatedCpu,
    reason: `${reason}; expect minutes`,
  });
  if (probe.host.architecture !== kvmHost) return tcg(`the guest is ${architecture}, this host is not`);
  const refused = await access("/dev/kvm", constants.R_OK | constants.W_OK).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  );
  if (refused === "ENOENT") return tcg("there is no /dev/kvm");
  if (refused !== undefined) return tcg("/dev/kvm may not be used by this user");
  const flags = /^flags\s*:(.*)$/m.exec(await readFile("/proc/cpuinfo", "utf8"))?.[1]?.split(" ") ?? [];
  if (kvmFlags.length > 0 && !kvmFlags.some((flag) => flags.includes(flag))) {
    return tcg(`/dev/kvm is there, but the processor offers neither ${kvmFlags.join(" nor ")}`);
  }
  const kvm = { ...machine, accel: "kvm", cpuModel: "host" } as const;
  const seconds = await probeKvm(probe.host, probe.image, kvm);
  if (seconds === undefined) {
    return tcg(
      `/dev/kvm is there, but a KVM guest did not start within ${probeSeconds} s (asked once per boot of this host)`,
    );
  }
  return { ...kvm, reason: `a KVM guest started in ${seconds.toFixed(1)} s` };
};
