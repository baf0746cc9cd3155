import type { Rule } from "../../profile/rules/rule.ts";

/** Credentials without a proxy reach nothing. */
export const proxyCredentials: Rule = {
  code: "BK116",
  reads: ["network.httpProxy", "secrets.proxyCredentials"],
  find: ({ network, secrets }) =>
    secrets.proxyCredentials === undefined || network.httpProxy !== undefined
      ? []
      : [
          {
            path: ["secrets", "proxyCredentials"],
            message: "secrets.proxyCredentials is set, network.httpProxy is not",
            label: "credentials of which proxy?",
            help: "set network.httpProxy.url, or remove secrets.proxyCredentials",
          },
        ],
};
