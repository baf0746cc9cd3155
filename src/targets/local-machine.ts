/** What an architecture means for a VM on this machine: one row each, for whatever renders, bakes or boots one. Data alone. */
import type { Architecture } from "../artifact.ts";

export interface LocalMachine {
  /** QEMU's program for such guests. */
  readonly qemu: string;
  /** QEMU's `-machine`, without the accelerator. */
  readonly machine: string;
  /** QEMU's `-cpu` where the processor is emulated. With KVM it is the host's own. */
  readonly emulatedCpu: string;
  /** Node's name of the hosts that run such guests with KVM. */
  readonly kvmHost: string;
  /** Flags in /proc/cpuinfo, one of which a host with KVM has; empty where it has none for that. */
  readonly kvmFlags: readonly string[];
  /** Runs single programs of the architecture on a host of another one. */
  readonly userEmulator: string;
  /** UEFI firmware as distributions lay it; the first that is there is taken. Empty where QEMU brings the machine's own. */
  readonly firmware: readonly string[];
  /** QEMU's options for a display: some boot menus wait for one. */
  readonly display: readonly string[];
  /** What the guest's kernel calls the serial console. */
  readonly console: "ttyS0" | "ttyAMA0";
}

export const localMachines: Readonly<Record<Architecture, LocalMachine>> = {
  x86_64: {
    qemu: "qemu-system-x86_64",
    machine: "q35",
    emulatedCpu: "max",
    kvmHost: "x64",
    kvmFlags: ["vmx", "svm"],
    userEmulator: "qemu-x86_64-static",
    firmware: [],
    display: ["-vga", "std"],
    console: "ttyS0",
  },
  aarch64: {
    qemu: "qemu-system-aarch64",
    // Under KVM it has to be the host's interrupt controller: processors with version 3 do not all offer version 2.
    machine: "virt,gic-version=max",
    // What every system for aarch64 runs on. `max` emulates pointer authentication, which makes everything slower.
    emulatedCpu: "cortex-a57",
    kvmHost: "arm64",
    kvmFlags: [],
    userEmulator: "qemu-aarch64-static",
    firmware: [
      // Debian and Ubuntu; Fedora and openEuler have this name as a link.
      "/usr/share/AAVMF/AAVMF_CODE.fd",
      "/usr/share/edk2/aarch64/QEMU_EFI.fd",
      "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
      // QEMU's own.
      "/usr/share/qemu/edk2-aarch64-code.fd",
    ],
    display: [],
    console: "ttyAMA0",
  },
};
