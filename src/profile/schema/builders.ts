/** The settings of the BuildKit builders. */
import * as z from "zod";
import { registryMirrors } from "./address.ts";
import { imageReference } from "./artifacts.ts";

/** `builders`: one for each agent. */
export const Builders = z.strictObject({
  image: imageReference.describe(
    "BuildKit image of the builders cachebuilder1 … cachebuilder<spawn>, pinned and pre-loaded.",
  ),
  mirrors: registryMirrors
    .default({})
    .describe(
      "Mirrors by registry for the builders and Docker, where they are others than those of network.registryMirrors.",
    ),
  removeOthers: z
    .boolean()
    .default(false)
    .describe(
      "Remove builders that bake made and the profile no longer names, with their caches; without it they are reported.",
    ),
  maxCacheSize: z
    .int()
    .min(1)
    .optional()
    .describe(
      "GiB of build cache that each builder keeps before it collects garbage. Without it all of them together take 60 % of the data disk.",
    ),
});
