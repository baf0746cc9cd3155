import type { Problem, Rule } from "../../profile/rules/rule.ts";

/** git puts `via` in the place of `for` and keeps the rest: the two must end alike (guide row G13). */
export const gitProxyRule: Rule = {
  code: "BK128",
  reads: ["network.gitProxy"],
  find: ({ network: { gitProxy: proxy } }): Problem[] => {
    if (proxy === undefined || proxy.for.endsWith("/") === proxy.via.endsWith("/")) return [];
    const right = proxy.for.endsWith("/") ? `${proxy.via}/` : proxy.via.replace(/\/+$/, "");
    const tail = proxy.for.endsWith("/") ? "org/repo" : "/org/repo";
    return [
      {
        path: ["network", "gitProxy", "via"],
        message: "network.gitProxy.via does not end as network.gitProxy.for does",
        label: `${proxy.for}${tail} would become ${proxy.via}${tail}`,
        help: `git puts one in the place of the other: write via: ${right}`,
      },
    ];
  },
};
