/** The target huaweicloud: bakes on a server; what was made is checked on a server too, by `bake check --host`. */
import { requireTarget } from "../targets/index.ts";
import { ensureTool } from "../toolchain/ensure.ts";
import { bakeCloudImage, type CloudImageRecord, currentCloudImage } from "./cloud-image.ts";
import type { Baker } from "./targets.ts";

const describe = ({ imageId, imageName, region, bakeId, profile }: CloudImageRecord): string =>
  [
    `  image ID ${imageId}`,
    `  name     ${imageName}`,
    `  region   ${region}`,
    `  bake id  ${bakeId}`,
    `It was not booted: make a server from it and run bake check --profile ${profile} --host.`,
  ].join("\n");

/** Bakes in Huawei Cloud. Nothing is booted here. */
export const huaweiCloudBaker: Baker = {
  setUp: async (host) => (await ensureTool(host, "packer")).path,
  bake: async (host, request) => {
    const { folder, plan, bakeId, print, recordStep } = request;
    const target = requireTarget(plan, "huaweicloud");
    const current = await currentCloudImage(folder, bakeId);
    if (current !== undefined) print(`  up to date: nothing to bake (made ${current.madeAt})`);
    // What the server takes from a mirror need not be here.
    else if (target.mirror === undefined) await request.fetch();
    const record =
      current ??
      (await bakeCloudImage(host, {
        ...request,
        onPhase: ({ id, title, seconds }) =>
          recordStep({ id: `cloud:${id}`, title: `on the server: ${title}`, seconds }),
      }));
    return { describe: () => describe(record) };
  },
};
