/** The target qemu: bakes in a local VM, and the image can be booted here. */
import { join } from "node:path";
import { formatSeconds } from "../host/progress.ts";
import { planTarget } from "../targets/index.ts";
import { bakeNeeds, installPackages } from "../toolchain/packages.ts";
import { ensurePacker } from "../toolchain/packer.ts";
import { chooseAccelerator } from "../vm/accelerator.ts";
import { baseDisk } from "./base-disk.ts";
import { bakeImage } from "./image.ts";
import { currentImage, type ImageRecord } from "./image-record.ts";
import type { Baker } from "./targets.ts";

const describe = (folder: string, record: ImageRecord, seconds: number): string =>
  [
    `  file    ${join(folder, record.file)}`,
    `  sha256  ${record.sha256}`,
    `  size    ${(record.size / 2 ** 20).toFixed(0)} MiB`,
    `  bake id ${record.bakeId}`,
    `  this run ${formatSeconds(seconds)} without the boot`,
  ].join("\n");

/** Bakes in a local VM. The image can be booted on this host. */
export const qemuBaker: Baker = {
  setUp: async (host, profile, { offline }) => {
    const { architecture } = planTarget("", profile, "qemu").plan;
    await installPackages(host, bakeNeeds(architecture, host), { offline });
    return ensurePacker(host, { offline });
  },
  bake: async (host, request) => {
    const { folder, plan, bakeId, store, print, recordStep } = request;
    await request.fetch();
    const accelerator = await chooseAccelerator({
      host,
      architecture: plan.target.architecture,
      image: (await baseDisk(host, store, plan.base)).path,
    });
    print(`  accelerator ${accelerator.accel}: ${accelerator.reason}`);
    const current = await currentImage(folder, bakeId);
    const record =
      current ??
      (await bakeImage(host, {
        ...request,
        accelerator,
        onPhase: ({ id, title, seconds }) => recordStep({ id: `packer:${id}`, title: `in the VM: ${title}`, seconds }),
      }));
    if (current !== undefined) print(`  up to date: nothing to bake (made ${current.madeAt})`);
    return {
      describe: (seconds) => describe(folder, record, seconds),
      bootable: { image: join(folder, record.file), accelerator },
    };
  },
};
