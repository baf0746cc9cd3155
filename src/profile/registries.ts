/** Mirrors and registries without TLS: said once, for Docker, the builders and the lock. Pure. */
import type { Profile } from "./schema.ts";

/** By registry, `host[:port][/path]` of each of its mirrors. */
type Mirrors = Readonly<Record<string, readonly string[]>>;

export interface NodeRegistries {
  /** Of every registry: what the builders ask. */
  readonly mirrors: Mirrors;
  /** Of Docker Hub, as far as Docker takes them: it knows no others, and none with a path (moby: registry/config.go). */
  readonly dockerMirrors: readonly string[];
  /** `host[:port]` of those that speak plain http. */
  readonly insecure: readonly string[];
}

/** The host of a mirror, with its port. Pure. */
const hostOf = (mirror: string): string => mirror.replace(/\/.*$/, "");

/** Whom Docker and the builders of a node ask, and how. Pure. */
export const nodeRegistries = ({ network, builders, sources }: Profile): NodeRegistries => {
  const mirrors = { ...network.registryMirrors, ...builders.mirrors };
  const insecure = sources.insecureRegistries;
  return {
    mirrors,
    dockerMirrors: (mirrors["docker.io"] ?? [])
      .filter((mirror) => hostOf(mirror) === mirror)
      .map((mirror) => `${insecure.includes(mirror) ? "http" : "https"}://${mirror}`),
    insecure,
  };
};

/** `sources`, with the mirrors that everything asks. Pure. */
export const lockSources = ({ network, sources }: Profile): Profile["sources"] => ({
  ...sources,
  registries: { ...network.registryMirrors, ...sources.registries },
});
