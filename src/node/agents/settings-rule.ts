import { agentKeys } from "./agent-keys.ts";
import { closest } from "../../profile/suggest.ts";
import type { Rule } from "../../profile/rules/rule.ts";

/** Keys that bake writes itself, and the setting that they come from. */
const owned: Readonly<Record<string, string>> = {
  "build-path": "the plan",
  endpoint: "agents.endpoint",
  "git-clone-flags": "agents.gitCloneFlags",
  "git-fetch-flags": "agents.gitFetchFlags",
  "health-check-addr": "agents.healthAddress",
  "hooks-path": "the plan",
  "meta-data": "agents.tags",
  name: "the plan",
  "plugins-path": "the plan",
  queue: "agents.queue",
  spawn: "agents.spawn",
  tags: "agents.tags",
  token: "secrets.agentToken",
};

/** Keys for agents that are not a node's: they end it, or do something else than serve a queue. */
const notForNodes: Readonly<Record<string, string>> = {
  "acquire-job": "the agent would run one job and end",
  config: "the service names the file",
  "disconnect-after-idle-timeout": "the agent would end, and nothing starts it again",
  "disconnect-after-job": "the agent would end after its first job",
  "disconnect-after-uptime": "the agent would end, and nothing starts it again",
  "kubernetes-exec": "the agent would wait for a Kubernetes controller",
  "spawn-per-cpu": "the agent refuses it beside spawn",
};

/** A key that the agent does not know is ignored by it, without a word (guide row G4, S27); `queue` beside a tag is fatal. */
export const agentSettings: Rule = {
  code: "BK114",
  reads: ["agents.version", "agents.settings{}"],
  find: ({ agents }) => {
    const known = agentKeys(agents.version);
    return Object.keys(agents.settings).flatMap((key) => {
      const path = ["agents", "settings", key];
      const from = Object.hasOwn(owned, key) ? owned[key] : undefined;
      if (from !== undefined) {
        return [
          {
            path,
            at: "key",
            message: `agents.settings cannot set ${key}`,
            label: `comes from ${from}`,
            help: from === "the plan" ? "remove it: CI relies on its value" : `remove it and set ${from}`,
          },
        ];
      }
      const why = Object.hasOwn(notForNodes, key) ? notForNodes[key] : undefined;
      if (why !== undefined) {
        return [{ path, at: "key", message: `agents.settings cannot set ${key}`, label: why, help: "remove it" }];
      }
      if (known.includes(key)) return [];
      const meant = closest(key, known);
      return [
        {
          path,
          at: "key",
          message: `agent ${agents.version} knows no setting ${JSON.stringify(key)}`,
          label: meant === undefined ? "it would be ignored" : `did you mean ${meant}?`,
          help: "the agent ignores keys that it does not know; its documentation of this release has them all",
        },
      ];
    });
  },
};
