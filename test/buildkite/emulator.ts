/**
 * Buildkite's REST and GraphQL APIs on loopback, as far as a rollout asks them: strict, with its limits, with faults on request, and
 * with every call counted. Its clock moves when a test says so.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type DocumentNode, execute, GraphQLError, type OperationDefinitionNode, parse, validate } from "graphql";
import { schema } from "./schema.ts";
import { type EmulatedAgent, type NewAgent, World } from "./world.ts";

/** What goes wrong with one call. */
interface Fault {
  /** Answers this and does nothing. */
  readonly status?: number;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Does what is asked, then cuts the connection. */
  readonly lost?: true;
}

type Scope = "read_agents" | "write_agents" | "read_clusters" | "GraphQL";

interface Counter {
  readonly scope: "user" | "organization";
  readonly limit: number;
  readonly window: number;
  used: number;
  ends: number;
}

export interface BuildkiteEmulator {
  readonly world: World;
  /** The variables of a client. */
  readonly env: Readonly<Record<string, string>>;
  /** Each call that was taken, faults too: `GET agents`, `PUT agents/{id}/stop`, `GraphQL Agents`. */
  readonly calls: string[];
  /** Each stop that was done: UUID, and whether it was graceful. */
  readonly stops: { readonly id: string; readonly graceful: boolean }[];
  /** Calls that were refused for a limit. */
  readonly refusals: () => number;
  /** The largest part of a user's limit that was used in one window: requests, points. */
  readonly used: { requests: number; points: number };
  /** Points that each GraphQL call took. */
  readonly costs: number[];
  readonly connect: (agent: NewAgent) => EmulatedAgent;
  readonly disconnect: (id: string, state?: "disconnected" | "lost") => void;
  /** For a route: one fault a call, in this order; then none. */
  readonly fail: (route: string, ...faults: readonly Fault[]) => void;
  /** For a route: what happens elsewhere right before each of its next calls, in this order. */
  readonly on: (route: string, ...happens: readonly (() => unknown)[]) => void;
  /** A scope that the token lacks. */
  readonly forbid: (scope: Scope) => void;
  /** What others of the organisation, or of the same user, use up in this window. */
  readonly spend: (api: "rest" | "graphql", scope: "user" | "organization", amount: number) => void;
  readonly advance: (milliseconds: number) => void;
  readonly now: () => number;
  readonly close: () => Promise<void>;
}

const iso = (moment: number): string => new Date(moment).toISOString();

const readAll = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
};

/** Points of a result: one an object, one for all edges. */
const pointsOf = (value: unknown, key = ""): number => {
  if (Array.isArray(value)) {
    const inner = value.reduce((sum: number, each) => sum + pointsOf(each, key), 0);
    return inner + (key === "edges" ? 1 : 0);
  }
  if (typeof value !== "object" || value === null) return 0;
  const own = key === "edges" ? 0 : 1;
  return Object.entries(value).reduce((sum, [name, each]) => sum + pointsOf(each, name), own);
};

interface Checked {
  /** Undefined when there are problems. */
  readonly document: DocumentNode | undefined;
  readonly problems: readonly string[];
}

const checkedOnes = new Map<string, Checked>();

/** A query as the schema finds it. The same few come again and again. */
const checked = (query: string): Checked => {
  const check = (): Checked => {
    try {
      const document = parse(query);
      const problems = validate(schema, document).map(({ message }) => message);
      return { document: problems.length === 0 ? document : undefined, problems };
    } catch (error) {
      return { document: undefined, problems: [(error as Error).message] };
    }
  };
  const found = checkedOnes.get(query) ?? check();
  checkedOnes.set(query, found);
  return found;
};

