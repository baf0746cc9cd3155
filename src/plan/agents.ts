/** Buildkite agents: names, what each one owns, configuration (guide rows G2–G10, G24–G28). */
import { isAtLeast } from "../formats/version.ts";
import type { Profile } from "../profile/schema.ts";

/** What the CI script derives from an agent's name (run-npu-test.sh: `([0-9]+)-([0-9]+)cards$`). */
interface Agent {
  readonly index: number;
  readonly builder: string;
  readonly devices: readonly string[];
  readonly dockerCache: string;
  readonly modelCache: string;
}

export interface AgentPlan {
  readonly version: string;
  readonly spawn: number;
  readonly cards: number;
  readonly queue: string;
  /** `%spawn` is expanded by the agent, `%hostname` by Buildkite from the hostname at registration. */
  readonly nameTemplate: string;
  readonly prefix: string;
  readonly binary: string;
  readonly configFile: string;
  readonly buildPath: string;
  readonly hooksPath: string;
  readonly pluginsPath: string;
  readonly gitCloneFlags: string;
  readonly gitFetchFlags: string;
  readonly stopTimeout: number;
  readonly endpoint?: string;
  /** `host:port` of the agent's own health service. */
  readonly healthAddress: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
  /** Further keys of buildkite-agent.cfg. */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  /**
   * How the token reaches the agent: `file` is read by the agent itself (`token="file://…"`, from 3.133.0),
   * `environment` by systemd for older agents.
   */
  readonly token: { readonly via: "file" | "environment"; readonly path: string };
  readonly each: readonly Agent[];
}

const prefix = "/root/.buildkite-agent";

/** `token="file://…"` works from this release on (facts: buildkite-agent 3.133.0). */
const readsTokenFile = (version: string): boolean => isAtLeast(version, "3.133.0");

export const planAgents = ({ agents, storage }: Profile): AgentPlan => ({
  version: agents.version,
  spawn: agents.spawn,
  cards: agents.cards,
  queue: agents.queue,
  nameTemplate: `%hostname-%spawn-${agents.cards}cards`,
  prefix,
  binary: `${prefix}/bin/buildkite-agent`,
  configFile: `${prefix}/buildkite-agent.cfg`,
  buildPath: `${prefix}/builds`,
  hooksPath: `${prefix}/hooks`,
  pluginsPath: `${prefix}/plugins`,
  gitCloneFlags: agents.gitCloneFlags,
  gitFetchFlags: agents.gitFetchFlags,
  stopTimeout: agents.stopTimeout,
  ...(agents.endpoint !== undefined && { endpoint: agents.endpoint }),
  healthAddress: agents.healthAddress,
  tags: agents.tags,
  environment: agents.environment,
  settings: agents.settings,
  token: readsTokenFile(agents.version)
    ? { via: "file", path: "/etc/bake/secrets/agent-token" }
    : { via: "environment", path: "/etc/bake/secrets/agent-token.env" },
  each: Array.from({ length: agents.spawn }, (_, position) => {
    const index = position + 1;
    return {
      index,
      builder: `cachebuilder${index}`,
      devices: Array.from({ length: agents.cards }, (_unused, card) => `/dev/davinci${position * agents.cards + card}`),
      dockerCache: `${storage.mount}/docker-cache${index}`,
      modelCache: `${storage.mount}/modelscope${index}`,
    };
  }),
});
