/** An agent as Buildkite's two APIs show it, and what is asked of them. Pure. */
import * as z from "zod";

/** An agent that is connected. */
export interface Agent {
  /** UUID: what `stop` takes. */
  readonly id: string;
  readonly name: string;
  /** As the node says it, and may have a domain behind; empty when it does not. */
  readonly hostname: string;
  /** `name=value`, `bake-id=…` among them. */
  readonly tags: readonly string[];
  /** Milliseconds since the epoch, by Buildkite's clock. */
  readonly connectedAt: number;
  /** It takes no further job, and goes when the one that it has ends. */
  readonly stopping: boolean;
  /** Always false where the token has no GraphQL access: nothing else shows it. */
  readonly paused: boolean;
  /** Where its running job can be looked at. */
  readonly job: string | undefined;
}

/** Agents in one page of GraphQL: what its connections give at most. */
export const graphqlPage = 500;

const hiddenJob = "a job that the token may not see";

const graphqlAgent = z.object({
  id: z.string(),
  uuid: z.string(),
  name: z.string(),
  hostname: z.string().nullish(),
  metaData: z.array(z.string()).nullish(),
  connectedAt: z.string().nullish(),
  createdAt: z.string().nullish(),
  connectionState: z.string(),
  isRunningJob: z.boolean(),
  paused: z.boolean(),
  job: z.object({ url: z.string().optional() }).nullish(),
});

export const restAgents = z.array(
  z.object({
    id: z.string(),
    graphql_id: z.string(),
    name: z.string(),
    hostname: z.string().nullish(),
    meta_data: z.array(z.string()).nullish(),
    connected_at: z.string().nullish(),
    created_at: z.string().nullish(),
    connection_state: z.string(),
    job: z.object({ web_url: z.string().nullish() }).nullish(),
  }),
);

const agentFields =
  "id uuid name hostname metaData connectedAt createdAt connectionState isRunningJob paused job { ... on JobTypeCommand { url } }";

export const agentsQuery = `query Agents($organization: ID!) {
  organization(slug: $organization) {
    agents(first: ${graphqlPage}) {
      pageInfo { hasNextPage endCursor }
      edges { node { ${agentFields} } }
    }
  }
}`;

export const pausedQuery = `query Paused($organization: ID!, $after: String) {
  organization(slug: $organization) {
    agents(first: ${graphqlPage}, after: $after, paused: true) {
      pageInfo { hasNextPage endCursor }
      edges { node { uuid } }
    }
  }
}`;

/** Asks for so many agents by their slugs, `$a0` and so on. */
export const eachQuery = (count: number): string => {
  const names = Array.from({ length: count }, (_, at) => `a${at}`);
  return `query Each(${names.map((name) => `$${name}: ID!`).join(", ")}) {
${names.map((name) => `  ${name}: agent(slug: $${name}) { ${agentFields} }`).join("\n")}
}`;
};

const connection = <T>(node: z.ZodType<T>) =>
  z.object({
    organization: z
      .object({
        agents: z.object({
          pageInfo: z.object({ hasNextPage: z.boolean(), endCursor: z.string().nullish() }),
          edges: z.array(z.object({ node: node.nullable() }).nullable()),
        }),
      })
      .nullable(),
  });

export const agentConnection = connection(graphqlAgent);
export const pausedConnection = connection(z.object({ uuid: z.string() }));
export const eachAnswer = z.record(z.string(), graphqlAgent.nullable()).nullish();

/** Those that are neither are gone. */
export const isThere = (state: string): boolean => state === "connected" || state === "stopping";

const momentOf = (...texts: readonly (string | null | undefined)[]): number => {
  const moment = Date.parse(texts.find((text) => typeof text === "string") ?? "");
  // Long ago: whoever waits for an agent that connected after something began does not take this one for it.
  return Number.isNaN(moment) ? 0 : moment;
};

/** An agent as GraphQL tells of it. Pure. */
export const fromGraphql = (agent: z.infer<typeof graphqlAgent>): Agent => ({
  id: agent.uuid,
  name: agent.name,
  hostname: agent.hostname ?? "",
  tags: agent.metaData ?? [],
  connectedAt: momentOf(agent.connectedAt, agent.createdAt),
  stopping: agent.connectionState === "stopping",
  paused: agent.paused,
  job: agent.isRunningJob ? (agent.job?.url ?? hiddenJob) : undefined,
});

/** An agent as REST tells of it, which does not say whether it is paused. Pure. */
export const fromRest = (agent: z.infer<typeof restAgents>[number], paused: boolean): Agent => ({
  id: agent.id,
  name: agent.name,
  hostname: agent.hostname ?? "",
  tags: agent.meta_data ?? [],
  connectedAt: momentOf(agent.connected_at, agent.created_at),
  stopping: agent.connection_state === "stopping",
  paused,
  job: agent.job ? (agent.job.web_url ?? hiddenJob) : undefined,
});

/** GraphQL's ID of an agent that no answer named: the kind and the UUID, in base64. */
export const nodeIdOf = (uuid: string): string => Buffer.from(`Agent---${uuid}`).toString("base64");

/** Whether a refusal says that there is no such agent any more. */
export const saysGone = (message: string): boolean =>
  /only stop connected|no agent|not found|does ?n.t exist|could ?n.t find/i.test(message);
