/** Buildkite agents: names, and what each one owns (guide rows G2–G10, G24–G28). Pure. */
import type { Profile } from "../../profile/schema.ts";

/** What the CI script derives from an agent's name (run-npu-test.sh: `([0-9]+)-([0-9]+)cards$`). */
interface AgentShare {
  readonly index: number;
  readonly builder: string;
  readonly devices: readonly string[];
  readonly dockerCache: string;
  /** Of ModelScope. */
  readonly modelCache: string;
  /** Of Hugging Face; a team's script mounts this one beside the other, or instead of it. */
  readonly hfCache: string;
}

export interface AgentFacts {
  readonly version: string;
  readonly spawn: number;
  readonly cards: number;
  readonly queue: string;
  /** `%spawn` is expanded by the agent, `%hostname` by Buildkite from the hostname at registration. */
  readonly nameTemplate: string;
  readonly each: readonly AgentShare[];
}

/** The agents of a profile, each with what it owns: index 1 to spawn. Pure. */
export const agentFacts = ({ agents, storage }: Profile): AgentFacts => ({
  version: agents.version,
  spawn: agents.spawn,
  cards: agents.cards,
  queue: agents.queue,
  nameTemplate: `%hostname-%spawn-${agents.cards}cards`,
  each: Array.from({ length: agents.spawn }, (_, position) => {
    const index = position + 1;
    return {
      index,
      builder: `cachebuilder${index}`,
      devices: Array.from({ length: agents.cards }, (_unused, card) => `/dev/davinci${position * agents.cards + card}`),
      dockerCache: `${storage.mount}/docker-cache${index}`,
      modelCache: `${storage.mount}/modelscope${index}`,
      hfCache: `${storage.mount}/hf_cache${index}`,
    };
  }),
});
