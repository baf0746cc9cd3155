import { gitRewrites } from "../git-rewrites.ts";
import { ipv4Range, networkOf, overlap } from "../ipv4.ts";
import { spell } from "../source.ts";
import type { Problem, Rule } from "./rule.ts";

/** Ranges that sites seldom use, the default first. */
const proposals = ["198.18.0.0/16", "10.213.0.0/16", "172.30.0.0/16", "192.168.240.0/20"];

/** docker0, and one for each network that a job may make. */
const fewestNetworks = 4;

const hostBits = (network: string): boolean => networkOf(network) !== network;

/** A Docker network over the PyPI cache or the VPC would hide it from the node (guide row G12, S19). */
export const addressPools: Rule = {
  code: "BK115",
  reads: [
    "agents.endpoint",
    "docker.addressPools",
    "network.pypiCache.host",
    "network.vpc",
    "network.httpProxy.url",
    "network.gitProxy",
    "network.gitRewrites",
  ],
  find: (profile) => {
    const { agents, docker, network } = profile;
    const others = [
      ...(network.pypiCache === undefined
        ? []
        : [{ what: "the PyPI cache", network: network.pypiCache.host, at: ["network", "pypiCache", "host"] }]),
      ...network.vpc.map((vpc, index) => ({ what: "network.vpc", network: vpc, at: ["network", "vpc", index] })),
      ...[
        { what: "network.httpProxy", url: network.httpProxy?.url, at: ["network", "httpProxy", "url"] },
        ...gitRewrites(profile).map(({ via, at }) => ({ what: spell(at.slice(0, -1)), url: via, at: [...at] })),
        { what: "agents.endpoint", url: agents.endpoint, at: ["agents", "endpoint"] },
      ].flatMap(({ what, url, at }) => (url === undefined ? [] : [{ what, network: new URL(url).hostname, at }])),
      ...["169.254.0.0/16", "127.0.0.0/8", "224.0.0.0/3"].map((reserved) => ({
        what: "addresses that are no network's",
        network: reserved,
        at: ["docker", "addressPools"],
      })),
    ];
    const isFree = (pool: string): boolean =>
      others.every((other) => {
        const [a, b] = [ipv4Range(pool), ipv4Range(other.network)];
        return a === undefined || b === undefined || !overlap(a, b);
      });
    const free = proposals.find(isFree);
    const networks = docker.addressPools.reduce(
      (sum, { base, size }) => sum + 2 ** Math.max(0, size - Number(base.split("/")[1])),
      0,
    );
    return [
      ...network.vpc.flatMap((vpc, index): Problem[] =>
        hostBits(vpc)
          ? [
              {
                path: ["network", "vpc", index],
                message: `${vpc} is an address, not a network`,
                label: `the network is ${networkOf(vpc)}`,
                help: `write ${networkOf(vpc)}`,
              },
            ]
          : [],
      ),
      ...docker.addressPools.flatMap(({ base, size }, index): Problem[] => {
        const path = ["docker", "addressPools", index, "base"];
        if (hostBits(base)) {
          const right = networkOf(base);
          return [
            {
              path,
              message: `${base} is an address, not a network`,
              label: `the network is ${right}`,
              help: `write ${right}`,
            },
          ];
        }
        if (size < Number(base.split("/")[1])) {
          return [
            {
              path: ["docker", "addressPools", index, "size"],
              message: `networks of size /${size} do not fit into ${base}`,
              help: "size is the prefix length of each network: a larger number than the pool's own",
            },
          ];
        }
        const pool = ipv4Range(base);
        // A name is resolved on the node: nothing to compare here.
        return others.flatMap((other) => {
          const taken = ipv4Range(other.network);
          return pool !== undefined && taken !== undefined && overlap(pool, taken)
            ? [
                {
                  path,
                  orAt: other.at,
                  message: `Docker's address pool ${base} covers ${other.what} (${other.network})`,
                  label: "a Docker network could hide it",
                  help:
                    free === undefined
                      ? "set docker.addressPools to a range that nothing on the site uses"
                      : `set docker.addressPools to a range that nothing on the site uses, such as [{ base: ${free}, size: 24 }]`,
                },
              ]
            : [];
        });
      }),
      ...(networks < fewestNetworks
        ? [
            {
              path: ["docker", "addressPools"],
              message: `Docker's address pools hold ${networks} ${networks === 1 ? "network" : "networks"}`,
              label: `at least ${fewestNetworks}: docker0 takes the first`,
              help: "take a larger pool (a smaller number after the /) or smaller networks (a larger size)",
            },
          ]
        : []),
    ];
  },
};
