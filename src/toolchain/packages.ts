/** Packages that a local bake needs on a Debian-like host. None of them starts a service. */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import type { Host } from "../host.ts";

interface Need {
  readonly package: string;
  /** A command on PATH, or an absolute path. */
  readonly provides: string;
  readonly why: string;
}

export const bakeNeeds: readonly Need[] = [
  { package: "qemu-system-x86", provides: "qemu-system-x86_64", why: "runs the build VM and the booted image" },
  { package: "qemu-utils", provides: "qemu-img", why: "makes and flattens disk images" },
  { package: "xorriso", provides: "xorriso", why: "makes the NoCloud seed" },
  { package: "openssh-client", provides: "ssh", why: "reaches the VMs" },
  { package: "mmdebstrap", provides: "mmdebstrap", why: "bootstraps the stand-in base" },
  { package: "e2fsprogs", provides: "mke2fs", why: "makes the base's file system" },
  { package: "fdisk", provides: "sfdisk", why: "partitions the base's disk" },
  { package: "grub-common", provides: "grub-mkimage", why: "makes the base's boot loader" },
  { package: "grub-pc-bin", provides: "/usr/lib/grub/i386-pc/boot.img", why: "makes the base's boot loader" },
  { package: "unzip", provides: "unzip", why: "unpacks Packer's release" },
];

/** What the tests run besides a bake. */
export const testNeeds: readonly Need[] = [
  { package: "shellcheck", provides: "shellcheck", why: "checks the node's scripts" },
  { package: "systemd", provides: "systemd-analyze", why: "verifies the node's units" },
  {
    package: "python3-yaml",
    provides: "/usr/lib/python3/dist-packages/yaml/__init__.py",
    why: "reads YAML as cloud-init does",
  },
  { package: "git", provides: "git", why: "reads the node's git configuration" },
];

const isThere = async (provides: string, host: Host): Promise<boolean> => {
  const places = provides.startsWith("/")
    ? [provides]
    : [...(host.env["PATH"] ?? "").split(":"), "/usr/sbin", "/sbin"].map((folder) => join(folder, provides));
  for (const place of places) {
    if (
      await access(place).then(
        () => true,
        () => false,
      )
    )
      return true;
  }
  return false;
};

/**
 * Installs what is missing, saying what and why.
 * @throws BakeError BK304 when that needs a right or a package manager that is not there, BK302 when apt fails.
 */
export const installPackages = async (host: Host, needs: readonly Need[]): Promise<void> => {
  const missing: Need[] = [];
  for (const need of needs) if (!(await isThere(need.provides, host))) missing.push(need);
  if (missing.length === 0) return;
  const names = [...new Set(missing.map((need) => need.package))];
  if (!(await isThere("apt-get", host))) {
    throw new BakeError(
      "BK304",
      `missing on this host: ${missing.map(({ provides }) => provides).join(", ")}`,
      "bake installs packages on Debian-like hosts only; install these by hand.",
    );
  }
  const line = `apt-get install --yes --no-install-recommends ${names.join(" ")}`;
  const isRoot = process.getuid?.() === 0;
  const sudo = isRoot
    ? false
    : await host.run("sudo", ["-n", "true"], { allowFailure: true }).then(
        ({ exitCode }) => exitCode === 0,
        () => false,
      );
  if (!isRoot && !sudo) {
    throw new BakeError(
      "BK304",
      `these packages are missing: ${names.join(", ")}`,
      `Run this line, then bake again:\nsudo sh -c 'apt-get update && ${line}'`,
    );
  }
  for (const { package: name, why } of missing) host.progress.note(`  package ${name}: ${why}`);
  await host.progress.step("packages", `install ${names.length} packages with apt-get`, async () => {
    const apt = async (...args: string[]): Promise<void> => {
      const command = isRoot
        ? ["apt-get", ...args]
        : ["sudo", "-n", "DEBIAN_FRONTEND=noninteractive", "apt-get", ...args];
      await host.run(command[0] ?? "", command.slice(1), { env: { DEBIAN_FRONTEND: "noninteractive" } });
    };
    await apt("-q", "update");
    await apt("-q", "install", "--yes", "--no-install-recommends", ...names);
  });
};
