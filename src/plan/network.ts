/** PyPI cache, git, HTTP proxy, metadata service, and whom a node talks to (guide rows G11–G14). */
import { imageReferenceOf } from "../formats/image-reference.ts";
import { isAtLeast } from "../formats/version.ts";
import type { Profile } from "../profile/schema.ts";

export interface NetworkPlan {
  readonly pypiCache?: { readonly host: string; readonly port: number };
  readonly gitProxy?: { readonly for: string; readonly via: string };
  /** Where the header with the git token is sent: git matches it after the rewriting (guide row G14). */
  readonly gitTokenUrl: string;
  /** Whether user-data brings a git token. */
  readonly gitToken: boolean;
  readonly httpProxy?: { readonly url: string; readonly except: readonly string[] };
  /** Whether user-data brings credentials of the proxy. */
  readonly proxyCredentials: boolean;
  readonly metadata: { readonly closed: boolean; readonly exceptUsers: readonly string[] };
  /** What must be let through to the outside. */
  readonly destinations: readonly Destination[];
}

interface Destination {
  readonly host: string;
  readonly port: number;
  readonly why: string;
  /** `node`: while it serves. `bake`: while the image is made. `job`: by what CI runs on it. */
  readonly when: "node" | "bake" | "job";
  /** Absent: the node itself connects. */
  readonly through?: "proxy";
}

/** The agent's default endpoint moved with 3.122.0 (facts: network requirements of Buildkite's agents). */
const agentHost = ({ agents }: Profile): { host: string; port: number } => {
  if (agents.endpoint !== undefined) {
    const { hostname, port, protocol } = new URL(agents.endpoint);
    return { host: hostname, port: Number(port || (protocol === "http:" ? 80 : 443)) };
  }
  return { host: isAtLeast(agents.version, "3.122.0") ? "agent-edge.buildkite.com" : "agent.buildkite.com", port: 443 };
};

const portOf = ({ port, protocol }: URL): number => Number(port || (protocol === "http:" ? 80 : 443));

/** `quay.io/ascend/cann:9.1.0` → `quay.io`; a name without a registry is Docker Hub's. */
const registryOf = (reference: string): string => imageReferenceOf(reference).pullHost;

const planDestinations = (profile: Profile): Destination[] => {
  const { network, builders, images, buildx } = profile;
  const https = (host: string, when: Destination["when"], why: string): Destination => ({ host, port: 443, when, why });
  const gitUrl = new URL(network.gitProxy?.via ?? "https://github.com/");
  const found: Destination[] = [
    { ...agentHost(profile), when: "node", why: "Buildkite agent API" },
    https("buildkiteartifacts.com", "node", "artifacts of Buildkite jobs"),
    ...(network.pypiCache === undefined
      ? []
      : [{ ...network.pypiCache, when: "node" as const, why: "PyPI cache (ask for the outward address of the host)" }]),
    { host: gitUrl.hostname, port: portOf(gitUrl), when: "node", why: network.gitProxy ? "git proxy" : "git" },
    ...[...new Set(images.map(registryOf))].map((host) =>
      https(host, "job", "base image: its tag is resolved on every build"),
    ),
    ...Object.values(builders.mirrors)
      .flat()
      .map((mirror): Destination => {
        const { hostname, port } = new URL(`https://${mirror}`);
        return { host: hostname, port: Number(port || 443), when: "job", why: "registry mirror of the builders" };
      }),
    https("download.pytorch.org", "job", "wheels that CI's image build installs"),
    https("mirrors.huaweicloud.com", "job", "Ascend wheels and distribution packages of CI's image build"),
    https("www.modelscope.cn", "job", "models, asked even when they are cached"),
    https("download.docker.com", "bake", "Docker's static archive"),
    https("github.com", "bake", `releases of buildx ${buildx.version}, the Buildkite agent and goss`),
    https("release-assets.githubusercontent.com", "bake", "where GitHub keeps the files of releases"),
    ...[...new Set([builders.image, ...images].map(registryOf))].map((host) =>
      https(host, "bake", "container images that are pre-loaded"),
    ),
    ...(network.httpProxy === undefined
      ? []
      : [
          {
            host: new URL(network.httpProxy.url).hostname,
            port: portOf(new URL(network.httpProxy.url)),
            when: "node" as const,
            why: "HTTP proxy",
          },
        ]),
  ];
  const unique = found.filter(
    (one, index) =>
      found.findIndex(({ host, port, when }) => host === one.host && port === one.port && when === one.when) === index,
  );
  const { httpProxy } = network;
  if (httpProxy === undefined) return unique;
  const direct = [...proxyExceptions(network), new URL(httpProxy.url).hostname];
  return unique.map((one) =>
    one.when === "bake" || direct.some((entry) => isExcepted(one.host, entry)) ? one : { ...one, through: "proxy" },
  );
};

/** Hosts that are reached without the HTTP proxy: NO_PROXY. */
const proxyExceptions = ({ httpProxy, pypiCache }: Profile["network"]): string[] => [
  ...new Set([
    "localhost",
    "127.0.0.1",
    "::1",
    metadataAddress,
    ...(pypiCache === undefined ? [] : [pypiCache.host]),
    ...(httpProxy?.except ?? []),
  ]),
];

/** Whether an entry of NO_PROXY covers a host: the host itself, or a domain that it is in. Networks cover no name. */
const isExcepted = (host: string, entry: string): boolean => {
  const domain = entry.replace(/^\*?\./, "");
  return host === domain || host.endsWith(`.${domain}`);
};

export const planNetwork = (profile: Profile): NetworkPlan => {
  const { network, secrets } = profile;
  return {
    ...(network.pypiCache !== undefined && { pypiCache: network.pypiCache }),
    ...(network.gitProxy !== undefined && { gitProxy: network.gitProxy }),
    gitTokenUrl: `${new URL(network.gitProxy?.via ?? "https://github.com/").origin}/`,
    gitToken: secrets.gitToken !== undefined,
    ...(network.httpProxy !== undefined && {
      httpProxy: {
        url: network.httpProxy.url,
        except: proxyExceptions(network),
      },
    }),
    proxyCredentials: secrets.proxyCredentials !== undefined,
    metadata: network.metadata,
    destinations: planDestinations(profile),
  };
};

/** Where clouds hand out user-data and credentials, Huawei Cloud among them. */
export const metadataAddress = "169.254.169.254";
