/** Packages that a local bake needs on a Debian-like host. None of them starts a service. */
import { join } from "node:path";
import type { Architecture } from "../artifact.ts";
import { BakeError, listed } from "../errors.ts";
import { exists } from "../host/exists.ts";
import type { Host } from "../host/host.ts";
import { localMachines } from "../targets/local-machine.ts";

interface Need {
  readonly package: string;
  /** A command on PATH, or an absolute path. */
  readonly provides: string;
  /** Where other distributions have it. */
  readonly or?: readonly string[];
  readonly why: string;
}

const qemuNeed = (name: string, architecture: Architecture): Need => ({
  package: name,
  provides: localMachines[architecture].qemu,
  why: "runs the build VM and the booted image",
});

/** What a VM of an architecture needs. */
const machineNeeds: Readonly<Record<Architecture, readonly Need[]>> = {
  x86_64: [qemuNeed("qemu-system-x86", "x86_64")],
  aarch64: [
    qemuNeed("qemu-system-arm", "aarch64"),
    {
      package: "qemu-efi-aarch64",
      provides: localMachines.aarch64.firmware[0] ?? "",
      or: localMachines.aarch64.firmware.slice(1),
      why: "is the firmware of these VMs",
    },
  ],
};

/** What a bake runs that no release brings along, whatever the architecture. */
const commonNeeds: readonly Need[] = [
  { package: "xorriso", provides: "xorriso", why: "makes the NoCloud seed" },
  { package: "openssh-client", provides: "ssh", why: "reaches the VMs" },
  { package: "unzip", provides: "unzip", why: "unpacks Packer's release" },
];

/** What makes the boot loader of a trial's base. */
const bootLoaderNeeds: Readonly<Record<Architecture, readonly Need[]>> = {
  x86_64: [
    { package: "grub-common", provides: "grub-mkimage", why: "makes the base's boot loader" },
    { package: "grub-pc-bin", provides: "/usr/lib/grub/i386-pc/boot.img", why: "makes the base's boot loader" },
  ],
  aarch64: [{ package: "mtools", provides: "mformat", why: "makes the base's EFI system partition" }],
};

/** What makes the rest of a trial's base, and its artifacts. */
const standInNeeds: readonly Need[] = [
  { package: "qemu-utils", provides: "qemu-img", why: "makes and flattens disk images" },
  { package: "mmdebstrap", provides: "mmdebstrap", why: "bootstraps the stand-in base" },
  { package: "e2fsprogs", provides: "mke2fs", why: "makes the base's file system" },
  { package: "fdisk", provides: "sfdisk", why: "partitions the base's disk" },
  { package: "dpkg", provides: "dpkg-deb", why: "unpacks the packages of a trial" },
  {
    package: "debian-archive-keyring",
    provides: "/usr/share/keyrings/debian-archive-keyring.gpg",
    why: "checks the packages of a trial",
  },
];

/** What runs the scripts of the base's packages where they are for other processors than the host's. */
const foreignNeeds = (architecture: Architecture, host: string): readonly Need[] => {
  const { kvmHost, userEmulator } = localMachines[architecture];
  return host === kvmHost
    ? []
    : [{ package: "qemu-user-static", provides: userEmulator, why: "bootstraps a base for other processors" }];
};

/** What makes the artifacts and the base of a trial for nodes of an architecture, on this host. Pure. */
export const trialNeeds = (architecture: Architecture, host: Pick<Host, "architecture">): readonly Need[] => [
  ...bootLoaderNeeds[architecture],
  ...foreignNeeds(architecture, host.architecture),
  ...standInNeeds,
];

/** What a bake for nodes of an architecture runs on this host that no release brings along. Pure. */
export const bakeNeeds = (architecture: Architecture, host: Pick<Host, "architecture">): readonly Need[] => [
  ...machineNeeds[architecture],
  ...trialNeeds(architecture, host),
  ...commonNeeds,
];

/** Where Debian has it. */
export const chromiumPath = "/usr/bin/chromium";

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
  { package: "mawk", provides: "mawk", why: "one awk that bases have: runs the node's scripts" },
  { package: "gawk", provides: "gawk", why: "the other one" },
  { package: "iproute2", provides: "ip", why: "brings up loopback in a network of its own" },
  { package: "python3-pip", provides: "pip3", why: "installs the clients of model hubs" },
  { package: "skopeo", provides: "skopeo", why: "pushes images to a registry" },
  { package: "openssl", provides: "openssl", why: "makes that registry's certificate" },
  {
    package: "rpm",
    provides: "rpmbuild",
    why: "makes packages as EulerOS and openEuler have them, and their database",
  },
  { package: "createrepo-c", provides: "createrepo_c", why: "makes a repository of them" },
  { package: "dnf", provides: "dnf", why: "the package manager of those systems" },
  { package: "zstd", provides: "zstd", why: "compresses layers as some registries have them" },
  { package: "chromium", provides: chromiumPath, why: "the browser that reports are looked at in" },
  { package: "fonts-dejavu-core", provides: "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", why: "its letters" },
];

