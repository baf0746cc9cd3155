/** KVM when it works, else TCG: emulation, where a boot takes minutes. */
import { constants } from "node:fs";
import { access, readFile } from "node:fs/promises";

export interface Accelerator {
  readonly accel: "kvm" | "tcg";
  /** QEMU's `-cpu`. */
  readonly cpuModel: "host" | "max";
  readonly reason: string;
}

/**
 * `/dev/kvm` alone proves nothing: without the processor's own virtualization (a nested guest), a KVM device may be there
 * that emulates instructions and fails on those of a current kernel.
 */
export const chooseAccelerator = async (): Promise<Accelerator> => {
  const tcg = (reason: string): Accelerator => ({ accel: "tcg", cpuModel: "max", reason: `${reason}; expect minutes` });
  try {
    await access("/dev/kvm", constants.R_OK | constants.W_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return tcg(code === "ENOENT" ? "there is no /dev/kvm" : "/dev/kvm may not be used by this user");
  }
  const flags = /^flags\s*:(.*)$/m.exec(await readFile("/proc/cpuinfo", "utf8"))?.[1]?.split(" ") ?? [];
  if (process.arch === "x64" && !flags.includes("vmx") && !flags.includes("svm")) {
    return tcg("/dev/kvm is there, but the processor offers neither vmx nor svm");
  }
  return { accel: "kvm", cpuModel: "host", reason: "/dev/kvm and the processor's virtualization" };
};
