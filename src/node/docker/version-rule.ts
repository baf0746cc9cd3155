import { majorOf } from "../../formats/version.ts";
import { isSupportedDocker, supportedDocker } from "../../profile/docker-releases.ts";
import type { Problem, Rule } from "../../profile/rules/rule.ts";

/** Run by the team on its hosts (guide row G15). */
const verified = ["26.1.3", "27.5.1"];

/** A node has Docker 26 to 28; docker-releases.ts says why. */
export const dockerVersion: Rule = {
  code: "BK112",
  reads: ["docker.version"],
  find: ({ docker: { version } }): Problem[] => {
    const path = ["docker", "version"];
    if (!isSupportedDocker(version)) {
      return [
        {
          path,
          message: `Docker ${version} is not supported`,
          label:
            majorOf(version) < supportedDocker.oldest ? "older than 26" : "29 and later keep images outside data-root",
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
