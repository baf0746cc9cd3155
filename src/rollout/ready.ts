/** Whether a new node takes jobs: its agents prove it, as in a rollout. */
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { agentsBack, agentsOf, lookOf } from "./look.ts";
import type { Agents } from "./ports.ts";

interface Awaited {
  readonly hostname: string;
  readonly bakeId: string;
  /** Agents that it has to have. */
  readonly agents: number;
  /** Milliseconds that they may take, and between two looks. */
  readonly limit: number;
  readonly interval: number;
  /** By this machine's clock, when it was begun to be made: agents from before are those of another server of that name. */
  readonly since?: number;
}

export interface Readiness {
  readonly isReady: boolean;
  /** For people. */
  readonly text: string;
}

/**
 * Waits until all agents of a host are connected with a bake id.
 * @param show Told after each look that does not end it.
 * @throws the signal's reason; BakeError BK441 when Buildkite refuses the token. Other failures of Buildkite's are waited for.
 */
export const waitUntilReady = async (
  agents: Pick<Agents, "look" | "clockSkew">,
  host: Pick<Host, "now" | "sleep" | "signal">,
  { hostname, bakeId, agents: wanted, limit, interval, since }: Awaited,
  show: (text: string) => void,
): Promise<Readiness> => {
  for (const started = host.now(); ; ) {
    let text: string;
    try {
      const look = lookOf(host.now(), [], await agents.look());
      const after = since === undefined ? undefined : since + (agents.clockSkew() ?? 0);
      const back = agentsBack(look, hostname, bakeId, after);
      const others = agentsOf(look, hostname).length - back;
      text = `${back} of ${wanted} agents are connected${others > 0 ? `, ${others} with another bake id, from before, or stopping` : ""}`;
      if (back >= wanted) return { isReady: true, text };
    } catch (error) {
      if (!(error instanceof BakeError) || error.code === "BK441") throw error;
      text = `Buildkite does not say: ${error.message}`;
    }
    const waited = host.now() - started;
    if (waited >= limit) return { isReady: false, text: `${text} after ${Math.round(waited / 1000)} s` };
    show(text);
    await host.sleep(interval, host.signal);
  }
};
