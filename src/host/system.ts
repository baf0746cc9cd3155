/** This machine's clock, randomness and architecture: the parts of a `Host` that no command decides. */
import { setTimeout } from "node:timers/promises";
import type { Host } from "./host.ts";

export const system: Pick<Host, "now" | "sleep" | "random" | "architecture"> = {
  now: Date.now,
  sleep: async (milliseconds, signal) => {
    try {
      await setTimeout(milliseconds, undefined, { signal });
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  },
  random: Math.random,
  architecture: process.arch,
};
