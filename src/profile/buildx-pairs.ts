/**
 * The buildx that each Docker release is tested with, from that release on (guide row G22; facts: BUILDX_VERSION in the
 * Dockerfile of moby at its release tags).
 */
import { isAtLeast } from "../formats/version.ts";
import { isSupportedDocker } from "./docker-releases.ts";

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

/** The pair of a Docker release, exact or open; undefined for releases that bake does not take. Pure. */
export const buildxPairOf = (docker: string): string | undefined =>
  isSupportedDocker(docker) ? pairs.findLast(([from]) => isAtLeast(docker, from))?.[1] : undefined;
