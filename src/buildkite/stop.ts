/** Agents told to stop, many in one request. */
import { BakeError } from "../errors.ts";
import { type PartError, reasonIn } from "./api.ts";
import { nodeIdOf, saysGone } from "./agent.ts";
import type { Reach } from "./reach.ts";

export type StopOutcome = "stopping" | "gone" | { readonly refused: string };

/** Agents that one mutation stops, at a point each. */
const batch = 50;

const saysForbidden = (message: string): boolean => /permission|not authori[sz]ed|not allowed|forbidden/i.test(message);

/** What is asked for is a plain value: an object would cost a point more. */
const stopQuery = (count: number): string => {
  const aliases = Array.from({ length: count }, (_, at) => `a${at}`);
  return `mutation Stop(${aliases.map((alias) => `$${alias}: AgentStopInput!`).join(", ")}) {
${aliases.map((alias) => `  ${alias}: agentStop(input: $${alias}) { clientMutationId }`).join("\n")}
}`;
};

const outcomeOf = (message: string): StopOutcome =>
  saysGone(message) ? "gone" : { refused: message === "" ? "Buildkite does not say why" : message };

const requirePermission = (messages: readonly string[]): void => {
  const [first] = messages;
  if (first === undefined || !messages.every(saysForbidden)) return;
  throw new BakeError(
    "BK442",
    `Buildkite does not allow to stop agents: ${first}`,
    "The token needs the scope write_agents, and its user the permission to stop agents (an administrator has it).",
  );
};

/**
 * @param nodes GraphQL's IDs by UUID.
 * @throws BakeError BK441 to BK445; BK442 also when all of a request are refused for want of permission.
 */
export const makeStop = (
  { api, byGraphql }: Reach,
  nodes: ReadonlyMap<string, string>,
): ((agents: readonly string[], options: { readonly killJobs: boolean }) => Promise<Map<string, StopOutcome>>) => {
  /** Stopping twice is as stopping once, so a lost answer is asked for again. */
  const many = async (agents: readonly string[], killJobs: boolean): Promise<Map<string, StopOutcome>> => {
    const variables = Object.fromEntries(
      // graceful has true as its default: said all the same.
      agents.map((id, at) => [`a${at}`, { id: nodes.get(id) ?? nodeIdOf(id), graceful: !killJobs }]),
    );
    const { errors } = await api.graphql(stopQuery(agents.length), variables, agents.length + 1);
    const whole = errors.find(({ alias }) => alias === undefined);
    if (whole !== undefined && agents.length > 1) {
      // One of them spoils the request: the others are found by halves.
      const half = Math.ceil(agents.length / 2);
      const first = await many(agents.slice(0, half), killJobs);
      return new Map([...first, ...(await many(agents.slice(half), killJobs))]);
    }
    const of = (at: number): PartError | undefined => whole ?? errors.find(({ alias }) => alias === `a${at}`);
    if (errors.length >= agents.length) requirePermission(errors.map(({ message }) => message));
    return new Map(
      agents.map((id, at) => {
        const error = of(at);
        return [id, error === undefined ? "stopping" : outcomeOf(error.message)];
      }),
    );
  };

  const one = async (agent: string, killJobs: boolean): Promise<StopOutcome> => {
    const { status, body } = await api.rest(["agents", agent, "stop"], {
      method: "PUT",
      // Left out it is true, and cancels what runs.
      body: { force: killJobs },
      scope: "write_agents",
      accept: [400, 404, 422],
    });
    if (status < 300) return "stopping";
    return status === 404 ? "gone" : outcomeOf(api.clean(reasonIn(body)));
  };

  return async (wanted, { killJobs }) => {
    const agents = [...new Set(wanted)];
    const outcomes = new Map<string, StopOutcome>();
    for (let from = 0; from < agents.length; from += batch) {
      const some = agents.slice(from, from + batch);
      const found = await byGraphql(() => many(some, killJobs));
      for (const id of some) outcomes.set(id, found?.get(id) ?? (await one(id, killJobs)));
    }
    return outcomes;
  };
};
