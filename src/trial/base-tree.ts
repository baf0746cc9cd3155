/** The root tree of the stand-in base: Debian, bootstrapped from packages. */
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Architecture, goArchitecture } from "../artifact.ts";
import { makeFolder } from "../host/make-folder.ts";
import { BakeError } from "../errors.ts";
import { shellWord } from "../formats/shell.ts";
import type { Host } from "../host/host.ts";
import { saidBy } from "../host/program-output.ts";
import { suite } from "./debian.ts";
import { noRegistration, runningForeign } from "./foreign.ts";

/** A base as openEuler's images are: nothing takes a key, and root logs in by a password. Tests bake from such a one. */
export interface WithoutCloudInit {
  readonly rootPassword: string;
}

const cloudInit = ["cloud-init", "cloud-guest-utils"];

/** Part of the recipe: a change makes a new base. */
const packages = (architecture: Architecture): readonly string[] => [
  "systemd-sysv",
  "systemd-resolved",
  "udev",
  "kmod",
  "dbus",
  `linux-image-cloud-${goArchitecture[architecture]}`,
  ...cloudInit,
  "openssh-server",
  "iptables",
  "iproute2",
  "netbase",
  "ca-certificates",
  "curl",
  "git",
  "openssh-client",
  "zstd",
  "e2fsprogs",
  "xfsprogs",
  "fdisk",
  "procps",
  "python3",
  "less",
  // The boot loader lies with the base: no host of another architecture has it as a package.
  ...(architecture === "aarch64" ? ["grub-efi-arm64-bin"] : []),
];

/**
 * A small VM needs neither manuals nor translations; licences stay.
 * It needs no fsync of every file that dpkg unpacks either.
 */
const dpkgOptions = [
  "force-unsafe-io",
  "path-exclude=/usr/share/man/*",
  "path-exclude=/usr/share/locale/*",
  "path-exclude=/usr/share/doc/*",
  "path-include=/usr/share/doc/*/copyright",
];

/** Files of the base besides those of its packages. */
const defaultFiles: Readonly<Record<string, string>> = {
  // One DHCP lease for whatever the network card is called. Without IPv6 no boot waits for duplicate address detection.
  "etc/systemd/network/20-dhcp.network":
    "[Match]\nName=en* eth*\n\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n",
  // The network belongs to networkd, so no file that names this VM's MAC address ends up in an image.
  // Of host keys only the fast kind: an RSA key takes seconds under TCG.
  "etc/cloud/cloud.cfg.d/95-base.cfg":
    "network: {config: disabled}\ndisable_root: false\nlocale: false\napt: {preserve_sources_list: true}\nssh_genkeytypes: [ed25519]\n",
  "etc/ssh/sshd_config.d/10-base.conf": "PermitRootLogin prohibit-password\nPasswordAuthentication no\nUseDNS no\n",
  "etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
  // Empty, not absent: each copy makes its own at its first boot.
  "etc/machine-id": "",
};

const filesOf = (without: WithoutCloudInit | undefined): Readonly<Record<string, string>> => {
  if (without === undefined) return defaultFiles;
  const { "etc/cloud/cloud.cfg.d/95-base.cfg": _of, ...others } = defaultFiles;
  return {
    ...others,
    "etc/ssh/sshd_config.d/10-base.conf": "PermitRootLogin yes\nPasswordAuthentication yes\nUseDNS no\n",
  };
};

/** Housekeeping that only delays the boot of a short-lived VM. */
const masked = [
  "apt-daily.timer",
  "apt-daily-upgrade.timer",
  "dpkg-db-backup.timer",
  "e2scrub_all.timer",
  "e2scrub_reap.service",
  "fstrim.timer",
];

/**
 * What bases of the field bring along, and a bake has to deal with.
 * That is the distribution's own old Docker, a daemon.json of the Ascend runtime, and a package that is missing.
 * The package lies in a repository on the base's own disk, so that no bake needs a network for it.
 */
const field = (download: string): string => `
ascend=/usr/local/Ascend/Ascend-Docker-Runtime
mkdir -p "$root/etc/docker" "$root$ascend"
printf '#!/bin/sh\\n# Stands in for the Ascend runtime: passes everything on.\\nexec runc "$@"\\n' >"$root$ascend/ascend-docker-runtime"
chmod 0755 "$root$ascend/ascend-docker-runtime"
printf '{"default-runtime": "ascend", "runtimes": {"ascend": {"path": "%s", "runtimeArgs": []}}}\\n' \\
  "$ascend/ascend-docker-runtime" >"$root/etc/docker/daemon.json"

old=$(mktemp -d)
mkdir -p "$old/DEBIAN" "$old/usr/bin" "$old/usr/lib/systemd/system"
printf 'Package: docker-engine\\nVersion: 18.09.0\\nArchitecture: all\\nMaintainer: bake <bake@example.invalid>\\nDescription: stands in for the old Docker of a distribution\\n' >"$old/DEBIAN/control"
printf '#!/bin/sh\\necho Docker version 18.09.0\\n' >"$old/usr/bin/dockerd"
chmod 0755 "$old" "$old/usr/bin/dockerd"
printf '[Service]\\nExecStart=/usr/bin/dockerd\\n' >"$old/usr/lib/systemd/system/docker.service"
dpkg-deb --root-owner-group --build "$old" "$root/tmp/docker-engine.deb" >/dev/null
chroot "$root" dpkg --install /tmp/docker-engine.deb
rm -rf "$old" "$root/tmp/docker-engine.deb"

repository=/var/lib/stand-in/packages
mkdir -p "$root$repository"
chroot "$root" sh -euc '
  cd "$1"
  ${download}
  for deb in *.deb; do
    dpkg-deb --field "$deb"
    echo "Filename: ./$deb"
    echo "Size: $(stat -c %s "$deb")"
    echo "SHA256: $(sha256sum "$deb" | cut -d " " -f 1)"
    echo
  done >Packages
  echo "deb [trusted=yes] file:$1 ./" >/etc/apt/sources.list.d/stand-in.list
  rm -rf /var/lib/apt/lists/*
  apt-get -q update -o Dir::Etc::SourceList=/etc/apt/sources.list.d/stand-in.list -o Dir::Etc::SourceParts=-
' sh "$repository"
`;

