/** How the node is checked. */
import * as z from "zod";
import { version } from "./text.ts";

export const Checks = z.strictObject({
  gossVersion: version("0.4.9").default("0.4.9").describe("goss release that runs the checks on the node."),
  interval: z
    .int()
    .min(20)
    .default(60)
    .describe(
      "Seconds between two looks at the node's health; two bad ones in a row stop the agents after their jobs.",
    ),
});
