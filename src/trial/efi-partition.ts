/** The EFI system partition of the stand-in base: Debian's own GRUB for UEFI, where firmware looks for it by itself. */
import { access, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";

/** 64 MiB: large enough for FAT16. */
export const efiSectors = 131_072;

/** One file with all of GRUB's modules; it reads its settings from /EFI/debian of the partition that it was started from. */
const grub = "usr/lib/grub/arm64-efi/monolithic/grubaa64.efi";

/** Where firmware finds what to start on a disk that it knows nothing about. */
const started = "BOOTAA64.EFI";

const settings = (uuid: string): string => `search --fs-uuid --set=root ${uuid}
configfile ($root)/boot/grub/grub.cfg
`;

/** Everything that decides what is in the partition, besides GRUB itself. */
export const efiRecipe: readonly unknown[] = [efiSectors, grub, started, settings("uuid")];

/**
 * Makes the partition, without mounting it.
 * @param input `uuid`: of the file system that has the kernel and its settings.
 * @returns the path of its content.
 * @throws BakeError BK302 when a tool fails, BK306 when the tree has no GRUB.
 */
export const efiPartition = async (
  host: Host,
  { rootTree, folder, uuid }: { readonly rootTree: string; readonly folder: string; readonly uuid: string },
): Promise<string> => {
  const loader = join(rootTree, grub);
  await access(loader).catch(() => {
    throw new BakeError("BK306", `the bootstrapped base has no ${grub}`);
  });
  const file = join(folder, "efi.img");
  const config = join(folder, "efi-grub.cfg");
  await writeFile(file, "");
  await truncate(file, efiSectors * 512);
  await writeFile(config, settings(uuid));
  const image = ["-i", file];
  await host.run("mformat", [...image, "-N", "0", "-T", String(efiSectors), "-h", "64", "-s", "32", "-v", "ESP", "::"]);
  await host.run("mmd", [...image, "::/EFI", "::/EFI/BOOT", "::/EFI/debian"]);
  await host.run("mcopy", [...image, loader, `::/EFI/BOOT/${started}`]);
  await host.run("mcopy", [...image, config, "::/EFI/debian/grub.cfg"]);
  return file;
};
