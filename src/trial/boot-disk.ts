/** The disk of the stand-in base: partitions, a file system, and GRUB, put together by tools that need no root. */
import { randomUUID } from "node:crypto";
import { open, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Architecture } from "../artifact.ts";
import { makeFolder } from "../host/make-folder.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { localMachines } from "../targets/local-machine.ts";
import { efiPartition, efiRecipe, efiSectors } from "./efi-partition.ts";
import { gib } from "../formats/bytes.ts";

/** Of the whole disk. */
const sizeGiB = 6;

/** Where the partitions start and end, in sectors of 512 bytes. The backup table at the end has a MiB for itself. */
const coreSector = 2048;
const rootSector = 4096;
const endSector = sizeGiB * 2 ** 21 - 2048;

/** The first partition is what the firmware starts: GRUB's core image for a BIOS, a file system for UEFI. */
const firstPartition: Readonly<Record<Architecture, { readonly type: string; readonly end: number }>> = {
  x86_64: { type: "21686148-6449-6E6F-744E-656564454649", end: rootSector },
  aarch64: { type: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", end: coreSector + efiSectors },
};

const partitionTable = (architecture: Architecture): string => {
  const { type, end } = firstPartition[architecture];
  return `label: gpt
start=${coreSector}, size=${end - coreSector}, type=${type}
start=${end}, size=${endSector - end}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
`;
};

/**
 * Puts GRUB's boot sector and core image in place, as grub-install would. Pure: returns copies.
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
 * GRUB 2.06 cannot read ext4 with metadata_csum_seed or orphan_file, and older mke2fs does not know their names.
 * So the features are listed in full.
 */
const ext4Features =
  "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/** All that the boot needs is in the core image, so no modules are read from the disk. */
const grubModules = ["biosdisk", "part_gpt", "ext2", "search_fs_uuid", "normal", "linux", "configfile", "echo", "test"];

/**
 * panic=10: a kernel that panics starts again.
 * Emulation panics one now and then, mostly before anything could set that by sysctl.
 */
const grubConfig = (architecture: Architecture, uuid: string, kernel: string, initrd: string): string => `set timeout=0
linux /boot/${kernel} root=UUID=${uuid} rw console=tty0 console=${localMachines[architecture].console} net.ifnames=0 panic=10
initrd /boot/${initrd}
boot
`;

/** Everything that decides how the disk is laid out and started. */
export const diskRecipe = (architecture: Architecture): readonly unknown[] => [
  partitionTable(architecture),
  ext4Features,
  architecture === "x86_64" ? grubModules : efiRecipe,
  grubConfig(architecture, "uuid", "kernel", "initrd"),
];

const grubFolder = "/usr/lib/grub/i386-pc";

/** GRUB's boot.img. @throws BakeError BK301 when it is not installed. */
const bootSector = async (): Promise<Buffer> =>
  readFile(join(grubFolder, "boot.img")).catch(() => {
    throw new BakeError("BK301", `${grubFolder} is not there`, "Install grub-pc-bin.");
  });

/** Before minutes are spent: what is taken from this host. Another boot loader lies in the tree. @throws BakeError BK301 */
export const requireBootLoader = async (architecture: Architecture): Promise<void> => {
  if (architecture === "x86_64") await bootSector();
};

/** GRUB for a BIOS: a core image in its partition, and the boot sector that starts it. */
const putCore = async (host: Host, folder: string, raw: string, uuid: string): Promise<void> => {
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
};

/** GRUB for UEFI: a file system of its own, found by the name that firmware looks for. */
const putEfi = async (host: Host, folder: string, raw: string, uuid: string, rootTree: string): Promise<void> => {
  const partition = await efiPartition(host, { rootTree, folder, uuid });
  const disk = await open(raw, "r+");
  try {
    const content = await readFile(partition);
    await disk.write(content, 0, content.length, coreSector * 512);
  } finally {
    await disk.close();
  }
};

/**
 * Assembles a bootable disk from a root tree, without loop devices or mounts. What boots it is written into the tree first.
 * @param folder Where the disk is made.
 * @returns the path of a qcow2 file.
 * @throws BakeError BK301 without GRUB's files, BK302 when a tool fails, BK306 when the tree has no kernel.
 */
export const assembleDisk = async (
  host: Host,
  architecture: Architecture,
  rootTree: string,
  folder: string,
): Promise<string> => {
  const { end: rootStart } = firstPartition[architecture];
  const raw = join(folder, "disk.raw");
  const uuid = randomUUID();
  const boot = await readdir(join(rootTree, "boot"));
  const kernel = boot.find((name) => name.startsWith("vmlinuz-"));
  const initrd = boot.find((name) => name.startsWith("initrd.img-"));
  if (kernel === undefined || initrd === undefined) throw new BakeError("BK306", "the bootstrapped base has no kernel");
  await makeFolder(join(rootTree, "boot/grub"));
  await writeFile(join(rootTree, "boot/grub/grub.cfg"), grubConfig(architecture, uuid, kernel, initrd));
  await writeFile(join(rootTree, "etc/fstab"), `UUID=${uuid} / ext4 errors=remount-ro 0 1\n`);
  await writeFile(raw, "");
  await truncate(raw, sizeGiB * gib);
  await host.run("sfdisk", ["--quiet", raw], { input: partitionTable(architecture) });
  await host.run("mke2fs", [
    ...["-q", "-t", "ext4", "-F", "-O", ext4Features, "-I", "256", "-m", "1", "-U", uuid, "-L", "rootfs"],
    // Made whole here, so that no guest initialises the rest in the background of its first boot.
    ...["-E", `offset=${rootStart * 512},lazy_itable_init=0,lazy_journal_init=0`],
    ...["-d", rootTree, raw, `${(endSector - rootStart) / 2}k`],
  ]);
  if (architecture === "x86_64") await putCore(host, folder, raw, uuid);
  else await putEfi(host, folder, raw, uuid, rootTree);
  const image = join(folder, "base.qcow2");
  await host.run("qemu-img", ["convert", "-O", "qcow2", raw, image]);
  return image;
};
