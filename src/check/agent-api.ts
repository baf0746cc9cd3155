/**
 * A loopback agent API: speaks the REST protocol of Buildkite's agent, so that real agents in a booted VM register and run
 * jobs without an account (protocol: facts on buildkite/agent v3, api/*.go).
 */
import { randomBytes, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { gunzipSync } from "node:zlib";
import { BakeError } from "../errors.ts";

/** What an agent says of itself when it registers. */
export interface RegistrationRequest {
  readonly name: string;
  readonly hostname: string;
  readonly tags: readonly string[];
  readonly version: string;
  readonly pid: number;
}

export interface Registration {
  readonly request: RegistrationRequest;
  /** After the expansion that Buildkite's server does. */
  readonly name: string;
  readonly disconnected: boolean;
}

export interface ExpectedAgents {
  readonly token: string;
  readonly spawn: number;
  /** The name that agent `index` sends, before the server's expansion: `%hostname-1-2cards`. */
  readonly nameTemplate: (index: number) => string;
  readonly hostname: string;
  readonly tags: readonly string[];
}

export interface JobSpec {
  /** Expanded name of the agent that gets the job. */
  readonly agent: string;
  readonly command: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

export interface JobResult {
  readonly agent: string;
  readonly exitStatus: number;
  readonly log: string;
  readonly seconds: number;
}

export interface AgentApi {
  readonly port: number;
  /** The endpoint for agents that reach this machine as `host`. */
  endpoint(host: string): string;
  registrations(): readonly Registration[];
  /** What is wrong with the registrations so far, one sentence each. */
  problems(): readonly string[];
  /** @throws BakeError BK502 when they are not all there in time. */
  waitForAgents(timeoutMs: number, signal?: AbortSignal): Promise<readonly Registration[]>;
  /** @throws BakeError BK501 when the job does not end in time. */
  runJob(job: JobSpec, signal?: AbortSignal): Promise<JobResult>;
  close(): Promise<void>;
}

/** What Buildkite's server expands in an agent's name. */
export const expandName = (request: RegistrationRequest): string =>
  request.name
    .replaceAll("%hostname", request.hostname)
    .replaceAll("%random", () => randomBytes(3).toString("hex"))
    .replaceAll("%pid", String(request.pid));

/** The index whose name an agent sent. */
const indexOf = (request: RegistrationRequest, expected: ExpectedAgents): number | undefined =>
  Array.from({ length: expected.spawn }, (_, position) => position + 1).find(
    (index) => expected.nameTemplate(index) === request.name,
  );

/** What is wrong with a registration, judged by what the agent sent, not by what it is called afterwards. */
export const judgeRegistration = (
  request: RegistrationRequest,
  expected: ExpectedAgents,
  earlier: readonly RegistrationRequest[],
): string[] => {
  const problems: string[] = [];
  const index = indexOf(request, expected);
  if (index === undefined) {
    problems.push(
      `an agent registered as ${JSON.stringify(request.name)}; expected ${expected.nameTemplate(1)} to ${expected.nameTemplate(expected.spawn)}`,
    );
  } else if (earlier.some(({ name }) => name === request.name)) {
    problems.push(`two agents registered as ${request.name}`);
  }
  if (request.hostname !== expected.hostname) {
    problems.push(
      `${request.name} registered with hostname ${JSON.stringify(request.hostname)}; expected ${expected.hostname}`,
    );
  }
  for (const tag of expected.tags) {
    if (!request.tags.includes(tag)) problems.push(`${request.name} registered without the tag ${tag}`);
  }
  return problems;
};

interface Chunk {
  readonly sequence: number;
  readonly data: Buffer;
}

interface Job {
  readonly id: string;
  readonly spec: JobSpec;
  readonly token: string;
  readonly started: number;
  state: "assigned" | "accepted" | "running" | "finished";
  chunks: Chunk[];
  readonly finish: (exitStatus: number) => void;
}

interface Agent {
  readonly id: string;
  readonly accessToken: string;
  readonly request: RegistrationRequest;
  readonly name: string;
  disconnected: boolean;
}

/** Chunks arrive in any order; time marks, colours and carriage returns are for Buildkite's own page. */
export const assembleLog = (chunks: readonly Chunk[]): string =>
  Buffer.concat(chunks.toSorted((a, b) => a.sequence - b.sequence).map(({ data }) => data))
    .toString("utf8")
    .replace(timeMark, "")
    .replace(colour, "")
    .replace(/\r+\n/g, "\n");

// Built from text: a control character in a pattern is easily taken for a mistake.
const timeMark = new RegExp(`${"\\u001b"}_bk;t=\\d+${"\\u0007"}`, "g");
const colour = new RegExp(`${"\\u001b"}\\[[0-9;]*[A-Za-z]`, "g");

/** What Buildkite's server puts into a job's environment, as far as a job without a repository needs it. */
const jobEnvironment = (job: Job, agent: Agent): Record<string, string> => ({
  BUILDKITE: "true",
  CI: "true",
  BUILDKITE_JOB_ID: job.id,
  BUILDKITE_BUILD_ID: job.id,
  BUILDKITE_BUILD_NUMBER: "1",
  BUILDKITE_BUILD_URL: "http://localhost/builds/1",
  BUILDKITE_ORGANIZATION_SLUG: "bake",
  BUILDKITE_PIPELINE_SLUG: "check",
  BUILDKITE_PIPELINE_PROVIDER: "git",
  BUILDKITE_PIPELINE_DEFAULT_BRANCH: "main",
  BUILDKITE_AGENT_NAME: agent.name,
  BUILDKITE_AGENT_ID: agent.id,
  BUILDKITE_BRANCH: "main",
  BUILDKITE_COMMIT: "HEAD",
  // The bootstrap insists on one; without the checkout phase it is never asked for.
  BUILDKITE_REPO: "none",
  BUILDKITE_COMMAND: job.spec.command,
  BUILDKITE_SCRIPT_PATH: job.spec.command,
  BUILDKITE_TIMEOUT: "false",
  BUILDKITE_BOOTSTRAP_PHASES: "plugin,command",
  ...job.spec.environment,
});

const readBody = async (request: IncomingMessage): Promise<Buffer> => {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const body = Buffer.concat(parts);
  return request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
};

const parseRegistration = (body: unknown): RegistrationRequest => {
  const value = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const text = (key: string): string => (typeof value[key] === "string" ? value[key] : "");
  return {
    name: text("name"),
    hostname: text("hostname"),
    version: text("version"),
    pid: typeof value["pid"] === "number" ? value["pid"] : 0,
    tags: Array.isArray(value["meta_data"]) ? value["meta_data"].filter((tag) => typeof tag === "string") : [],
  };
};

/** @throws BakeError BK503 when it cannot listen. */
export const startAgentApi = async (options: {
  readonly expected: ExpectedAgents;
  readonly now: () => number;
  readonly port?: number;
}): Promise<AgentApi> => {
  const { expected, now } = options;
  const agents: Agent[] = [];
  const jobs = new Map<string, Job>();
  const problems: string[] = [];

  const live = (): Agent[] => agents.filter(({ disconnected }) => !disconnected);

  const register = (authorization: string | undefined, body: unknown): [number, unknown] => {
    const request = parseRegistration(body);
    if (authorization !== `Token ${expected.token}`) {
      problems.push(`${request.name} registered with a wrong token`);
      return [401, { message: "wrong token" }];
    }
    problems.push(
      ...judgeRegistration(
        request,
        expected,
        live().map((agent) => agent.request),
      ),
    );
    const agent: Agent = {
      id: randomUUID(),
      accessToken: randomBytes(16).toString("hex"),
      request,
      name: expandName(request),
      disconnected: false,
    };
    agents.push(agent);
    return [
      200,
      {
        id: agent.id,
        name: agent.name,
        access_token: agent.accessToken,
        ping_interval: 1,
        job_status_interval: 1,
        heartbeat_interval: 10,
        meta_data: request.tags,
      },
    ];
  };

  const route = async (request: IncomingMessage): Promise<[number, unknown]> => {
    const url = new URL(request.url ?? "/", "http://localhost");
    const path = url.pathname.replace(/^\/v3/, "");
    const { method } = request;
    const { authorization } = request.headers;
    const body = await readBody(request);
    const json = (): unknown => (body.length === 0 ? {} : JSON.parse(body.toString("utf8")));
    if (method === "POST" && path === "/register") return register(authorization, json());

    const job = jobs.get(/^\/jobs\/([^/]+)/.exec(path)?.[1] ?? "");
    const agent = agents.find(({ accessToken }) => authorization === `Token ${accessToken}`);
    if (agent === undefined && (job === undefined || authorization !== `Token ${job.token}`)) {
      return [401, { message: "wrong token" }];
    }
    if (job !== undefined)
      return jobCall(job, agent, `${method ?? ""} ${path.replace(`/jobs/${job.id}`, "")}`, url, body);
    if (agent === undefined) return [404, {}];
    switch (`${method ?? ""} ${path}`) {
      case "POST /connect":
        return [200, {}];
      case "POST /disconnect":
        agent.disconnected = true;
        return [200, {}];
      case "POST /heartbeat":
        return [200, { ...(json() as object), received_at: new Date(now()).toISOString() }];
      case "GET /ping": {
        const waiting = [...jobs.values()].find((one) => one.state === "assigned" && one.spec.agent === agent.name);
        return [200, waiting === undefined ? {} : { job: { id: waiting.id, state: "assigned" } }];
      }
      default:
        // The stream among them: the agent then polls.
        return [404, { message: "not here" }];
    }
  };

  const jobCall = (job: Job, agent: Agent | undefined, call: string, url: URL, body: Buffer): [number, unknown] => {
    switch (call) {
      case "PUT /accept": {
        if (agent === undefined) return [401, {}];
        job.state = "accepted";
        return [
          200,
          {
            id: job.id,
            state: "accepted",
            env: jobEnvironment(job, agent),
            step: { command: job.spec.command },
            chunks_max_size_bytes: 102_400,
            chunks_interval_seconds: 1,
            log_max_size_bytes: 10_485_760,
            token: job.token,
          },
        ];
      }
      case "PUT /start":
        job.state = "running";
        return [200, {}];
      case "POST /chunks":
        job.chunks = [...job.chunks, { sequence: Number(url.searchParams.get("sequence")), data: body }];
        return [200, {}];
      case "PUT /finish": {
        const { exit_status: status } = JSON.parse(body.toString("utf8")) as { exit_status?: string | number };
        job.state = "finished";
        job.finish(Number(status ?? -1));
        return [200, {}];
      }
      case "GET ":
        return [200, { id: job.id, state: job.state }];
      default:
        // header_times and what newer agents add.
        return [200, {}];
    }
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let result: [number, unknown];
    try {
      result = await route(request);
    } catch (error) {
      result = [400, { message: String(error) }];
    }
    response.writeHead(result[0], { "content-type": "application/json" });
    response.end(JSON.stringify(result[1]));
  };

  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((done, failed) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      failed(
        new BakeError(
          "BK503",
          `the loopback agent API cannot listen on 127.0.0.1:${options.port ?? 0}: ${error.code === "EADDRINUSE" ? "the port is taken" : error.message}`,
          "Stop what uses the port, or leave the choice to bake.",
        ),
      ),
    );
    server.listen(options.port ?? 0, "127.0.0.1", done);
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;

  const until = async <T>(
    look: () => T | undefined,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<T | undefined> => {
    const end = now() + timeoutMs;
    while (now() < end) {
      signal?.throwIfAborted();
      const found = look();
      if (found !== undefined) return found;
      await new Promise((done) => setTimeout(done, 100));
    }
    return look();
  };

  const registrations = (): Registration[] =>
    agents.map(({ request, name, disconnected }) => ({ request, name, disconnected }));
  const missing = (): string[] =>
    Array.from({ length: expected.spawn }, (_, position) => expected.nameTemplate(position + 1)).filter(
      (name) => !live().some(({ request }) => request.name === name),
    );

  return {
    port,
    endpoint: (host) => `http://${host}:${port}/v3`,
    registrations,
    problems: () => problems,
    waitForAgents: async (timeoutMs, signal) => {
      // Every name, or as many agents under other names: those are problems, not reasons to wait.
      const complete = (): Registration[] | undefined =>
        missing().length === 0 || live().length >= expected.spawn ? registrations() : undefined;
      const all = await until(complete, timeoutMs, signal);
      if (all !== undefined) return all;
      throw new BakeError(
        "BK502",
        `${missing().length} of ${expected.spawn} agents did not register within ${Math.round(timeoutMs / 1000)} s: ${missing().join(", ")}`,
        [
          `${live().length} registered: ${
            live()
              .map(({ name }) => name)
              .join(", ") || "none"
          }`,
          ...problems,
        ].join("\n"),
      );
    },
    runJob: async (spec, signal) => {
      const started = now();
      let exitStatus: number | undefined;
      const job: Job = {
        id: randomUUID(),
        spec,
        token: randomBytes(16).toString("hex"),
        started,
        state: "assigned",
        chunks: [],
        finish: (status) => {
          exitStatus = status;
        },
      };
      jobs.set(job.id, job);
      const status = await until(() => exitStatus, spec.timeoutMs, signal);
      const log = assembleLog(job.chunks);
      if (status === undefined) {
        jobs.delete(job.id);
        throw new BakeError(
          "BK501",
          `the job on ${spec.agent} did not end within ${Math.round(spec.timeoutMs / 1000)} s (${job.state})`,
          log.trimEnd().split("\n").slice(-12).join("\n"),
        );
      }
      return { agent: spec.agent, exitStatus: status, log, seconds: (now() - started) / 1000 };
    },
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
};
