import type { Rule } from "../../profile/rules/rule.ts";

/** Jobs run as root, and packets of containers count as root's: an exception for root would open the address to both. */
export const metadataUsers: Rule = {
  code: "BK117",
  reads: ["network.metadata.exceptUsers"],
  find: ({ network }) =>
    network.metadata.exceptUsers.flatMap((user, index) =>
      user === "root" || /^0+$/.test(user)
        ? [
            {
              path: ["network", "metadata", "exceptUsers", index],
              message: "root cannot be excepted from the closed metadata service",
              label: "jobs run as root",
              help: "name the user of the service that needs it, or set network.metadata.closed: false",
            },
          ]
        : [],
    ),
};
