/** Calls to Buildkite's REST and GraphQL APIs: within their limits, repeated where that is safe, and never with a token that was refused. */
import * as z from "zod";
import { BakeError } from "../errors.ts";
import { formatSeconds } from "../host/progress.ts";
import type { Host } from "../host/host.ts";
import { withoutSecretShapes } from "../secrets/shapes.ts";
import type { Headers, Http } from "../store/http.ts";
import { HttpError, isTransientStatus } from "../store/http-error.ts";
import { readText } from "../store/read-text.ts";
import { backoffAfter, retry } from "../store/retry.ts";
import { type BuildkiteSettings, buildkiteVariables } from "./endpoints.ts";
import { type Limit, makeLimit, pauseAsked } from "./limits.ts";

const mostAttempts = 5;
const firstPause = 1000;
const longestBackoff = 30_000;

/** Bytes of an answer: 500 agents by GraphQL are half a megabyte. */
const largestAnswer = 16 << 20;

/** What a token needs for a call, in the words of the page where tokens are made. */
type Scope = "read_agents" | "write_agents" | "read_clusters" | "GraphQL";

/** The token has no access to GraphQL: the REST API may still answer. */
export class NoGraphql extends Error {}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** An error of a GraphQL answer that has data besides. */
export interface PartError {
  /** The alias that it is about; undefined when it is about all. */
  readonly alias: string | undefined;
  readonly message: string;
}

interface RestRequest {
  readonly method?: "GET" | "PUT";
  readonly body?: object;
  readonly query?: Readonly<Record<string, string | number>>;
  readonly scope: Scope;
  /** Statuses that are answers and no failures. */
  readonly accept?: readonly number[];
}

export interface Api {
  /** @param path Segments below the organisation. @throws BakeError BK441 to BK445; the signal's reason. */
  readonly rest: (path: readonly string[], request: RestRequest) => Promise<Answer>;
  /**
   * @param cost Points that it will take at most.
   * @returns data, and what went wrong with parts of it.
   * @throws NoGraphql; BakeError BK441 to BK445; the signal's reason.
   */
  readonly graphql: (
    query: string,
    variables: object,
    cost: number,
  ) => Promise<{ readonly data: unknown; readonly errors: readonly PartError[] }>;
  readonly points: Limit;
  /** Buildkite's clock less this machine's, in milliseconds. */
  readonly clockSkew: () => number | undefined;
  /** A text of Buildkite's for a message: one line, without secrets. */
  readonly clean: (text: string) => string;
}

class Busy extends Error {
  readonly answer: Answer;

  constructor(answer: Answer) {
    super(`it answers ${answer.status}`);
    this.answer = answer;
  }
}

const parsed = (body: string): unknown => {
  try {
    return body === "" ? {} : JSON.parse(body);
  } catch {
    return undefined;
  }
};

const graphqlAnswer = z.object({
  data: z.unknown().optional(),
  errors: z
    .array(z.object({ message: z.string(), path: z.array(z.union([z.string(), z.number()])).optional() }))
    .optional(),
});

const restMessage = z.object({ message: z.string() });

/** What Buildkite says in an answer that is a refusal; empty when it says nothing. Pure. */
export const reasonIn = (body: string): string => {
  const content = parsed(body);
  const rest = restMessage.safeParse(content);
  if (rest.success) return rest.data.message;
  const graphql = graphqlAnswer.safeParse(content);
  return graphql.success ? (graphql.data.errors ?? []).map(({ message }) => message).join("; ") : "";
};

/** Reads an answer as JSON of a shape. @throws BakeError BK444 */
export const readAs = <T>(shape: z.ZodType<T>, content: unknown, what: string): T => {
  const read = shape.safeParse(content);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new BakeError(
    "BK444",
    `Buildkite answers what bake does not understand: ${what}: ${content === undefined ? "no JSON" : `${issue?.path.join(".") || "all of it"}: ${issue?.message ?? ""}`}`,
    "Tell the makers of bake; a proxy in between may have answered.",
  );
};

