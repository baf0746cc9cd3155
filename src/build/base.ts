/**
 * The stand-in base of a trial: Debian trixie bootstrapped from packages and assembled into a bootable disk, without loop
 * devices or mounts. Same contract as an openEuler cloud image: systemd, cloud-init, ssh for root, root by UUID.
 */
import { createHash, randomUUID } from "node:crypto";
import { copyFile, mkdir, open, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import type { Host } from "../host.ts";
import type { Store } from "../store/store.ts";

export interface StandInBase {
  readonly name: string;
  readonly resolved: string;
  readonly sha256: string;
  readonly size: number;
}

/** Part of the recipe: a change makes a new base. */
const suite = "trixie";
const sizeGiB = 6;
const packages = [
  "systemd-sysv", "systemd-resolved", "udev", "kmod", "dbus", "linux-image-cloud-amd64", "cloud-init", "cloud-guest-utils",
  "openssh-server", "iptables", "iproute2", "netbase", "ca-certificates", "curl", "git", "xz-utils", "zstd", "e2fsprogs",
  "xfsprogs", "fdisk", "procps", "python3", "less",
]; // prettier-ignore

/** Runs in the new root before the disk is made. */
const customize = `set -eu
root=$1
mkdir -p "$root/etc/systemd/network" "$root/etc/cloud/cloud.cfg.d"
printf '[Match]\\nName=en* eth*\\n[Network]\\nDHCP=ipv4\\n' >"$root/etc/systemd/network/20-dhcp.network"
printf 'network: {config: disabled}\\n' >"$root/etc/cloud/cloud.cfg.d/10-network.cfg"
printf 'PermitRootLogin prohibit-password\\nUseDNS no\\n' >"$root/etc/ssh/sshd_config.d/10-root.conf"
chroot "$root" systemctl enable systemd-networkd.service systemd-resolved.service ssh.service serial-getty@ttyS0.service
chroot "$root" systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \\
  e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service.d || true
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
rm -rf "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/hostname
: >"$root/etc/machine-id"
`;

const recipeDigest = (libraryPackages: readonly string[]): string =>
  createHash("sha256")
    .update(JSON.stringify({ version: 1, suite, sizeGiB, packages, libraryPackages: libraryPackages.toSorted(), customize }))
    .digest("hex");

/** Where the partitions start, in sectors of 512 bytes. */
const coreSector = 2048;
const rootSector = 4096;

/**
 * Puts GRUB's boot sector and core image in place, as grub-install would.
 * @param mbr The disk's first sector. @param boot GRUB's boot.img. @param core A core image made by grub-mkimage.
 */
export const patchBootSector = (mbr: Buffer, boot: Buffer, core: Buffer): { mbr: Buffer; core: Buffer } => {
  const sector = Buffer.from(mbr);
  boot.copy(sector, 0, 0, 440);
  // Where the core image starts, and "boot from the disk that the BIOS names".
  sector.writeBigUInt64LE(BigInt(coreSector), 0x5c);
  sector.fill(0x90, 0x66, 0x68);
  const image = Buffer.from(core);
  // Where the rest of the core image starts: GRUB's own first sector loads it.
  image.writeBigUInt64LE(BigInt(coreSector + 1), 0x1f4);
  return { mbr: sector, core: image };
};

const partitionTable = `label: gpt
start=${coreSector}, size=${rootSector - coreSector}, type=21686148-6449-6E6F-744E-656564454649
start=${rootSector}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
`;

const grubConfig = (uuid: string, kernel: string, initrd: string): string => `set timeout=0
linux /boot/${kernel} root=UUID=${uuid} rw console=tty0 console=ttyS0 net.ifnames=0
initrd /boot/${initrd}
boot
`;

/** Assembles the disk from a root tree. */
const assembleDisk = async (host: Host, folder: string): Promise<string> => {
  const rootTree = join(folder, "root");
  const raw = join(folder, "disk.raw");
  const uuid = randomUUID();
  const boot = await readdir(join(rootTree, "boot"));
  const kernel = boot.find((name) => name.startsWith("vmlinuz-"));
  const initrd = boot.find((name) => name.startsWith("initrd.img-"));
  if (kernel === undefined || initrd === undefined) throw new BakeError("BK306", "the bootstrapped base has no kernel");
  const modules = "/usr/lib/grub/i386-pc";
  await mkdir(join(rootTree, "boot/grub/i386-pc"), { recursive: true });
  await writeFile(join(rootTree, "boot/grub/grub.cfg"), grubConfig(uuid, kernel, initrd));
  await writeFile(join(rootTree, "etc/fstab"), `UUID=${uuid} / ext4 errors=remount-ro 0 1\n`);
  for (const name of await readdir(modules)) {
    if (/\.(mod|lst)$/.test(name)) await copyFile(join(modules, name), join(rootTree, "boot/grub/i386-pc", name));
  }
  await writeFile(raw, "");
  await truncate(raw, sizeGiB * 2 ** 30);
  await host.run("sfdisk", ["--quiet", raw], { input: partitionTable });
  // Up to the backup table at the end, in whole MiB.
  const kib = (sizeGiB * 2 ** 20 - (rootSector * 512) / 1024) - 1024;
  // GRUB 2.06 cannot read ext4 with metadata_csum_seed or orphan_file.
  await host.run("mke2fs", [
    ...["-q", "-t", "ext4", "-F", "-O", "^metadata_csum_seed,^orphan_file", "-U", uuid, "-L", "rootfs"],
    ...["-E", `offset=${rootSector * 512}`, "-d", rootTree, raw, `${kib}k`],
  ]);
  const early = join(folder, "early.cfg");
  const coreFile = join(folder, "core.img");
  await writeFile(early, `search --fs-uuid --set=root ${uuid}\nset prefix=($root)/boot/grub\n`);
  await host.run("grub-mkimage", [
    ...["-O", "i386-pc", "-c", early, "-o", coreFile, "-p", "/boot/grub"],
    ...["biosdisk", "part_gpt", "ext2", "search", "search_fs_uuid", "normal", "linux", "configfile"],
  ]);
  const disk = await open(raw, "r+");
  try {
    const first = Buffer.alloc(512);
    await disk.read(first, 0, 512, 0);
    const patched = patchBootSector(first, await readFile(join(modules, "boot.img")), await readFile(coreFile));
    await disk.write(patched.mbr, 0, 512, 0);
    await disk.write(patched.core, 0, patched.core.length, coreSector * 512);
  } finally {
    await disk.close();
  }
  const image = join(folder, "base.qcow2");
  await host.run("qemu-img", ["convert", "-O", "qcow2", raw, image]);
  return image;
};

/**
 * The base, from the store when its recipe was followed before.
 * @param mirror Where packages come from; mmdebstrap's own default when undefined.
 * @throws BakeError BK306 when the bootstrap fails.
 */
export const standInBase = async (
  host: Host,
  store: Store,
  { libraryPackages, mirror }: { libraryPackages: readonly string[]; mirror: string | undefined },
): Promise<StandInBase> => {
  const recipe = recipeDigest(libraryPackages);
  const record = join(host.cacheDir, "base", `${recipe}.json`);
  const known = await readFile(record, "utf8").then(
    (text) => JSON.parse(text) as StandInBase,
    () => undefined,
  );
  if (known !== undefined && (await store.has(known.sha256))) return known;
  // mmdebstrap leaves files of other owners behind when it is cut off, so the folder is made, and removed, here.
  const folder = join(host.cacheDir, "base", `work-${process.pid}`);
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(join(folder, "root"), { recursive: true });
    await host.progress.step("base-bootstrap", `bootstrap the stand-in base (Debian ${suite})`, async () => {
      const script = join(folder, "customize.sh");
      await writeFile(script, customize);
      const result = await host.run(
        "mmdebstrap",
        [
          ...["--variant=minbase", `--include=${[...packages, ...libraryPackages].join(",")}`],
          ...[`--customize-hook=sh ${script} "$1"`, "--format=directory", suite, join(folder, "root")],
          ...(mirror === undefined ? [] : [mirror]),
        ],
        { allowFailure: true, killAfter: 20_000 },
      );
      if (result.exitCode !== 0) {
        throw new BakeError(
          "BK306",
          "the stand-in base could not be bootstrapped",
          `${result.stderr.trim().split("\n").slice(-10).join("\n")}\nNothing was kept; run it again when packages can be fetched.`,
        );
      }
    });
    const base = await host.progress.step("base-disk", "assemble the base's disk", async () =>
      store.add(await assembleDisk(host, folder)),
    );
    const made: StandInBase = { name: `debian-${suite}-stand-in`, resolved: `trial:recipe ${recipe}`, ...base };
    await writeFile(`${record}.new`, JSON.stringify(made));
    await rename(`${record}.new`, record);
    return made;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
