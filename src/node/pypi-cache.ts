/** The site's PyPI cache, which jobs find by their environment (guide row G12). */
import { asJobs, command, gating, httpStatus, ofCommand } from "./check-commands.ts";
import type { Check } from "./check.ts";
import type { Concern } from "./concern.ts";

const isAddress = (host: string): boolean => /^[\d.]+$/.test(host);

const checksOf = ({ host, port }: { readonly host: string; readonly port: number }): Check[] => [
  ...(isAddress(host)
    ? [
        ofCommand(
          gating,
          {
            id: "pypi-cache-route",
            rows: ["G12"],
            title: "no Docker network hides the PyPI cache",
            help: "docker network ls; remove the network, or move default-address-pools",
          },
          `ip -o route get ${host}`,
          { stdout: ["!/dev (docker|br-)/"] },
        ),
      ]
    : []),
  {
    id: "pypi-cache",
    rows: ["G12"],
    title: `the PyPI cache answers at ${host}:${port}`,
    level: "site",
    help: "nothing came: ask for access for the outward address of this host; HTTP 4xx or 5xx: the cache itself, or a proxy that NO_PROXY does not name it for",
    // A connection alone is taken by a cache that is broken, too.
    resource: command("pypi-cache", asJobs(httpStatus(`http://${host}:${port}/`, 15)), {
      stdout: ["/^HTTP [23][0-9][0-9]$/"],
      timeout: 20_000,
    }),
  },
];

export const pypiCache: Concern = {
  name: "pypi-cache",
  contribute: ({ profile: { network } }) =>
    network.pypiCache === undefined
      ? {}
      : {
          checks: checksOf(network.pypiCache),
          destinations: [
            {
              ...network.pypiCache,
              when: "node",
              why: "PyPI cache (ask for the outward address of the host)",
              checked: true,
              order: 30,
            },
          ],
        },
};
