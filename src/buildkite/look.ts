/** All agents that are connected, in few requests and none of them missed. */
import { BakeError } from "../errors.ts";
import { type PartError, readAs } from "./api.ts";
import {
  type Agent,
  agentConnection,
  agentsQuery,
  eachAnswer,
  eachQuery,
  fromGraphql,
  fromRest,
  graphqlPage,
  isThere,
  pausedConnection,
  pausedQuery,
  restAgents,
  saysGone,
} from "./agent.ts";
import { buildkiteVariables } from "./endpoints.ts";
import type { Reach } from "./reach.ts";

/** Agents that one query asks for by their slugs. */
const batch = 100;
/** Points that a look leaves, for stopping. */
const keptForStops = 200;
/** Points of the question who is paused: few are at a time, and what more it costs the answer says. */
const pausedCost = 24;

/** @throws BakeError BK444 for an answer that is an error, BK445 for an organisation that is not there. */
const requireData = (
  organization: string,
  { data, errors }: { readonly data: unknown; readonly errors: readonly PartError[] },
): unknown => {
  const [first] = errors;
  if (first !== undefined)
    throw new BakeError("BK444", `Buildkite refuses to list agents by GraphQL: ${first.message}`);
  if ((data as { organization?: unknown } | undefined)?.organization === null) {
    throw new BakeError(
      "BK445",
      `Buildkite does not know the organisation ${organization}, or the token is not for it`,
      `Look at ${buildkiteVariables.organization}: it is the first part of a pipeline's address.`,
    );
  }
  return data;
};

/** A page with all agents; undefined when there are more than fit. */
const onePage = async (
  { api, organization }: Reach,
  cost: number,
  nodes: Map<string, string>,
): Promise<Agent[] | undefined> => {
  const answer = await api.graphql(agentsQuery, { organization }, cost);
  const { organization: found } = readAs(agentConnection, requireData(organization, answer), "agents");
  if (found === null || found.agents.pageInfo.hasNextPage) return undefined;
  return found.agents.edges.flatMap((edge): Agent[] => {
    const node = edge?.node;
    if (!node || !isThere(node.connectionState)) return [];
    nodes.set(node.uuid, node.id);
    return [fromGraphql(node)];
  });
};

const pausedOf = async ({ api, organization }: Reach): Promise<ReadonlySet<string>> => {
  const paused = new Set<string>();
  for (let after: string | undefined; ; ) {
    const variables = { organization, ...(after !== undefined && { after }) };
    const answer = await api.graphql(pausedQuery, variables, pausedCost);
    const { organization: found } = readAs(pausedConnection, requireData(organization, answer), "paused agents");
    for (const edge of found?.agents.edges ?? []) if (edge?.node) paused.add(edge.node.uuid);
    const { hasNextPage = false, endCursor } = found?.agents.pageInfo ?? {};
    if (!hasNextPage || !endCursor || endCursor === after) return paused;
    after = endCursor;
  }
};

/** Those of these agents that are there, asked for one by one, many in a request. */
const stillThere = async ({ api, organization }: Reach, agents: readonly string[]): Promise<Agent[]> => {
  const there: Agent[] = [];
  for (let from = 0; from < agents.length; from += batch) {
    const some = agents.slice(from, from + batch);
    const variables = Object.fromEntries(some.map((id, at) => [`a${at}`, `${organization}/${id}`]));
    const { data, errors } = await api.graphql(eachQuery(some.length), variables, some.length * 2);
    // Whoever is not known for certain to be gone may be running a job.
    const unclear = errors.find(({ message }) => !saysGone(message));
    if (unclear !== undefined)
      throw new BakeError("BK444", `Buildkite does not say what an agent does: ${unclear.message}`);
    for (const agent of Object.values(readAs(eachAnswer, data, "agents by their slugs") ?? {})) {
      if (agent !== null && isThere(agent.connectionState)) there.push(fromGraphql(agent));
    }
  }
  return there;
};

/**
 * Looks at all agents.
 *
 * Up to 500 come by one GraphQL request, at a point each and one for a job. More, or when points are short, come by REST, 100 a request:
 * its limit allows five times as many agents a minute. Its pages shift while they are read: an agent that was there before and is
 * missed is asked for by its own slug, and gone only when Buildkite says so; without GraphQL, when a second reading misses it too.
 *
 * @param nodes GraphQL's IDs by UUID: what is learned goes in.
 */
export const makeLook = (reach: Reach, now: () => number, nodes: Map<string, string>): (() => Promise<Agent[]>) => {
  const { api, pages, byGraphql } = reach;
  let known: readonly Agent[] = [];
  let few = true;
  let paused: ReadonlySet<string> | undefined;

  const byRest = async (whoIsPaused: ReadonlySet<string>) => {
    const found = new Map<string, Agent>();
    const { all, count } = await pages(["agents"], restAgents, "read_agents");
    for (const agent of all) {
      nodes.set(agent.id, agent.graphql_id);
      if (isThere(agent.connection_state)) found.set(agent.id, fromRest(agent, whoIsPaused.has(agent.id)));
    }
    return { found, count };
  };

  return async () => {
    // As many as last time, and as many of them with a job; before the first look nobody knows.
    const cost = known.length * 2 + 4;
    if (few && api.points.room(now()) >= cost + keptForStops) {
      const all = await byGraphql(() => onePage(reach, cost, nodes));
      if (all !== undefined) {
        known = all;
        return all;
      }
    }
    // Short of points, the last answer has to do: who waits for the next five minutes sees nothing at all.
    if (paused === undefined || api.points.room(now()) >= pausedCost) {
      paused = (await byGraphql(() => pausedOf(reach))) ?? new Set<string>();
    }
    const { found, count } = await byRest(paused);
    const missed = known.filter(({ id }) => !found.has(id)).map(({ id }) => id);
    if (missed.length > 0 && count > 1) {
      const affordable = api.points.room(now()) >= missed.length * 2 + keptForStops;
      const there = affordable ? await byGraphql(() => stillThere(reach, missed)) : undefined;
      for (const agent of there ?? (await byRest(paused)).found.values())
        if (!found.has(agent.id)) found.set(agent.id, agent);
    }
    known = [...found.values()];
    few = known.length <= graphqlPage;
    return [...known];
  };
};
