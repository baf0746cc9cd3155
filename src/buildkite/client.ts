/** Agents of one organisation: looked at together, and stopped many at a time. */
import type { Host } from "../host/host.ts";
import type { Http } from "../store/http.ts";
import type { Agent } from "./agent.ts";
import { makeApi } from "./api.ts";
import type { BuildkiteSettings } from "./endpoints.ts";
import { makeLook } from "./look.ts";
import { makeReach } from "./reach.ts";
import { makeStop, type StopOutcome } from "./stop.ts";

/** Calls throw BakeError BK441 to BK445, or the signal's reason. */
export interface BuildkiteAgents {
  /** All agents that are connected or stopping. */
  readonly look: () => Promise<readonly Agent[]>;
  /**
   * Asks agents to stop, 50 in one request. `killJobs` cancels what they run; without it their jobs end first. What Buildkite says of one that stops already is not known for certain: whether one is gone
   * is what `look` shows.
   */
  readonly stop: (
    agents: readonly string[],
    options: { readonly killJobs: boolean },
  ) => Promise<ReadonlyMap<string, StopOutcome>>;
  /** Keys of the queues whose dispatch a person paused: no job reaches their agents. */
  readonly pausedQueues: () => Promise<readonly string[]>;
  /** Buildkite's clock less this machine's, in milliseconds, by the last answer. */
  readonly clockSkew: () => number | undefined;
}

/**
 * A client for one organisation; its requests go one after the other.
 * @throws BakeError BK441 for a token that no header can carry.
 */
export const makeAgents = (
  http: Http,
  host: Pick<Host, "now" | "sleep" | "random" | "signal" | "progress">,
  settings: BuildkiteSettings,
): BuildkiteAgents => {
  const api = makeApi(http, host, settings);
  const reach = makeReach(api, host.progress, settings.organization);
  const nodes = new Map<string, string>();
  return {
    look: makeLook(reach, host.now, nodes),
    stop: makeStop(reach, nodes),
    pausedQueues: async () => {
      const paused = (await reach.queues()).filter((queue) => queue.dispatch_paused === true).map(({ key }) => key);
      return [...new Set(paused)];
    },
    clockSkew: api.clockSkew,
  };
};
