/**
 * The buildx that each Docker release is tested with, from that release on (guide row G22; facts: BUILDX_VERSION in the
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

/** The newest patch release, `x`, is above all others. */
const compare = (a: string, b: string): number => {
  const [left, right] = [a, b].map((text) =>
    (text.split("-")[0] ?? "").split(".").map((part) => (part === "x" ? Infinity : Number(part))),
  );
  return (
    [0, 1, 2].map((part) => (left?.[part] ?? 0) - (right?.[part] ?? 0)).find((difference) => difference !== 0) ?? 0
  );
};

/** The pair of a Docker release; undefined for releases that bake does not take. */
export const buildxPairOf = (docker: string): string | undefined =>
  /^2[678]\./.test(docker) ? pairs.findLast(([from]) => compare(docker, from) >= 0)?.[1] : undefined;
