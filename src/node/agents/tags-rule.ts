import type { Rule } from "../../profile/rules/rule.ts";

const owned: ReadonlyMap<string, string> = new Map([
  ["queue", "it comes from agents.queue: a queue given twice ends the agent at its start"],
  ["bake-id", "bake writes it, so that Buildkite shows which image an agent runs from"],
]);

/** Tags that bake writes itself (guide row G4, S27). */
export const agentTags: Rule = {
  code: "BK125",
  reads: ["agents.tags{}"],
  find: ({ agents }) =>
    Object.keys(agents.tags).flatMap((name) => {
      const help = owned.get(name);
      return help === undefined
        ? []
        : [
            {
              path: ["agents", "tags", name],
              at: "key",
              message: `agents.tags cannot set ${name}`,
              label: "bake's own",
              help,
            },
          ];
    }),
};
