import type { Rule } from "./rule.ts";

interface Range {
  readonly first: number;
  readonly last: number;
}

const number = (address: string): number | undefined => {
  const parts = address.split(".").map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
};

const range = (network: string): Range | undefined => {
  const [address = "", prefix = "32"] = network.split("/");
  const base = number(address);
  const length = Number(prefix);
  if (base === undefined || length > 32) return undefined;
  const size = 2 ** (32 - length);
  const first = Math.floor(base / size) * size;
  return { first, last: first + size - 1 };
};

const overlap = (a: Range, b: Range): boolean => a.first <= b.last && b.first <= a.last;

/** A Docker network over the PyPI cache or the VPC would hide it from the node (guide row G12, S19). */
export const addressPools: Rule = ({ docker, network }) => {
  const others = [
    ...(network.pypiCache === undefined ? [] : [{ what: "the PyPI cache", network: network.pypiCache.host }]),
    ...network.vpc.map((vpc) => ({ what: "network.vpc", network: vpc })),
    { what: "the metadata service", network: "169.254.0.0/16" },
  ];
  return [
    ...network.vpc.flatMap((vpc, index) =>
      range(vpc) === undefined
        ? [{ path: ["network", "vpc", index], code: "BK115", message: `${vpc} is not an IPv4 network` }]
        : [],
    ),
    ...docker.addressPools.flatMap(({ base, size }, index) => {
      const path = ["docker", "addressPools", index, "base"];
      const pool = range(base);
      if (pool === undefined) return [{ path, code: "BK115", message: `${base} is not an IPv4 network` }];
      if (size < Number(base.split("/")[1])) {
        return [
          {
            path: ["docker", "addressPools", index, "size"],
            code: "BK115",
            message: `networks of size /${size} do not fit into ${base}`,
            help: "size is the prefix length of each network: a larger number than the pool's own",
          },
        ];
      }
      // A name is resolved on the node: nothing to compare here.
      return others.flatMap((other) => {
        const taken = range(other.network);
        return taken !== undefined && overlap(pool, taken)
          ? [
              {
                path,
                code: "BK115",
                message: `Docker's address pool ${base} covers ${other.what} (${other.network})`,
                label: "a Docker network could hide it",
                help: "choose a range that nothing on the site uses, such as the default 198.18.0.0/16",
              },
            ]
          : [];
      });
    }),
  ];
};
