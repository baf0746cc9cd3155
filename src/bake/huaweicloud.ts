/** The target huaweicloud: bakes on a server; what was made is checked on a server too, by `bake check --host`. */
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
    if (plan.target.name !== "huaweicloud") throw new Error("a plan for another target");
    const current = await currentCloudImage(folder, bakeId);
    if (current !== undefined) print(`  up to date: nothing to bake (made ${current.madeAt})`);
    // What the server takes from a mirror need not be here.
    else if (plan.target.mirror === undefined) await request.fetch();
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
