/**
 * The stand-in base of a trial: Debian trixie bootstrapped from packages and assembled into a bootable disk, without loop
 * devices or mounts. Same contract as an openEuler cloud image: systemd, cloud-init, ssh for root, root by UUID.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { Store } from "../store/store.ts";
import { freeBytes } from "../host/disk-space.ts";
import { withWorkFolder } from "../host/work-folder.ts";
import { writeFileAtomic } from "../host/write-file-atomic.ts";

export interface StandInBase {
  readonly name: string;
  readonly resolved: string;
  readonly sha256: string;
  readonly size: number;
  /** What this call took. */
  readonly seconds: number;
}

/** Part of the recipe: a change makes a new base. */
const suite = "trixie";
const sizeGiB = 6;
const packages = [
  "systemd-sysv",
  "systemd-resolved",
  "udev",
  "kmod",
  "dbus",
  "linux-image-cloud-amd64",
  "cloud-init",
  "cloud-guest-utils",
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
]; // prettier-ignore

/** A small VM needs neither manuals nor translations (licences stay), and no fsync of every file that dpkg unpacks. */
const dpkgOptions = [
  "force-unsafe-io",
  "path-exclude=/usr/share/man/*",
  "path-exclude=/usr/share/locale/*",
  "path-exclude=/usr/share/doc/*",
  "path-include=/usr/share/doc/*/copyright",
];

/** Files of the base besides those of its packages. */
const files: Readonly<Record<string, string>> = {
  // One DHCP lease for whatever the network card is called. Without IPv6 no boot waits for duplicate address detection.
  "etc/systemd/network/20-dhcp.network":
    "[Match]\nName=en* eth*\n\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n",
  // The network belongs to networkd, so no file that names this VM's MAC address ends up in an image. Of host keys only
  // the fast kind: an RSA key takes seconds under TCG.
  "etc/cloud/cloud.cfg.d/95-base.cfg":
    "network: {config: disabled}\ndisable_root: false\nlocale: false\napt: {preserve_sources_list: true}\nssh_genkeytypes: [ed25519]\n",
  "etc/ssh/sshd_config.d/10-base.conf": "PermitRootLogin prohibit-password\nPasswordAuthentication no\nUseDNS no\n",
  "etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
  // Empty, not absent: each copy makes its own at its first boot.
  "etc/machine-id": "",
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
 * What bases of the field bring along and a bake has to deal with: the distribution's own old Docker, a daemon.json of the
 * Ascend runtime, and a package that is missing (it lies in a repository on the base's own disk, so that no bake needs a
 * network for it).
 */
const field = `
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
  apt-get -q download xz-utils
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
const customize = `set -eu
root=$1
${field}
chroot "$root" systemctl enable systemd-networkd.service systemd-resolved.service ssh.service
chroot "$root" systemctl mask ${masked.join(" ")}
rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/hostname "$root"/etc/resolv.conf
ln -s ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
`;

/** Where the partitions start and end, in sectors of 512 bytes. The backup table at the end has a MiB for itself. */
const coreSector = 2048;
const rootSector = 4096;
const endSector = sizeGiB * 2 ** 21 - 2048;

const partitionTable = `label: gpt
start=${coreSector}, size=${rootSector - coreSector}, type=21686148-6449-6E6F-744E-656564454649
start=${rootSector}, size=${endSector - rootSector}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
`;

/**
 * Puts GRUB's boot sector and core image in place, as grub-install would.
 * @param mbr The disk's first sector. @param boot GRUB's boot.img. @param core A core image made by grub-mkimage.
 * @throws BakeError BK306 when the core image does not fit in front of the root partition.
 */
export const patchBootSector = (mbr: Buffer, boot: Buffer, core: Buffer): { mbr: Buffer; core: Buffer } => {
  const room = (rootSector - coreSector) * 512;
  if (core.length > room)
    throw new BakeError("BK306", `GRUB's core image has ${core.length} bytes, its partition ${room}`);
  const sector = Buffer.from(mbr);
  // From byte 440 on, the sector is the disk's: its signature and the protective partition table.
  boot.copy(sector, 0, 0, 440);
  // Where the core image starts, and "boot from the disk that the BIOS names".
  sector.writeBigUInt64LE(BigInt(coreSector), 0x5c);
  sector.fill(0x90, 0x66, 0x68);
  const image = Buffer.from(core);
  // Where the rest of the core image starts: GRUB's own first sector loads it.
  image.writeBigUInt64LE(BigInt(coreSector + 1), 0x1f4);
  return { mbr: sector, core: image };
};