/** Reads an answer's JSON of a shape. @throws BakeError BK444 */
export const readBody = <T>(shape: z.ZodType<T>, { body }: Answer, what: string): T =>
  readAs(shape, parsed(body), what);

/**
 * The two APIs of one organisation. After one 401 nothing is sent any more.
 * @param host Its progress says what is waited for, its signal stops.
 * @throws BakeError BK441 for a token that no header can carry.
 */
export const makeApi = (
  http: Http,
  host: Pick<Host, "now" | "sleep" | "random" | "signal" | "progress">,
  { rest: restUrl, graphql: graphqlUrl, organization, token }: BuildkiteSettings,
): Api => {
  const refusedToken = (why: string): BakeError =>
    new BakeError(
      "BK441",
      `Buildkite refuses the API access token: ${why}`,
      `Look at ${buildkiteVariables.token}: it may be revoked, expired, or not allowed from this address. Nothing was tried again.`,
    );
  if (!/^[\x21-\x7e]+$/.test(token)) throw refusedToken("it has characters that no token has");

  const requests = makeLimit();
  const points = makeLimit();
  let skew: number | undefined;
  let refused: BakeError | undefined;

  const clean = (text: string): string =>
    withoutSecretShapes(text.replaceAll(token, "***"))
      .replace(/<[^>]*>/g, " ")
      .replace(/[\s\0-\x1f\x7f]+/g, " ")
      .trim()
      .slice(0, 400);

  const waitFor = async (pause: number, why: string): Promise<void> => {
    if (pause <= 0) return;
    host.progress.note(`Buildkite: ${why}; waiting ${formatSeconds(pause / 1000)}`);
    await host.sleep(pause, host.signal);
  };

  const send = async (url: string, method: "GET" | "PUT" | "POST", body: object | undefined): Promise<Answer> => {
    const response = await http(url, {
      method,
      // The token is for one place.
      follow: false,
      headers: {
        authorization: `Bearer ${token}`,
        accept: "application/json",
        "user-agent": "bake",
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      // One of its own: of more than ten that listen to one signal Node warns.
      signal: AbortSignal.any([host.signal]),
    });
    const date = Date.parse(response.headers["date"] ?? "");
    if (!Number.isNaN(date)) skew = date - host.now();
    const text = await readText(response, { url, limit: largestAnswer, signal: host.signal });
    return { status: response.status, headers: response.headers, body: text };
  };

  const failure = (what: string, scope: Scope, { status, body }: Answer): BakeError => {
    const words = clean(reasonIn(body));
    const said = words === "" ? `it answers ${status} and says no more` : `${words} (${status})`;
    switch (true) {
      case status === 401:
        refused = refusedToken(said);
        return refused;
      case status === 403:
        return new BakeError(
          "BK442",
          `Buildkite does not allow to ${what}: ${said}`,
          scope === "write_agents"
            ? "The token needs the scope write_agents, and its user the permission to stop agents (an administrator has it)."
            : `The token needs ${scope === "GraphQL" ? "GraphQL access" : `the scope ${scope}`} in the organisation ${organization}.`,
        );
      case status === 404:
        return new BakeError(
          "BK445",
          `Buildkite does not find what bake asks for, to ${what}: ${said}`,
          `Look at ${buildkiteVariables.organization} (${clean(organization)}): it is the first part of a pipeline's address, and the token must be for that organisation.`,
        );
      case isTransientStatus(status):
        return new BakeError(
          "BK443",
          `Buildkite is busy or broken, and did not ${what}: ${said}`,
          "Try again in a few minutes; Buildkite's status page tells of outages.",
        );
      default:
        return new BakeError("BK444", `Buildkite refuses to ${what}: ${said}`);
    }
  };

  /** One answer that is none of a busy service. */
  const ask = async (
    {
      url,
      method,
      body,
      what,
      scope,
    }: { url: string; method: "GET" | "PUT" | "POST"; body?: object; what: string; scope: Scope },
    limit: Limit,
    cost: number,
  ): Promise<Answer> => {
    const noun = limit === points ? "points of five minutes" : "requests of this minute";
    let failures = 0;
    const attempt = async (): Promise<Answer> => {
      if (refused !== undefined) throw refused;
      await waitFor(limit.pauseFor(cost, host.now()), `${limit.shown()} of the ${noun}`);
      limit.spend(cost);
      const answer = await send(url, method, body);
      limit.learn(answer.headers, host.now());
      if (isTransientStatus(answer.status)) throw new Busy(answer);
      return answer;
    };
    const pauseAfter = (error: unknown): number | undefined => {
      failures += 1;
      const passes = error instanceof Busy || (error instanceof HttpError && error.transient);
      const most = error instanceof HttpError && error.unreachable ? 3 : mostAttempts;
      if (!passes || failures >= most) return undefined;
      const backoff = Math.min(backoffAfter(failures, firstPause, host.random()), longestBackoff);
      const tooMany = error instanceof Busy && error.answer.status === 429;
      const pause = tooMany ? (pauseAsked(error.answer.headers, host.now()) ?? backoff) : backoff;
      const why = tooMany ? "too many requests" : (error as Error).message;
      host.progress.note(`Buildkite: ${clean(why)}; trying again in ${formatSeconds(pause / 1000)}`);
      return pause;
    };
    try {
      return await retry(attempt, pauseAfter, host);
    } catch (error) {
      if (error instanceof Busy) throw failure(what, scope, error.answer);
      if (!(error instanceof HttpError)) throw error;
      throw new BakeError(
        "BK443",
        `Buildkite gave no answer, to ${what}: ${clean(error.message)}`,
        `Look at HTTPS_PROXY, SSL_CERT_FILE, ${buildkiteVariables.rest} and ${buildkiteVariables.graphql}.`,
      );
    }
  };

  // One after the other: what an answer says of the limit counts for the next.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work, work);
    last = turn.catch(() => undefined);
    return turn;
  };

  const verbs: Readonly<Record<Scope, string>> = {
    read_agents: "list agents",
    write_agents: "stop agents",
    read_clusters: "list clusters and their queues",
    GraphQL: "answer by GraphQL",
  };

  return {
    rest: (path, { method = "GET", body, query = {}, scope, accept = [] }) =>
      inTurn(async () => {
        const search = new URLSearchParams(
          Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]),
        ).toString();
        const place = ["v2", "organizations", organization, ...path].map(encodeURIComponent).join("/");
        const url = `${restUrl.replace(/\/+$/, "")}/${place}${search === "" ? "" : `?${search}`}`;
        const what = verbs[scope];
        const answer = await ask({ url, method, what, scope, ...(body !== undefined && { body }) }, requests, 1);
        const fine = (answer.status >= 200 && answer.status <= 299) || accept.includes(answer.status);
        if (!fine) throw failure(what, scope, answer);
        return answer;
      }),
    graphql: (query, variables, cost) =>
      inTurn(async () => {
        const request = { url: graphqlUrl, method: "POST", body: { query, variables }, what: verbs.GraphQL } as const;
        const answer = await ask({ ...request, scope: "GraphQL" }, points, cost);
        const words = reasonIn(answer.body);
        // A token that is good for REST alone is no wrong token.
        if (answer.status === 403 || (answer.status === 401 && /graphql/i.test(words)))
          throw new NoGraphql(clean(words));
        if (answer.status !== 200) throw failure(verbs.GraphQL, "GraphQL", answer);
        const { data, errors = [] } = readBody(graphqlAnswer, answer, "GraphQL");
        return {
          data,
          errors: errors.map(({ message, path }) => ({
            alias: typeof path?.[0] === "string" ? path[0] : undefined,
            message: clean(message),
          })),
        };
      }),
    points,
    clockSkew: () => skew,
    clean,
  };
};
