/** The HTTP proxy of Docker, the builders, the agents and their jobs. */
import { environmentFile } from "../../formats/lines.ts";
import type { Concern } from "../concern.ts";
import type { HttpProxy } from "../facts.ts";
import { secretPlaceholder } from "../secret-placeholder.ts";
import { portOf } from "../url-port.ts";
import { proxyCredentials } from "./credentials-rule.ts";
import { proxyNetworks } from "./networks-rule.ts";

/** HTTP_PROXY and its relatives. Lower case too: curl reads `http_proxy` in no other form. */
const proxyEnvironment = ({ url, except }: HttpProxy, credentials?: string): string => {
  const [user = "", ...password] = (credentials ?? "").split(":");
  const address =
    credentials === undefined
      ? url
      : url.replace("://", `://${encodeURIComponent(user)}:${encodeURIComponent(password.join(":"))}@`);
  const variables = { HTTP_PROXY: address, HTTPS_PROXY: address, NO_PROXY: except.join(",") };
  return environmentFile({
    ...variables,
    ...Object.fromEntries(Object.entries(variables).map(([name, value]) => [name.toLowerCase(), value])),
  });
};

export const httpProxy: Concern = {
  name: "http-proxy",
  rules: [proxyCredentials, proxyNetworks],
  contribute: ({ profile: { secrets }, facts: { httpProxy: proxy }, header }) => {
    if (proxy === undefined) return {};
    const url = new URL(proxy.url);
    return {
      files: [{ path: "/etc/bake/proxy.env", content: `# ${header}\n${proxyEnvironment(proxy)}`, order: 60 }],
      destinations: [{ host: url.hostname, port: portOf(url), when: "node", why: "HTTP proxy", order: 130 }],
      userData:
        secrets.proxyCredentials === undefined
          ? []
          : [
              {
                path: "/etc/bake/secrets/proxy.env",
                origin: ["secrets", "proxyCredentials"],
                content: (instance) =>
                  proxyEnvironment(proxy, instance.proxyCredentials ?? secretPlaceholder("proxyCredentials")),
                order: 30,
              },
            ],
      explain: [
        {
          what: "NO_PROXY",
          value: proxy.except.join(","),
          because: ["network.httpProxy", "network.pypiCache"],
          order: 90,
        },
      ],
    };
  },
};