/**
 * GRUB 2.06 cannot read ext4 with metadata_csum_seed or orphan_file, and older mke2fs does not know their names: the
 * features are listed in full.
 */
const ext4Features =
  "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/** All that the boot needs is in the core image, so no modules are read from the disk. */
const grubModules = ["biosdisk", "part_gpt", "ext2", "search_fs_uuid", "normal", "linux", "configfile", "echo", "test"];

/** panic=10: emulation panics a kernel now and then, mostly before anything could set that by sysctl; it starts again. */
const grubConfig = (uuid: string, kernel: string, initrd: string): string => `set timeout=0
linux /boot/${kernel} root=UUID=${uuid} rw console=tty0 console=ttyS0 net.ifnames=0 panic=10
initrd /boot/${initrd}
boot
`;

/** Names a base by everything that decides what is in it, except the state of the package mirror. */
export const recipeDigest = (libraryPackages: readonly string[]): string =>
  createHash("sha256")
    .update(
      JSON.stringify([
        [suite, [...new Set([...packages, ...libraryPackages])].toSorted(), dpkgOptions, files, customize],
        [partitionTable, ext4Features, grubModules, grubConfig("uuid", "kernel", "initrd")],
      ]),
    )
    .digest("hex");

const grubFolder = "/usr/lib/grub/i386-pc";

const bootSector = async (): Promise<Buffer> =>
  readFile(join(grubFolder, "boot.img")).catch(() => {
    throw new BakeError("BK301", `${grubFolder} is not there`, "Install grub-pc-bin.");
  });

/** Bootstraps the root tree into `folder/root`. */
const bootstrap = async (
  host: Host,
  folder: string,
  { include, mirror, update }: { include: readonly string[]; mirror: string; update: (detail: string) => void },
): Promise<void> => {
  const rootTree = join(folder, "root");
  const script = join(folder, "customize.sh");
  await writeFile(script, customize);
  const result = await host.run(
    // In a mount namespace of its own: when it is killed, /proc, /sys and /dev are not left mounted in a folder that somebody removes.
    "unshare",
    [
      ...["--mount", "--propagation", "private", "mmdebstrap"],
      // The lists of the base's own repository stay: a bake installs from it.
      "--skip=cleanup/apt/lists",
      ...["--mode=root", "--variant=minbase", "--architectures=amd64", `--include=${include.join(",")}`],
      ...dpkgOptions.map((option) => `--dpkgopt=${option}`),
      ...[
        `--customize-hook=sh '${script.replaceAll("'", "'\\''")}' "$1"`,
        "--format=directory",
        suite,
        rootTree,
        mirror,
      ],
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
  if (result.exitCode !== 0) {
    throw new BakeError(
      "BK306",
      "the stand-in base could not be bootstrapped",
      `${`${result.stdout}${result.stderr}`.trim().split("\n").slice(-10).join("\n")}\nNothing was kept; run it again when packages can be fetched.`,
    );
  }
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(rootTree, path)), { recursive: true });
    await writeFile(join(rootTree, path), content);
  }
};

/** Assembles the disk from the tree in `folder/root`. @returns the path of a qcow2 file. */
const assembleDisk = async (host: Host, folder: string): Promise<string> => {
  const rootTree = join(folder, "root");
  const raw = join(folder, "disk.raw");
  const uuid = randomUUID();
  const boot = await readdir(join(rootTree, "boot"));
  const kernel = boot.find((name) => name.startsWith("vmlinuz-"));
  const initrd = boot.find((name) => name.startsWith("initrd.img-"));
  if (kernel === undefined || initrd === undefined) throw new BakeError("BK306", "the bootstrapped base has no kernel");
  await mkdir(join(rootTree, "boot/grub"), { recursive: true });
  await writeFile(join(rootTree, "boot/grub/grub.cfg"), grubConfig(uuid, kernel, initrd));
  await writeFile(join(rootTree, "etc/fstab"), `UUID=${uuid} / ext4 errors=remount-ro 0 1\n`);
  await writeFile(raw, "");
  await truncate(raw, sizeGiB * 2 ** 30);
  await host.run("sfdisk", ["--quiet", raw], { input: partitionTable });
  await host.run("mke2fs", [
    ...["-q", "-t", "ext4", "-F", "-O", ext4Features, "-I", "256", "-m", "1", "-U", uuid, "-L", "rootfs"],
    // Made whole here, so that no guest initialises the rest in the background of its first boot.
    ...["-E", `offset=${rootSector * 512},lazy_itable_init=0,lazy_journal_init=0`],
    ...["-d", rootTree, raw, `${(endSector - rootSector) / 2}k`],
  ]);
  const early = join(folder, "early.cfg");
  const coreFile = join(folder, "core.img");
  await writeFile(early, `search.fs_uuid ${uuid} root\nset prefix=($root)/boot/grub\n`);
  await host.run("grub-mkimage", [
    ...["-O", "i386-pc", "-d", grubFolder, "-c", early, "-o", coreFile, "-p", "/boot/grub", ...grubModules],
  ]);
  const disk = await open(raw, "r+");
  try {
    const first = Buffer.alloc(512);
    await disk.read(first, 0, 512, 0);
    const patched = patchBootSector(first, await bootSector(), await readFile(coreFile));
    await disk.write(patched.mbr, 0, 512, 0);
    await disk.write(patched.core, 0, patched.core.length, coreSector * 512);
  } finally {
    await disk.close();
  }
  const image = join(folder, "base.qcow2");
  await host.run("qemu-img", ["convert", "-O", "qcow2", raw, image]);
  return image;
};

