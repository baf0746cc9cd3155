import type { Rule } from "./rule.ts";

/** Credentials without a proxy reach nothing. */
export const proxyCredentials: Rule = ({ network, secrets }) =>
  secrets.proxyCredentials === undefined || network.httpProxy !== undefined
    ? []
    : [
        {
          path: ["secrets", "proxyCredentials"],
          code: "BK116",
          message: "secrets.proxyCredentials is set, network.httpProxy is not",
          label: "credentials of which proxy?",
          help: "set network.httpProxy.url, or remove secrets.proxyCredentials",
        },
      ];
