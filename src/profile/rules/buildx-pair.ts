import { isSameLine } from "../../formats/version.ts";
import { buildxPairOf } from "../buildx-pairs.ts";
import type { Rule } from "./rule.ts";

/** Another minor release than the pair's was never tried with this Docker (guide row G22). */
export const buildxPair: Rule = {
  code: "BK120",
  reads: ["docker.version", "buildx"],
  find: ({ docker, buildx }) => {
    const pair = buildxPairOf(docker.version);
    if (pair === undefined || isSameLine(pair, buildx.version) || buildx.allowUnpaired) return [];
    return [
      {
        path: ["buildx", "version"],
        message: `buildx ${buildx.version} is not the pair of Docker ${docker.version}`,
        label: `the pair is ${pair}`,
        help: `set buildx.version: ${pair}, or buildx.allowUnpaired: true when you know that they go together`,
      },
    ];
  },
};