const BaseRecord = z.object({ resolved: z.string(), sha256: z.string(), size: z.number() });

/** What an earlier run made by this recipe, when the store still has it. A record that cannot be read counts as none. */
const recorded = async (store: Store, file: string): Promise<z.infer<typeof BaseRecord> | undefined> => {
  try {
    const record = BaseRecord.parse(JSON.parse(await readFile(file, "utf8")));
    return (await store.holds(record)) ? record : undefined;
  } catch {
    return undefined;
  }
};

/** The tree, the raw disk, the qcow2 file and the store's copy of it exist at the same time. */
const neededGiB = 4;

/**
 * The base, from the store when its recipe was followed before: then at once, and without a network.
 * @param mirror Where packages come from; asked only when the base has to be made.
 * @throws BakeError BK211 when it has to be and no network may be touched, BK306 when the bootstrap fails, BK307 without room for
 * it, BK301 without one of its tools.
 */
export const standInBase = async (
  host: Host,
  store: Store,
  {
    libraryPackages,
    mirror,
    offline,
  }: { libraryPackages: readonly string[]; mirror: () => Promise<string>; offline: boolean },
): Promise<StandInBase> => {
  const started = host.now();
  const name = `debian-${suite}-stand-in`;
  const seconds = (): number => (host.now() - started) / 1000;
  const recipe = recipeDigest(libraryPackages);
  const record = join(host.cacheDir, "base", `${recipe}.json`);
  const known = await recorded(store, record);
  if (known !== undefined) return { name, ...known, seconds: seconds() };
  if (offline) {
    throw new BakeError(
      "BK211",
      "a trial's base was not made yet, and --offline makes none",
      "Run it once with a network: bake fetch --trial.",
    );
  }

  if (process.getuid?.() !== 0) {
    throw new BakeError(
      "BK306",
      "only root can bootstrap the stand-in base",
      `Run this line:\nsudo --preserve-env=HOME,PATH,XDG_CACHE_HOME ./bin/bake ${process.argv.slice(2).join(" ")}`,
    );
  }
  await mkdir(dirname(record), { recursive: true });
  const free = await freeBytes(host.cacheDir);
  if (free < neededGiB * 2 ** 30) {
    throw new BakeError(
      "BK307",
      `${host.cacheDir} has ${(free / 2 ** 30).toFixed(1)} GiB free, the stand-in base needs ${neededGiB} GiB`,
      "Free some space, or point XDG_CACHE_HOME to a larger disk.",
    );
  }
  await bootSector();
  const from = await mirror();
  return withWorkFolder(host, "base", async (folder) => {
    await host.progress.step("base-bootstrap", `bootstrap the stand-in base (Debian ${suite})`, (update) =>
      bootstrap(host, folder, { include: [...new Set([...packages, ...libraryPackages])], mirror: from, update }),
    );
    const stored = await host.progress.step("base-disk", "assemble the base's disk", async () =>
      store.add(await assembleDisk(host, folder)),
    );
    const made = { resolved: `mmdebstrap of Debian ${suite}, recipe sha256:${recipe}`, ...stored };
    await writeFileAtomic(record, `${JSON.stringify(made, null, 2)}\n`);
    return { name, ...made, seconds: seconds() };
  });
};