const isThere = async ({ provides, or = [] }: Pick<Need, "provides" | "or">, host: Host): Promise<boolean> => {
  const places = provides.startsWith("/")
    ? [provides, ...or]
    : [...(host.env["PATH"] ?? "").split(":"), "/usr/sbin", "/sbin"].map((folder) => join(folder, provides));
  for (const place of places) if (await exists(place)) return true;
  return false;
};

/** Those of `needs` that this host does not have, by looking for the file that each provides. */
export const missingPackages = async (host: Host, needs: readonly Need[]): Promise<Need[]> => {
  const there = await Promise.all(needs.map((need) => isThere(need, host)));
  return needs.filter((_, index) => there[index] !== true);
};

/** The upstream version of the package that apt would install, without epoch and revision; undefined without apt. */
export const aptCandidate = async (host: Host, name: string): Promise<string | undefined> => {
  if (!(await isThere({ provides: "apt-cache" }, host))) return undefined;
  const { stdout } = await host.run("apt-cache", ["policy", name], { allowFailure: true, env: { LC_ALL: "C" } });
  return /^\s*Candidate:\s*(?:\d+:)?(\d[\d.]*)/m.exec(stdout)?.[1];
};

/**
 * Installs packages with apt-get, as root or through a sudo that asks nothing, saying which and why.
 * @throws BakeError BK304 when that needs a right or a package manager that is not there, BK302 when apt fails.
 */
export const aptInstall = async (host: Host, needs: readonly Need[]): Promise<void> => {
  const names = [...new Set(needs.map((need) => need.package))];
  if (!(await isThere({ provides: "apt-get" }, host))) {
    throw new BakeError(
      "BK304",
      `missing on this host: ${needs.map(({ provides }) => provides).join(", ")}`,
      "bake installs packages on Debian-like hosts only; install these by hand.",
    );
  }
  const line = `apt-get install --yes --no-install-recommends ${names.join(" ")}`;
  const isRoot = process.getuid?.() === 0;
  const sudo = isRoot
    ? false
    : await host.run("sudo", ["-n", "true"], { allowFailure: true }).then(
        ({ exitCode }) => exitCode === 0,
        () => {
          host.signal.throwIfAborted();
          return false;
        },
      );
  if (!isRoot && !sudo) {
    throw new BakeError(
      "BK304",
      `these packages are missing: ${names.join(", ")}`,
      `Run this line, then bake again:\nsudo sh -c 'apt-get update && ${line}'`,
    );
  }
  for (const { package: name, why } of needs) host.progress.note(`  package ${name}: ${why}`);
  await host.progress.step("packages", `install ${names.length} packages with apt-get`, async () => {
    const apt = async (...args: string[]): Promise<void> => {
      // sudo drops the environment: the variable goes on its command line.
      const command = isRoot ? ["apt-get"] : ["sudo", "-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
      await host.run(command[0] ?? "", [...command.slice(1), ...args], { env: { DEBIAN_FRONTEND: "noninteractive" } });
    };
    await apt("-q", "update");
    await apt("-q", "install", "--yes", "--no-install-recommends", ...names);
  });
};

/** What `--offline` says of a host that lacks something. */
export const onceWithNetwork = "Where there is a network, run the same command once without --offline.";

/**
 * Installs those of `needs` that are missing.
 * @throws BakeError BK211 naming them when no network may be touched; else as `aptInstall`.
 */
export const installPackages = async (
  host: Host,
  needs: readonly Need[],
  { offline = false }: { readonly offline?: boolean } = {},
): Promise<void> => {
  const missing = await missingPackages(host, needs);
  if (missing.length === 0) return;
  if (offline) {
    throw new BakeError(
      "BK211",
      `${missing.length} of ${needs.length} packages are not installed, and --offline installs none:\n${listed(
        missing.map(({ package: name, provides, why }) => `${name} (${provides}): ${why}`),
        missing.length,
      )}`,
      onceWithNetwork,
    );
  }
  await aptInstall(host, missing);
};
