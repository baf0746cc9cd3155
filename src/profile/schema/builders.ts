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
  maxCacheSize: z
    .int()
    .min(1)
    .default(200)
    .describe("GiB of build cache that each builder keeps before it collects garbage."),
});
