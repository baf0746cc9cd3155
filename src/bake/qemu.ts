/** The target qemu: bakes in a local VM, and the image can be booted here. */
import { join } from "node:path";
import { formatSeconds } from "../host/progress.ts";
import { planTarget } from "../targets/index.ts";
import { bakeNeeds, installPackages } from "../toolchain/packages.ts";
import { ensurePacker } from "../toolchain/packer.ts";
import { type Accelerator, chooseAccelerator } from "../vm/accelerator.ts";
import { baseDisk } from "./base-disk.ts";
import { describeStages } from "./build-disk.ts";
import { bakeImage } from "./image.ts";
import { currentImage, type ImageRecord } from "./image-record.ts";
import type { Baker } from "./targets.ts";

const describe = (folder: string, record: ImageRecord, stages: readonly string[], seconds: number): string =>
  [
    `  file    ${join(folder, record.file)}`,
    `  sha256  ${record.sha256}`,
    `  size    ${(record.size / 2 ** 20).toFixed(0)} MiB`,
    `  bake id ${record.bakeId}`,
    ...stages,
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
    const chosen = async (): Promise<Accelerator> => {
      const { architecture } = plan.target;
      const { path: image } = await baseDisk(host, store, plan.base);
      const accelerator = await chooseAccelerator({ host, architecture, image });
      print(`  accelerator ${accelerator.accel}: ${accelerator.reason}`);
      return accelerator;
    };
    const current = request.noCache === true ? undefined : await currentImage(folder, bakeId);
    if (current !== undefined) {
      print(`  up to date: nothing to bake (made ${current.madeAt})`);
      return {
        describe: (seconds) => describe(folder, current, [], seconds),
        bootable: { image: join(folder, current.file), accelerator: chosen },
      };
    }
    await request.fetch();
    const accelerator = await chosen();
    const record = await bakeImage(host, {
      ...request,
      accelerator,
      onPhase: ({ id, title, seconds }) => recordStep({ id: `packer:${id}`, title: `in the VM: ${title}`, seconds }),
    });
    return {
      describe: (seconds) => describe(folder, record, describeStages(record.stages ?? []), seconds),
      bootable: { image: join(folder, record.file), accelerator: () => Promise.resolve(accelerator) },
    };
  },
};
