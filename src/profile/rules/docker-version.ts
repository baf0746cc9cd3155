import type { Problem, Rule } from "./rule.ts";

/** Run by the team on its hosts (guide row G15). */
const verified = ["26.1.3", "27.5.1"];

/** Docker 26 to 28 (guide row G15). 25 is excluded by the team; from 29 a fresh data-root uses another image store (S21). */
export const dockerVersion: Rule = {
  code: "BK112",
  reads: ["docker.version"],
  find: ({ docker: { version } }): Problem[] => {
    const path = ["docker", "version"];
    const major = Number(version.split(".")[0]);
    if (major < 26 || major > 28) {
      return [
        {
          path,
          message: `Docker ${version} is not supported`,
          label: major < 26 ? "older than 26" : "29 and later keep images outside data-root",
          help: `use ${verified.join(" or ")} (verified), or another release of 26, 27 or 28`,
        },
      ];
    }
    return verified.includes(version)
      ? []
      : [
          {
            path,
            severity: "warning",
            message: `Docker ${version} was not tried on such hosts`,
            label: "allowed, not verified",
            help: `verified: ${verified.join(", ")}`,
          },
        ];
  },
};
