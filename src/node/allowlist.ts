/** What the site's network must let through: the node tries every destination of its own (guide row G11). */
import { reachable } from "./check-commands.ts";
import type { Check } from "./check.ts";
import type { Concern } from "./concern.ts";

export const allowlist: Concern = {
  name: "allowlist",
  contribute: () => ({}),
  checkDestinations: (destinations) => {
    const checked = new Set(destinations.filter((each) => each.checked === true).map(({ host }) => host));
    return (
      destinations
        // A datagram that nobody answers shows nothing.
        .filter(({ when, protocol, through }) => when === "node" && protocol === "tcp" && through !== "proxy")
        .filter(({ host }) => !checked.has(host))
        .map(({ host, port, why }): Check => {
          const id = `reaches-${host}-${port}`;
          return {
            id,
            rows: ["G11"],
            title: `${host}:${port} lets this node through: ${why}`,
            level: "site",
            help: "allowlist.md has every host with its reason",
            resource: reachable(id, host, port, 5000),
          };
        })
    );
  },
};