/** Runs when the packages are installed; `$1` is the new root. */
const customizeScript = (without: WithoutCloudInit | undefined): string => `set -eu
root=$1
${field(
  without === undefined
    ? "apt-get -q download xz-utils"
    : // With what it needs: a bake installs it from there.
      `mkdir partial && apt-get -q --yes --no-install-recommends --download-only -o Dir::Cache::Archives="$1" install xz-utils gdisk ${cloudInit.join(" ")} && rm -rf partial lock`,
)}
chroot "$root" systemctl enable systemd-networkd.service systemd-resolved.service ssh.service
chroot "$root" systemctl mask ${masked.join(" ")}
rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/hostname "$root"/etc/resolv.conf
ln -s ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
${
  without === undefined
    ? ""
    : `chroot "$root" ssh-keygen -A\nprintf '%s\\n' ${shellWord(`root:${without.rootPassword}`)} | chroot "$root" chpasswd\n`
}`;

/** Packages of the base, each once. Pure. @param libraryPackages Besides the base's own. */
export const packagesOf = (
  libraryPackages: readonly string[],
  architecture: Architecture,
  without?: WithoutCloudInit,
): string[] =>
  [...new Set([...packages(architecture), ...libraryPackages])].filter(
    (name) => without === undefined || !cloudInit.includes(name),
  );

/** Everything that decides what is in the tree, except the state of the package mirror. Pure. */
export const treeRecipe = (
  libraryPackages: readonly string[],
  architecture: Architecture,
  without?: WithoutCloudInit,
): readonly unknown[] => [
  suite,
  packagesOf(libraryPackages, architecture, without).toSorted(),
  dpkgOptions,
  filesOf(without),
  customizeScript(without),
];

/**
 * The hook that mmdebstrap runs by a shell when the packages are installed. Pure.
 * @param script Path of a script that gets the new root as its argument.
 */
export const customizeHook = (script: string): string => `sh ${shellWord(script)} "$1"`;

/**
 * Bootstraps a root tree of Debian. Needs root and a package mirror, and for another architecture binfmt_misc.
 * @param folder Where the tree is made.
 * @param include Packages by name, as `packagesOf` lists them.
 * @returns the tree's folder.
 * @throws BakeError BK306 when it fails.
 */
export const bootstrap = async (
  host: Host,
  folder: string,
  {
    architecture,
    include,
    mirror,
    without,
    update,
  }: {
    readonly architecture: Architecture;
    readonly include: readonly string[];
    readonly mirror: string;
    readonly without?: WithoutCloudInit | undefined;
    readonly update: (detail: string) => void;
  },
): Promise<string> => {
  const rootTree = join(folder, "root");
  const script = join(folder, "customize.sh");
  await writeFile(script, customizeScript(without));
  const foreign = await runningForeign(host, architecture, folder);
  const result = await host.run(
    // In a mount namespace of its own. When it is killed, no /proc, /sys or /dev is left mounted in a folder that is removed.
    "unshare",
    [
      ...["--mount", "--propagation", "private", ...foreign, "mmdebstrap"],
      // The lists of the base's own repository stay: a bake installs from it.
      "--skip=cleanup/apt/lists",
      // It would ask for a registration of the system's own.
      ...(foreign.length === 0 ? [] : ["--skip=check/qemu"]),
      ...["--mode=root", "--variant=minbase", `--architectures=${goArchitecture[architecture]}`],
      `--include=${include.join(",")}`,
      ...dpkgOptions.map((option) => `--dpkgopt=${option}`),
      ...[`--customize-hook=${customizeHook(script)}`, "--format=directory", suite, rootTree, mirror],
    ],
    {
      allowFailure: true,
      // Time to take its mounts down.
      killAfter: 60_000,
      onLine: (line) => {
        const step = /^I: (\w+ing\b.*?)(\.\.\.)?$/.exec(line)?.[1];
        if (step !== undefined) update(step);
      },
    },
  );
  if (foreign.length > 0 && result.exitCode === noRegistration) {
    throw new BakeError(
      "BK306",
      `this host cannot run programs for ${architecture}, which the stand-in base is bootstrapped by`,
      `${await saidBy(host, ["mmdebstrap", suite, mirror], result)}\nIts kernel has to take registrations in binfmt_misc, as root outside of a container. A host for ${architecture} needs none.`,
    );
  }
  if (result.exitCode !== 0) {
    throw new BakeError(
      "BK306",
      "the stand-in base could not be bootstrapped",
      `${await saidBy(host, ["mmdebstrap", suite, mirror], result)}\nNothing was kept; run it again when packages can be fetched.`,
    );
  }
  for (const [path, content] of Object.entries(filesOf(without))) {
    await makeFolder(dirname(join(rootTree, path)));
    await writeFile(join(rootTree, path), content);
  }
  return rootTree;
};
