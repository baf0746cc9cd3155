import { isNetwork } from "../../profile/no-proxy.ts";
import type { Problem, Rule } from "../../profile/rules/rule.ts";

/** A network in NO_PROXY is none for every reader: told, since nothing else of a bake would show it. */
export const proxyNetworks: Rule = {
  code: "BK147",
  reads: ["network.httpProxy"],
  find: ({ network: { httpProxy } }): Problem[] =>
    (httpProxy?.except ?? []).flatMap((entry, index) =>
      isNetwork(entry)
        ? [
            {
              path: ["network", "httpProxy", "except", index],
              severity: "warning" as const,
              message: `${entry} means nothing to git and curl before curl 7.86, nor to Python's urllib`,
              label: "they would go by the proxy there",
              help: "hosts that this profile names are written one by one; list further addresses that jobs ask, or a domain such as .example.com",
            },
          ]
        : [],
    ),
};
