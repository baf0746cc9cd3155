/** What the site's network must let through: the node tries every destination of its own (guide row G11). */
import { asJobs, command, httpStatus, reachable } from "./check-commands.ts";
import type { Check } from "./check.ts";
import type { Concern, PlannedDestination } from "./concern.ts";

/**
 * How it is tried. By a proxy a connection shows nothing, since the proxy takes all of them: a web server's answer, whichever, has
 * come through. Milliseconds.
 */
const tryOf = (id: string, { host, port, through }: PlannedDestination): Check["resource"] =>
  through === "proxy"
    ? command(id, asJobs(httpStatus(`${port === 443 ? "https" : "http"}://${host}:${port}/`, 15)), {
        stdout: ["/^HTTP [1-5][0-9][0-9]$/"],
        timeout: 20_000,
      })
    : reachable(id, host, port, 5000);

export const allowlist: Concern = {
  name: "allowlist",
  contribute: () => ({}),
  checkDestinations: (destinations) => {
    const checked = new Set(destinations.filter((each) => each.checked === true).map(({ host }) => host));
    return (
      destinations
        // A datagram that nobody answers shows nothing.
        .filter(({ when, protocol }) => when === "node" && protocol === "tcp")
        .filter(({ host }) => !checked.has(host))
        .map((destination): Check => {
          const { host, port, why, through } = destination;
          const id = `reaches-${host}-${port}`;
          return {
            id,
            rows: ["G11"],
            title: `${host}:${port} lets this node through${through === "proxy" ? " by the HTTP proxy" : ""}: ${why}`,
            level: "site",
            help: "allowlist.md has every host with its reason",
            resource: tryOf(id, destination),
          };
        })
    );
  },
};
