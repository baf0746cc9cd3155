/** How `bake rollout` brings nodes to an image. Nothing of it reaches the image. */
import * as z from "zod";

/** A number of nodes, or a share of them. @param least What the number may be. */
const share = (least: number) =>
  z.union([
    z.int().min(least),
    z.string().regex(/^(?:[1-9]\d?|100)%$/, "expected a number of nodes, or a share of them such as 10%"),
  ]);

/** `rollout`: times are seconds. */
export const Rollout = z.strictObject({
  canary: z.int().min(1).default(1).describe("Nodes of the first wave; one that fails there pauses the rollout."),
  wave: share(1).default("10%").describe("Nodes of each wave after that, or a share of all; at least one."),
  maxFailed: z.int().min(0).default(0).describe("Nodes that may fail before the rollout pauses."),
  minHealthy: share(0)
    .default("75%")
    .describe("Nodes that take jobs at any moment, or a share of all, rounded down; those that are changed do not."),
  canarySoak: z.int().min(0).default(900).describe("Seconds that the first wave has to stay right before the next."),
  soak: z.int().min(0).default(300).describe("Seconds that each further wave has to stay right before the next."),
  drainTimeout: z
    .int()
    .min(10)
    .optional()
    .describe(
      "Seconds that running jobs may take to end; without it five minutes more than agents.stopTimeout. No job is cancelled then: the node is left.",
    ),
  changeTimeout: z.int().min(10).default(1800).describe("Seconds that the cloud may take to give a node its image."),
  readyTimeout: z
    .int()
    .min(10)
    .default(1800)
    .describe("Seconds that all agents of a node may take to connect after that."),
  interval: z.int().min(1).max(300).default(15).describe("Seconds between two looks at all nodes and agents."),
});
export type Rollout = z.infer<typeof Rollout>;
