/** What `bake ecs create` says of a server that runs: whether it is a node that takes jobs. */
import { makeAgents } from "../buildkite/client.ts";
import { buildkiteSettings } from "../buildkite/endpoints.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { Profile } from "../profile/schema.ts";
import { waitUntilReady } from "../rollout/ready.ts";
import { makeHttp } from "../store/http.ts";

/** Milliseconds without an answer of Buildkite. */
const stall = 20_000;

export interface NodeReadiness {
  /** Undefined where nobody could tell. */
  readonly isReady: boolean | undefined;
  /** A sentence for people. */
  readonly text: string;
}

/**
 * Waits for the agents of a node, within `rollout.readyTimeout`.
 * @param waits Whether to ask Buildkite at all. `since`: when this server was begun to be made.
 * @throws the signal's reason.
 */
export const nodeReadiness = async (
  host: Host,
  { agents: { spawn }, rollout: { readyTimeout, interval } }: Profile,
  {
    name,
    bakeId,
    waits,
    since,
  }: { readonly name: string; readonly bakeId: string; readonly waits: boolean; readonly since?: number },
): Promise<NodeReadiness> => {
  const howToSee = `It takes jobs when its agents are connected: in Buildkite they are on the host ${name}, tagged bake-id=${bakeId}.`;
  if (!waits) return { isReady: undefined, text: howToSee };
  try {
    const agents = makeAgents(makeHttp({ env: host.env, stall }), host, buildkiteSettings(host.env));
    const { isReady, text } = await host.progress.step("ecs-ready", `the agents of ${name} connect`, (update) =>
      waitUntilReady(
        agents,
        host,
        {
          hostname: name,
          bakeId,
          agents: spawn,
          limit: readyTimeout * 1000,
          interval: interval * 1000,
          ...(since !== undefined && { since }),
        },
        update,
      ),
    );
    return {
      isReady,
      text: isReady
        ? `It takes jobs: ${text}.`
        : `It does not take jobs: ${text}. Its console shows its gate's reason (bake-ready); the same command waits again.`,
    };
  } catch (error) {
    if (host.signal.aborted || !(error instanceof BakeError)) throw error;
    return { isReady: undefined, text: `Whether it takes jobs is not known: ${error.message}. ${howToSee}` };
  }
};
