import type { Rule } from "./rule.ts";

/**
 * The buildx that Docker is tested with, from each Docker release on (guide row G22; facts: BUILDX_VERSION in the
 * Dockerfile of moby at its release tags).
 */
const pairs: readonly (readonly [docker: string, buildx: string])[] = [
  ["26.0.0", "0.13.1"],
  ["27.0.0", "0.15.1"],
  ["27.1.0", "0.16.1"],
  ["27.3.0", "0.17.1"],
  ["27.4.0", "0.18.0"],
  ["27.5.1", "0.20.0"],
  ["28.0.0", "0.20.1"],
  ["28.2.0", "0.24.0"],
];

const compare = (a: string, b: string): number => {
  const [left, right] = [a, b].map((text) => (text.split("-")[0] ?? "").split(".").map(Number));
  return (
    [0, 1, 2].map((part) => (left?.[part] ?? 0) - (right?.[part] ?? 0)).find((difference) => difference !== 0) ?? 0
  );
};

const minor = (version: string): string => version.split(".").slice(0, 2).join(".");

/** Another minor release than the pair's was never tried with this Docker. */
export const buildxPair: Rule = {
  code: "BK120",
  reads: ["docker.version", "buildx"],
  find: ({ docker, buildx }) => {
    const pair = pairs.findLast(([from]) => compare(docker.version, from) >= 0)?.[1];
    const supported = /^2[678]\./.test(docker.version);
    if (!supported || pair === undefined || minor(pair) === minor(buildx.version) || buildx.allowUnpaired) return [];
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
