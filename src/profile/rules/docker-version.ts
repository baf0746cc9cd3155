import type { Rule } from "./rule.ts";

/** Docker 26 to 28 (guide row G15). 25 is excluded by the team; from 29 a fresh data-root uses another image store (S21). */
export const dockerVersion: Rule = ({ docker }) => {
  const major = Number(docker.version.split(".")[0]);
  return major >= 26 && major <= 28
    ? []
    : [
        {
          path: ["docker", "version"],
          code: "BK112",
          message: `Docker ${docker.version} is not supported`,
          label: major < 26 ? "older than 26" : "29 and later keep images outside data-root",
          help: "use 26.1.3 or 27.5.1 (verified), or another release of 26, 27 or 28",
        },
      ];
};
