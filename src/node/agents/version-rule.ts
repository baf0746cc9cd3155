import { majorOf } from "../../formats/version.ts";
import type { Rule } from "../../profile/rules/rule.ts";

/** Version 4 of the agent has other settings and other defaults; nothing of it was tried (guide row G2, S7). */
export const agentVersion: Rule = {
  code: "BK124",
  reads: ["agents.version"],
  find: ({ agents }) =>
    majorOf(agents.version) === 3
      ? []
      : [
          {
            path: ["agents", "version"],
            message: `agent ${agents.version} is not supported`,
            label: "only version 3 is",
            help: "take a release of version 3, such as 3.137.0",
          },
        ],
};
