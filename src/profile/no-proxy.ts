/** Hosts that are reached without the HTTP proxy, so that every reader of NO_PROXY takes them for the same ones. Pure. */
import { imageReferenceOf } from "../formats/image-reference.ts";
import { gitRewrites } from "./git-rewrites.ts";
import { ipv4Range } from "./ipv4.ts";
import { nodeRegistries } from "./registries.ts";
import type { Profile } from "./schema.ts";

/** Whether an entry is a network: Go, Python's requests and curl from 7.86 on know them; git goes by its curl. */
export const isNetwork = (entry: string): boolean => entry.includes("/");

/** Whether an entry covers a host: an address in its network, the host itself, or a domain that it is in. Networks cover no name. */
export const isExcepted = (host: string, entry: string): boolean => {
  if (isNetwork(entry)) {
    const [address, network] = [ipv4Range(host), ipv4Range(entry)];
    return (
      !host.includes("/") &&
      address !== undefined &&
      network !== undefined &&
      network.first <= address.first &&
      address.last <= network.last
    );
  }
  const domain = entry.replace(/^\*?\./, "").toLowerCase();
  return host.toLowerCase() === domain || host.toLowerCase().endsWith(`.${domain}`);
};

/** Hosts that a node of this profile asks by name or address. */
const hostsOf = (profile: Profile): string[] => {
  const { agents, builders, images } = profile;
  const urls = [
    ...gitRewrites(profile).map(({ via }) => via),
    agents.endpoint,
    "https://github.com",
    "https://buildkiteartifacts.com",
  ];
  const { mirrors, insecure } = nodeRegistries(profile);
  const registries = [
    ...Object.values(mirrors).flat(),
    ...insecure,
    ...[builders.image, ...images.map(({ image }) => image)].map((image) => imageReferenceOf(image).pullHost),
  ];
  return [
    ...urls.flatMap((url) => (url === undefined ? [] : [new URL(url).hostname])),
    ...registries.map((registry) => registry.replace(/[:/].*$/, "")),
  ];
};

/**
 * What stands in NO_PROXY for the exceptions of a profile. `*.x` means something to Go alone: `.x` says it to all. Nothing
 * but the host itself says to all of them that an address in a network is meant, or the domain `x` of `.x`, which is curl's
 * reading and not Go's: hosts that the profile names stand there one by one.
 */
export const noProxyEntries = (profile: Profile): string[] => {
  const entries = (profile.network.httpProxy?.except ?? []).map((entry) => entry.replace(/^\*\./, "."));
  const literal = hostsOf(profile).filter((host) =>
    entries.some((entry) => (isNetwork(entry) ? isExcepted(host, entry) : entry === `.${host}`)),
  );
  return [...entries, ...literal];
};
