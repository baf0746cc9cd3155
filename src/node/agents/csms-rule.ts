import type { Rule } from "../../profile/rules/rule.ts";

/** With an agency, whoever reaches the metadata service may do what the agency may. */
export const csmsMetadata: Rule = {
  code: "BK138",
  reads: ["secrets.agentToken", "network.metadata"],
  find: ({ secrets: { agentToken }, network: { metadata } }) =>
    "csms" in agentToken && !metadata.closed
      ? [
          {
            path: ["network", "metadata", "closed"],
            severity: "warning",
            message: "every job may use the agency that the agent token is fetched with",
            label: "the metadata service hands out its credentials",
            help: "leave network.metadata.closed at true, or let the agency do nothing but read this one secret",
          },
        ]
      : [],
};