/** @param clock Milliseconds since the epoch. */
export const startBuildkite = async (
  clock: () => number = Date.now,
  { organization = "acme", token = "bkua_0123456789abcdef0123456789abcdef01234567", permitted = true } = {},
): Promise<BuildkiteEmulator> => {
  let moved = 0;
  const now = (): number => clock() + moved;
  const world = new World(now);
  const calls: string[] = [];
  const stops: { id: string; graceful: boolean }[] = [];
  const costs: number[] = [];
  const used = { requests: 0, points: 0 };
  const faults = new Map<string, Fault[]>();
  const happenings = new Map<string, (() => unknown)[]>();
  const lacking = new Set<Scope>();
  let refusals = 0;

  const counters = (window: number, user: number, all: number): Counter[] => [
    { scope: "user", limit: user, window, used: 0, ends: now() + window },
    { scope: "organization", limit: all, window, used: 0, ends: now() + window },
  ];
  const limits = { rest: counters(60_000, 50, 200), graphql: counters(300_000, 5000, 20_000) };

  const spendOf = (api: "rest" | "graphql", amount: number): void => {
    for (const counter of limits[api]) {
      if (now() >= counter.ends) {
        counter.used = 0;
        counter.ends = now() + counter.window;
      }
      counter.used += amount;
    }
    const [user] = limits[api];
    const noun = api === "rest" ? "requests" : "points";
    used[noun] = Math.max(used[noun], user?.used ?? 0);
  };

  /** Headers of the limit that is closest to its end, and whether one is exceeded. */
  const limitState = (api: "rest" | "graphql") => {
    const closest = limits[api].toSorted((a, b) => a.limit - a.used - (b.limit - b.used))[0];
    if (closest === undefined) throw new Error("no limit");
    const reset = Math.ceil((closest.ends - now()) / 1000);
    return {
      exceeded: closest.used > closest.limit,
      reset,
      headers: {
        "ratelimit-limit": String(closest.limit),
        "ratelimit-remaining": String(Math.max(0, closest.limit - closest.used)),
        "ratelimit-reset": String(reset),
        "ratelimit-scope": closest.scope,
      },
    };
  };

  interface Given {
    readonly status: number;
    readonly body?: unknown;
    readonly headers?: Readonly<Record<string, string>>;
  }

  const restAgent = (agent: EmulatedAgent): object => {
    const job = world.running(agent);
    return {
      id: agent.id,
      graphql_id: agent.node,
      name: agent.name,
      hostname: agent.hostname,
      connection_state: agent.state,
      connected_at: iso(agent.connectedAt),
      created_at: iso(agent.connectedAt),
      meta_data: agent.tags,
      job: job === undefined ? null : { id: job.id, type: "script", state: "running", web_url: job.url },
    };
  };

  const pageOf = (url: URL, all: readonly object[]): Given => {
    const size = Math.min(Number(url.searchParams.get("per_page") ?? 30), 100);
    const page = Number(url.searchParams.get("page") ?? 1);
    const some = all.slice((page - 1) * size, page * size);
    const next = new URL(url);
    next.searchParams.set("page", String(page + 1));
    return {
      status: 200,
      body: some,
      ...(page * size < all.length && { headers: { link: `<${next.href}>; rel="next"` } }),
    };
  };

  const rest = (route: string, id: string, url: URL, body: unknown): Given => {
    switch (route) {
      case "GET agents": {
        // Those of the page alone are written out.
        const page = pageOf(url, world.there());
        return { ...page, body: (page.body as EmulatedAgent[]).map(restAgent) };
      }
      case "GET agents/{id}": {
        world.settle();
        const agent = world.agents.get(id);
        return agent === undefined
          ? { status: 404, body: { message: "No agent found" } }
          : { status: 200, body: restAgent(agent) };
      }
      case "PUT agents/{id}/stop": {
        const agent = world.agents.get(id);
        if (agent === undefined) return { status: 404, body: { message: "No agent found" } };
        const graceful = (body as { force?: boolean } | undefined)?.force === false;
        const refused = world.stop(agent, graceful);
        if (refused !== undefined) return { status: 400, body: { message: refused } };
        stops.push({ id, graceful });
        return { status: 204 };
      }
      case "GET clusters":
        return pageOf(
          url,
          [...new Set(world.queues.map(({ cluster }) => cluster))].map((cluster) => ({ id: cluster, name: cluster })),
        );
      default:
        return pageOf(
          url,
          world.queues
            .filter(({ cluster }) => cluster === id)
            .map((queue) => ({
              id: queue.id,
              graphql_id: queue.node,
              key: queue.key,
              dispatch_paused: queue.paused,
            })),
        );
    }
  };

  const graphqlAgent = (agent: EmulatedAgent): object => ({
    __typename: "Agent",
    id: agent.node,
    uuid: agent.id,
    name: agent.name,
    hostname: agent.hostname,
    metaData: agent.tags,
    connectedAt: iso(agent.connectedAt),
    createdAt: iso(agent.connectedAt),
    connectionState: agent.state,
    paused: world.isPaused(agent),
    isRunningJob: world.running(agent) !== undefined,
    job: () => {
      const job = world.running(agent);
      return job && { __typename: "JobTypeCommand", id: job.id, uuid: job.id, url: job.url };
    },
  });

  const stopByGraphql = ({
    input,
  }: {
    input: { id: string; graceful: boolean; clientMutationId?: string };
  }): object => {
    if (!permitted || lacking.has("write_agents"))
      throw new GraphQLError("You don't have permission to stop this agent");
    const agent = world.byNode.get(input.id);
    if (agent === undefined) throw new GraphQLError("No agent found");
    const refused = world.stop(agent, input.graceful);
    if (refused !== undefined) throw new GraphQLError(refused);
    stops.push({ id: agent.id, graceful: input.graceful });
    return { agent: graphqlAgent(agent), clientMutationId: input.clientMutationId ?? null };
  };

  interface AgentsArguments {
    readonly first?: number;
    readonly after?: string;
    readonly paused?: boolean;
  }

  const agentsByGraphql = ({ first = 500, after, paused }: AgentsArguments): object => {
    if (first > 500) throw new GraphQLError("first must be 500 or less");
    const agents = world.there().filter((agent) => paused === undefined || world.isPaused(agent) === paused);
    const from = after === undefined ? 0 : agents.findIndex(({ id }) => id === after) + 1;
    const some = agents.slice(from, from + first);
    return {
      count: agents.length,
      edges: some.map((agent) => ({ cursor: agent.id, node: graphqlAgent(agent) })),
      pageInfo: {
        hasNextPage: from + first < agents.length,
        hasPreviousPage: from > 0,
        startCursor: some[0]?.id ?? null,
        endCursor: some.at(-1)?.id ?? null,
      },
    };
  };

  const graphql = async (query: string, variables: Record<string, unknown>): Promise<Given> => {
    const { document, problems } = checked(query);
    if (document === undefined) return { status: 200, body: { errors: problems.map((message) => ({ message })) } };
    const result = await execute({
      schema,
      document,
      variableValues: variables,
      rootValue: {
        organization: ({ slug }: { slug: string }) =>
          slug === organization ? { id: slug, uuid: slug, slug, name: slug, agents: agentsByGraphql } : null,
        agent: ({ slug }: { slug: string }) => {
          world.settle();
          const [of, id = ""] = slug.split("/");
          const agent = of === organization ? world.agents.get(id) : undefined;
          return agent === undefined ? null : graphqlAgent(agent);
        },
        agentStop: stopByGraphql,
      },
    });
    const cost = pointsOf(result.data) - 1;
    costs.push(cost);
    spendOf("graphql", cost);
    return { status: 200, body: { data: result.data, ...(result.errors && { errors: result.errors }) } };
  };

  const operationOf = (body: unknown): string => {
    const { query = "" } = (body ?? {}) as { query?: string };
    const first = checked(query).document?.definitions[0] as OperationDefinitionNode | undefined;
    return first?.name?.value ?? "anonymous";
  };

  const scopes: Readonly<Record<string, Scope>> = {
    "GET agents": "read_agents",
    "GET agents/{id}": "read_agents",
    "PUT agents/{id}/stop": "write_agents",
    "GET clusters": "read_clusters",
    "GET clusters/{id}/queues": "read_clusters",
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const text = await readAll(request);
    const url = new URL(request.url ?? "", `http://${request.headers.host}`);
    let body: unknown;
    try {
      body = text === "" ? undefined : JSON.parse(text);
    } catch {
      body = undefined;
    }
    const isGraphql = url.pathname === "/graphql/v1";
    const parts = url.pathname.split("/").slice(1).map(decodeURIComponent);
    const [version, noun, slug, kind = "", id = "", verb] = parts;
    const route = isGraphql
      ? `GraphQL ${operationOf(body)}`
      : `${request.method} ${kind}${id === "" ? "" : "/{id}"}${verb === undefined ? "" : `/${verb}`}`;
    calls.push(route);
    happenings.get(route)?.shift()?.();
    const fault = faults.get(route)?.shift() ?? {};
    const api = isGraphql ? "graphql" : "rest";
    const send = ({ status, body: content, headers = {} }: Given): void => {
      response.sendDate = false;
      response.writeHead(status, {
        date: new Date(now()).toUTCString(),
        ...limitState(api).headers,
        ...(content !== undefined && { "content-type": "application/json" }),
        ...headers,
      });
      response.end(content === undefined ? "" : typeof content === "string" ? content : JSON.stringify(content));
    };
    const refuse = (status: number, message: string): void =>
      send({ status, body: isGraphql ? { errors: [{ message }] } : { message } });

    if (request.headers.authorization !== `Bearer ${token}`)
      return refuse(401, "Authentication required. Please supply a valid API Access Token");
    if (text !== "" && request.headers["content-type"] !== "application/json") return refuse(415, "No JSON");
    if (fault.status !== undefined) {
      return send({
        status: fault.status,
        body: fault.body ?? { message: "As it was asked to" },
        ...(fault.headers && { headers: fault.headers }),
      });
    }
    spendOf(api, isGraphql ? 0 : 1);
    const state = limitState(api);
    if (state.exceeded) {
      refusals += 1;
      return refuse(
        429,
        `You have exceeded your API rate limit. Please wait ${state.reset} seconds before making more requests.`,
      );
    }
    if (isGraphql) {
      if (lacking.has("GraphQL")) return refuse(403, "Your API access token doesn't have GraphQL access");
      if (request.method !== "POST") return refuse(405, "POST alone");
      const { query = "", variables = {} } = (body ?? {}) as { query?: string; variables?: Record<string, unknown> };
      const given = await graphql(query, variables);
      return fault.lost === true ? void request.socket.destroy() : send(given);
    }
    const scope = scopes[route];
    if (version !== "v2" || noun !== "organizations" || slug !== organization || scope === undefined)
      return refuse(404, "No organization found");
    if (lacking.has(scope)) return refuse(403, `Your access token does not have the ${scope} scope`);
    if (!permitted && scope === "write_agents") return refuse(403, "You don't have permission to stop this agent");
    const given = rest(route, id, url, body);
    return fault.lost === true ? void request.socket.destroy() : send(given);
  };

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      response.writeHead(599).end(`the emulator broke: ${String(error)}`);
    });
  });
  const port = await new Promise<number>((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });

  const requireRoute = (route: string): string => {
    if (!route.startsWith("GraphQL ") && scopes[route] === undefined)
      throw new Error(`the emulator has no route ${route}`);
    return route;
  };

  return {
    world,
    env: {
      BUILDKITE_API_TOKEN: token,
      BUILDKITE_ORGANIZATION_SLUG: organization,
      BUILDKITE_REST_API_ENDPOINT: `http://127.0.0.1:${port}`,
      BUILDKITE_GRAPHQL_ENDPOINT: `http://127.0.0.1:${port}/graphql/v1`,
    },
    calls,
    stops,
    refusals: () => refusals,
    used,
    costs,
    connect: (agent) => world.connect(agent),
    disconnect: (id, state) => world.disconnect(id, state),
    fail: (route, ...wanted) => void faults.set(requireRoute(route), [...wanted]),
    on: (route, ...happens) => void happenings.set(requireRoute(route), [...happens]),
    forbid: (scope) => void lacking.add(scope),
    spend: (api, scope, amount) => {
      spendOf(api, 0);
      for (const counter of limits[api]) if (counter.scope === scope) counter.used += amount;
    },
    advance: (milliseconds) => {
      moved += milliseconds;
      world.settle();
    },
    now,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
};
