/** The few values that several concerns, and those who check a node, need: computed once. Pure. */
import type { Locked } from "../artifact.ts";
import { caCertificates } from "../profile/ca-certificates.ts";
import { noProxyEntries } from "../profile/no-proxy.ts";
import type { Profile } from "../profile/schema.ts";
import { type AgentFacts, agentFacts } from "./agents/facts.ts";
import { type BuilderFacts, builderFacts } from "./builders/facts.ts";
import { type CacheFacts, cacheFacts } from "./caches/facts.ts";
import { type DockerFacts, dockerFacts } from "./docker/facts.ts";
import { type ImageFacts, imageFacts } from "./images/facts.ts";
import { type ModelFacts, modelFacts } from "./models/facts.ts";
import { type StorageFacts, storageFacts } from "./storage/facts.ts";
import { metadataAddress } from "./target.ts";

export interface HttpProxy {
  readonly url: string;
  /** Reached without it: NO_PROXY. */
  readonly except: readonly string[];
}

export interface Facts {
  readonly storage: StorageFacts;
  readonly docker: DockerFacts;
  readonly buildx: { readonly version: string };
  readonly builders: BuilderFacts;
  readonly agents: AgentFacts;
  readonly images: readonly ImageFacts[];
  readonly models: readonly ModelFacts[];
  readonly caches: readonly CacheFacts[];
  readonly httpProxy?: HttpProxy;
  /** What git URLs that begin with `for` begin with instead. */
  readonly gitProxy?: { readonly for: string; readonly via: string };
  /** Of the site's own authorities, in PEM form. */
  readonly caCertificates: readonly string[];
  /** Whether nothing on a ready node reaches the metadata service. */
  readonly metadataClosed: boolean;
  /** How the node comes to its key pair; `delivered`: as a secret. */
  readonly nodeKey: "ed25519" | "rsa" | "none" | "delivered";
}

/** Hosts that are reached without the HTTP proxy: NO_PROXY. */
const proxyExceptions = (profile: Profile): string[] => [
  ...new Set([
    "localhost",
    "127.0.0.1",
    "::1",
    metadataAddress,
    ...(profile.network.pypiCache === undefined ? [] : [profile.network.pypiCache.host]),
    ...noProxyEntries(profile),
  ]),
];

/** @throws RangeError when a lock is given that does not name one of the profile's images, models or build caches. */
export const factsOf = (profile: Profile, locked: Locked | undefined): Facts => {
  const { buildx, network, secrets, ssh } = profile;
  const agents = agentFacts(profile);
  return {
    storage: storageFacts(profile),
    docker: dockerFacts(profile),
    buildx: { version: buildx.version },
    builders: builderFacts(
      profile,
      agents.each.map(({ builder }) => builder),
    ),
    agents,
    images: imageFacts(profile, locked?.artifacts),
    models: modelFacts(profile, locked?.artifacts),
    caches: cacheFacts(profile, locked?.artifacts),
    ...(network.httpProxy !== undefined && {
      httpProxy: { url: network.httpProxy.url, except: proxyExceptions(profile) },
    }),
    ...(network.gitProxy !== undefined && { gitProxy: network.gitProxy }),
    caCertificates: caCertificates(profile),
    metadataClosed: network.metadata.closed,
    nodeKey: secrets.nodeKey === undefined ? ssh.nodeKey : "delivered",
  };
};
