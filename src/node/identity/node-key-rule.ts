import type { Rule } from "../../profile/rules/rule.ts";

/** A key that is delivered is neither made nor left out. */
export const nodeKeyRule: Rule = {
  code: "BK126",
  reads: ["ssh.nodeKey", "secrets.nodeKey"],
  find: ({ ssh, secrets }) =>
    secrets.nodeKey === undefined || ssh.nodeKey === "ed25519"
      ? []
      : [
          {
            path: ["ssh", "nodeKey"],
            message: `ssh.nodeKey: ${ssh.nodeKey} and secrets.nodeKey contradict each other`,
            label: "the delivered key has its own type",
            help: "remove ssh.nodeKey to have the delivered key, or secrets.nodeKey to have none or one that the node makes",
          },
        ],
};
