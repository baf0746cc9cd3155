/** KVM when it works, else TCG: emulation, where a boot takes minutes. */
import { constants } from "node:fs";
import { access, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import * as z from "zod";
import type { Host } from "../host/host.ts";
import { optionValue } from "./qemu.ts";

export interface Accelerator {
  readonly accel: "kvm" | "tcg";
  /** QEMU's `-cpu`. */
  readonly cpuModel: "host" | "max";
  readonly reason: string;
}

/** A guest that is going to start has said something by then, also behind a boot menu of five seconds. */
const probeSeconds = 20;

/** A capture file without a packet is its header. */
const emptyCapture = 24;

/**
 * Boots `image` until its kernel says something. The image is not written to.
 * That is a line on the serial console, or, for an image without one, a packet on a network that leads nowhere.
 * @param accelArguments QEMU's `-accel` and `-cpu`.
 * @returns the seconds it took, undefined when nothing came in time.
 */
const timeGuestStart = async (
  host: Host,
  image: string,
  accelArguments: readonly string[],
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
      "qemu-system-x86_64",
      [
        ...["-machine", "q35", ...accelArguments, "-m", "1024", "-nodefaults", "-no-reboot", "-display", "none"],
        ...["-vga", "std", "-serial", "stdio"],
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
const probeKvm = async (host: Host, image: string): Promise<number | undefined> => {
  const file = join(host.cacheDir, "kvm-probe.json");
  const bootId = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  try {
    const record = ProbeRecord.parse(JSON.parse(await readFile(file, "utf8")));
    if (record.bootId === bootId) return record.seconds ?? undefined;
  } catch {
    // Not probed yet.
  }
  const seconds = await timeGuestStart(host, image, ["-accel", "kvm", "-cpu", "host"]);
  await writeFile(file, `${JSON.stringify({ bootId, seconds: seconds ?? null })}\n`);
  return seconds;
};

const tcg = (reason: string): Accelerator => ({ accel: "tcg", cpuModel: "max", reason: `${reason}; expect minutes` });

/**
 * KVM when it works, else TCG. What was found out by booting is kept until this host boots again.
 * `/dev/kvm` alone proves nothing. Without the processor's own virtualization (a nested guest), a KVM device may be
 * there that runs firmware, emulates instructions, and fails on those of a current kernel.
 * @param probe A bootable image to try KVM with, once for each boot of this host.
 */
export const chooseAccelerator = async (probe: { host: Host; image: string }): Promise<Accelerator> => {
  if (probe.host.architecture !== "x64") return tcg("the guest is x86_64, this host is not");
  const refused = await access("/dev/kvm", constants.R_OK | constants.W_OK).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  );
  if (refused === "ENOENT") return tcg("there is no /dev/kvm");
  if (refused !== undefined) return tcg("/dev/kvm may not be used by this user");
  const flags = /^flags\s*:(.*)$/m.exec(await readFile("/proc/cpuinfo", "utf8"))?.[1]?.split(" ") ?? [];
  if (!flags.includes("vmx") && !flags.includes("svm")) {
    return tcg("/dev/kvm is there, but the processor offers neither vmx nor svm");
  }
  const seconds = await probeKvm(probe.host, probe.image);
  if (seconds === undefined) {
    return tcg(
      `/dev/kvm is there, but a KVM guest did not start within ${probeSeconds} s (asked once per boot of this host)`,
    );
  }
  return { accel: "kvm", cpuModel: "host", reason: `a KVM guest started in ${seconds.toFixed(1)} s` };
};
