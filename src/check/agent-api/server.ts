/**
 * A loopback server that speaks the REST protocol of Buildkite's agents, so that the real agents of a booted node
 * register with it and run jobs. Nothing here ever talks to Buildkite.
 */
import { randomBytes, randomInt, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import { promisify, stripVTControlCharacters } from "node:util";
import { gunzip } from "node:zlib";
import * as z from "zod";
import { BakeError } from "../../errors.ts";

/** What an agent says about itself when it registers. */
export interface RegistrationRequest {
  /** `%spawn` is expanded already, `%hostname`, `%random` and `%pid` are not: that is the server's part. */
  readonly name: string;
  readonly hostname: string;
  readonly tags: readonly string[];
  readonly version: string;
  readonly build: string;
  readonly os: string;
  readonly arch: string;
  readonly pid: number;
}

interface Registration {
  readonly request: RegistrationRequest;
  /** After the server's expansion. */
  readonly name: string;
  /** Which of the expected agents it is; missing when its name is none of theirs. */
  readonly index?: number;
  /** An agent connects after all agents of its process have registered. `replaced`: the same name registered again. */
  readonly state: "registered" | "connected" | "disconnected" | "replaced";
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export interface ExpectedAgents {
  readonly token: string;
  /** The name in the request of agent `spawnIndex` (from 1), such as `%hostname-1-2cards`. */
  readonly nameTemplate: (spawnIndex: number) => string;
  readonly spawn: number;
  readonly hostname: string;
  /** All of them must be there; others may be. */
  readonly tags: readonly string[];
}

export interface JobSpec {
  /** Expanded name of the agent that gets the job. */
  readonly agent: string;
  /**
   * One or more lines for the agent's shell (`bash -e -c` unless configured otherwise). Nothing is checked out and the
   * working directory is the one of the agent's process: a job that needs a directory makes one.
   */
  readonly command: string;
  readonly env?: Readonly<Record<string, string>>;
  /** From the call, so the time until the agent asks for work counts too. */
  readonly timeoutMs: number;
}

export interface JobResult {
  readonly agent: string;
  /** -1 when the agent refused the job. */
  readonly exitStatus: number;
  readonly signal?: string;
  /** Why a job ended other than by itself, such as `agent_refused` or `process_run_error`. */
  readonly signalReason?: string;
  /** Plain text: without escape sequences and carriage returns at line ends. */
  readonly log: string;
  readonly seconds: number;
}

export interface AgentApi {
  readonly port: number;
  /** `host` is what the node calls this host, such as QEMU's 10.0.2.2. */
  endpoint(host: string): string;
  registrations(): Registration[];
  /** What is wrong with the registrations so far, one sentence each, none twice. */
  problems(): string[];
  /**
   * Resolves, in order of their index, when all expected agents are connected; `problems()` may have something to say
   * about them. Rejects as soon as it is clear that they will not come (wrong token, as many agents of other names).
   * @throws BakeError BK502
   */
  waitForAgents(timeoutMs: number, signal?: AbortSignal): Promise<Registration[]>;
  /**
   * Resolves when the agent has finished the job, whatever its exit status.
   * @throws BakeError BK501 when the agent is not there or dies, and on a time-out; the job is cancelled then.
   */
  runJob(job: JobSpec, signal?: AbortSignal): Promise<JobResult>;
  /** From now on agents register with this token; those that are connected stay. */
  rotateToken(token: string): void;
  close(): Promise<void>;
}

export interface AgentApiOptions {
  readonly expected: ExpectedAgents;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Default 0: any free one. */
  readonly port?: number;
  /** An agent that has a job and was not heard of for so long is dead. Default two minutes, for emulated CPUs. */
  readonly silenceMs?: number;
}

export interface Judgement {
  /** False: the agent is refused. Everything else is only reported, so that all of it is seen. */
  readonly admitted: boolean;
  readonly index?: number;
  readonly problems: readonly string[];
}

/** How far beyond `spawn` a name is still recognised as one agent too many. */
const extraIndexes = 64;

const upTo = (count: number): number[] => Array.from({ length: count }, (_, position) => position + 1);

/**
 * Judges a registration as it came, before any expansion. Pure; never repeats a token.
 * @param authorization The request's Authorization header.
 * @param present Indexes of the expected agents that are registered already and did not disconnect.
 */
export const judgeRegistration = (
  request: RegistrationRequest,
  authorization: string | undefined,
  expected: ExpectedAgents,
  present: ReadonlySet<number> = new Set(),
): Judgement => {
  const who = `Agent "${request.name}"`;
  if (authorization !== `Token ${expected.token}`) {
    const sent = authorization?.startsWith("Token ") === true && authorization.length > "Token ".length;
    return {
      admitted: false,
      problems: [`${who} registered with ${sent ? "a token that is not the expected one" : "no token"}.`],
    };
  }
  const problems: string[] = [];
  const index = upTo(expected.spawn + extraIndexes).find((one) => expected.nameTemplate(one) === request.name);
  if (index === undefined) {
    const names = upTo(expected.spawn).map((one) => `"${expected.nameTemplate(one)}"`);
    problems.push(`${who} has a wrong name: expected ${names.join(", ")} (before Buildkite expands it).`);
  } else if (index > expected.spawn) {
    problems.push(`${who} is one too many: expected ${expected.spawn}.`);
  } else if (present.has(index)) {
    problems.push(`${who} registered again without having disconnected: it crashed, or it runs twice.`);
  }
  if (request.hostname !== expected.hostname) {
    problems.push(`${who} has hostname "${request.hostname}", expected "${expected.hostname}".`);
  }
  for (const tag of expected.tags) {
    if (!request.tags.includes(tag)) {
      problems.push(`${who} lacks tag "${tag}": it has ${request.tags.join(", ") || "none"}.`);
    }
  }
  return { admitted: true, problems, ...(index !== undefined && index <= expected.spawn && { index }) };
};

/** What Buildkite's server does to a name: `%hostname`, `%pid` and `%random`. Unknown ones stay. Pure. */
export const expandName = (
  name: string,
  values: { readonly hostname?: string; readonly pid?: number | string; readonly random?: string },
): string =>
  // One pass: a hostname with a per cent sign is not expanded again.
  name.replace(/%(hostname|pid|random)/g, (all, key: "hostname" | "pid" | "random") => String(values[key] ?? all));

/** A job's log in order, whatever order its chunks came in. Pure. */
export const assembleLog = (chunks: ReadonlyMap<number, Buffer>): Buffer =>
  Buffer.concat([...chunks].toSorted(([a], [b]) => a - b).map(([, data]) => data));

const escape = String.fromCharCode(27);
const bell = String.fromCharCode(7);
/** Agents put a time before a line, as an application program command, which `stripVTControlCharacters` leaves in. */
const timestamp = new RegExp(`${escape}_bk;[^${bell}]*${bell}`, "g");

/** A log for people and for comparing: no escape sequences, no carriage returns at line ends. Pure. */
export const plainLog = (log: string): string =>
  stripVTControlCharacters(log.replace(timestamp, "")).replace(/\r+\n/g, "\n");

/** Job environment as Buildkite's server sends it, as far as the agent's bootstrap and CI scripts need it. Pure. */
export const jobEnvironment = (
  job: Pick<JobSpec, "command" | "env"> & { readonly id: string },
  agent: { readonly id: string; readonly name: string; readonly tags: readonly string[] },
): Record<string, string> => ({
  CI: "true",
  BUILDKITE: "true",
  BUILDKITE_AGENT_ID: agent.id,
  // The bootstrap requires it, and the agent leaves it to the server.
  BUILDKITE_AGENT_NAME: agent.name,
  ...Object.fromEntries(
    agent.tags.map((tag) => {
      const [key = "", ...value] = tag.split("=");
      return [`BUILDKITE_AGENT_META_DATA_${key.toUpperCase().replace(/[^A-Z0-9]/g, "_")}`, value.join("=")];
    }),
  ),
  BUILDKITE_BRANCH: "main",
  BUILDKITE_BUILD_ID: job.id,
  BUILDKITE_BUILD_NUMBER: "1",
  BUILDKITE_BUILD_URL: "https://example.invalid/bake/check/builds/1",
  BUILDKITE_COMMAND: job.command,
  BUILDKITE_COMMIT: "HEAD",
  BUILDKITE_JOB_ID: job.id,
  BUILDKITE_LABEL: "bake check",
  BUILDKITE_MESSAGE: "bake check",
  BUILDKITE_ORGANIZATION_SLUG: "bake",
  BUILDKITE_PIPELINE_NAME: "check",
  BUILDKITE_PIPELINE_PROVIDER: "git",
  BUILDKITE_PIPELINE_SLUG: "check",
  BUILDKITE_PULL_REQUEST: "false",
  // Not empty: the bootstrap then refuses to start ("Missing repository"), checkout or not.
  BUILDKITE_REPO: "https://example.invalid/bake/check.git",
  BUILDKITE_RETRY_COUNT: "0",
  BUILDKITE_SOURCE: "api",
  BUILDKITE_STEP_ID: job.id,
  // Leaves out the checkout: nodes under check reach no git host. BUILDKITE_SKIP_CHECKOUT is unknown to older agents.
  BUILDKITE_BOOTSTRAP_PHASES: "plugin,command",
  ...job.env,
});

/** Of the wire, not of ours. */
const RegisterBody = z.object({
  name: z.string(),
  hostname: z.string().default(""),
  meta_data: z.array(z.string()).nullish(),
  version: z.string().default(""),
  build: z.string().default(""),
  os: z.string().default(""),
  arch: z.string().default(""),
  pid: z.number().default(0),
});

const FinishBody = z.object({
  exit_status: z
    .string()
    .regex(/^-?\d+$/)
    .transform(Number)
    .default(-1),
  signal: z.string().optional(),
  signal_reason: z.string().optional(),
  chunks_failed_count: z.number().default(0),
});

const maxBody = 4 * 1024 * 1024;
/** A job that prints without end must not take bake's memory. */
const maxLog = 32 * 1024 * 1024;
const chunkSize = 100 * 1024;

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

const ok = (body: unknown = {}): Reply => ({ status: 200, body });
const refuse = (status: number, message: string): Reply => ({ status, body: { message } });

const readBody = async (request: IncomingMessage): Promise<Buffer | undefined> => {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > maxBody) return undefined;
    parts.push(part);
  }
  const body = Buffer.concat(parts);
  if (request.headers["content-encoding"] !== "gzip") return body;
  return promisify(gunzip)(body, { maxOutputLength: maxBody }).catch(() => undefined);
};

const parseJson = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString() || "{}");
  } catch {
    return undefined;
  }
};

interface ConnectedAgent {
  readonly id: string;
  readonly accessToken: string;
  readonly registration: Registration;
  state: Registration["state"];
  /** When it was last heard of. */
  seen: number;
}

interface Job {
  readonly id: string;
  readonly token: string;
  readonly spec: JobSpec;
  readonly agent: ConnectedAgent;
  /** By byte offset: a chunk that is sent twice counts once. */
  readonly chunks: Map<number, Buffer>;
  bytes: number;
  state: "scheduled" | "accepted" | "running" | "canceling" | "finished";
  startedAt: number;
  readonly finish: (result: JobResult) => void;
  readonly fail: (why: string) => void;
}

interface Settle<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

interface Waiting {
  readonly onTimeout: () => void;
  /** Called however it ends; may be called again. */
  readonly stop: () => void;
}

/** A promise with a time-out and a signal. `start` must not settle it before it returns. */
const within = <T>(
  timeoutMs: number,
  signal: AbortSignal | undefined,
  start: (settle: Settle<T>) => Waiting,
): Promise<T> =>
  new Promise<T>((resolve, reject) => {
    signal?.throwIfAborted();
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      waiting.stop();
    };
    const settle: Settle<T> = {
      resolve: (value) => {
        end();
        resolve(value);
      },
      reject: (reason) => {
        end();
        reject(reason);
      },
    };
    const onAbort = (): void => settle.reject(signal?.reason);
    const waiting = start(settle);
    const timer = setTimeout(waiting.onTimeout, timeoutMs);
    signal?.addEventListener("abort", onAbort, { once: true });
  });

const logOf = (job: Job): string => plainLog(assembleLog(job.chunks).toString());
const seconds = (milliseconds: number): string => `${Math.round(milliseconds / 1000)} s`;

/**
 * Starts the API on 127.0.0.1.
 * @throws BakeError BK503 when it cannot listen.
 */
export const startAgentApi = async (options: AgentApiOptions): Promise<AgentApi> => {
  const { now } = options;
  let { expected } = options;
  const silenceMs = options.silenceMs ?? 120_000;
  const agents: ConnectedAgent[] = [];
  const jobs = new Map<string, Job>();
  const problems = new Set<string>();
  /** Called after everything that `waitForAgents` may wait for. */
  const watchers = new Set<() => void>();
  let tokenRefused = false;
  let closed = false;

  const changed = (): void => {
    for (const watcher of watchers) watcher();
  };
  const openJobs = (agent: ConnectedAgent): Job[] =>
    [...jobs.values()].filter((job) => job.agent === agent && job.state !== "finished");
  const present = (agent: ConnectedAgent): boolean => agent.state === "registered" || agent.state === "connected";
  const connected = (index: number): ConnectedAgent | undefined =>
    agents.find(({ registration, state }) => registration.index === index && state === "connected");
  const snapshot = ({ registration, state }: ConnectedAgent): Registration => ({ ...registration, state });

  const leave = (agent: ConnectedAgent, state: "disconnected" | "replaced", why: string): void => {
    agent.state = state;
    for (const job of openJobs(agent)) job.fail(why);
    changed();
  };

  const register = (authorization: string | undefined, body: unknown): Reply => {
    const parsed = RegisterBody.safeParse(body);
    if (!parsed.success) {
      problems.add("An agent sent a registration of another shape than agents of version 3 send.");
      return refuse(422, "not a registration");
    }
    const { meta_data: tags, ...rest } = parsed.data;
    const request: RegistrationRequest = { ...rest, tags: tags ?? [] };
    const indexes = agents.filter(present).flatMap(({ registration }) => registration.index ?? []);
    const judgement = judgeRegistration(request, authorization, expected, new Set(indexes));
    for (const problem of judgement.problems) problems.add(problem);
    if (!judgement.admitted) {
      tokenRefused = true;
      changed();
      return refuse(401, "Invalid access token");
    }
    const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
    const random = Array.from({ length: 6 }, () => alphabet[randomInt(alphabet.length)]).join("");
    const name = expandName(request.name, { hostname: request.hostname, pid: request.pid, random });
    for (const agent of agents) {
      if (present(agent) && agent.registration.name === name) {
        leave(agent, "replaced", "was lost: its agent registered again, so it had died");
      }
    }
    const { index } = judgement;
    const agent: ConnectedAgent = {
      id: randomUUID(),
      accessToken: randomBytes(20).toString("hex"),
      registration: { request, name, state: "registered", at: now(), ...(index !== undefined && { index }) },
      state: "registered",
      seen: now(),
    };
    agents.push(agent);
    changed();
    // No `endpoint`: the agent keeps the one that it has, which is the one that works from where it is.
    return ok({
      id: agent.id,
      name,
      access_token: agent.accessToken,
      ping_interval: 1,
      job_status_interval: 1,
      heartbeat_interval: 5,
      meta_data: request.tags,
    });
  };

  const acceptedJob = ({ id, state, spec, agent, token }: Job): unknown => ({
    id,
    state,
    env: jobEnvironment({ ...spec, id }, { id: agent.id, name: spec.agent, tags: agent.registration.request.tags }),
    step: { command: spec.command },
    chunks_max_size_bytes: chunkSize,
    chunks_interval_seconds: 1,
    log_max_size_bytes: maxLog,
    token,
  });

  const finish = (job: Job, body: unknown): Reply => {
    const parsed = FinishBody.safeParse(body);
    if (!parsed.success) return refuse(422, "not the end of a job");
    const { exit_status: exitStatus, signal, signal_reason: signalReason, chunks_failed_count: lost } = parsed.data;
    const notes = [
      ...(lost > 0 ? [`\n[${lost} parts of the log were lost]`] : []),
      ...(job.bytes > maxLog ? [`\n[the log was cut at ${maxLog / 1024 / 1024} MiB]`] : []),
    ];
    job.state = "finished";
    job.finish({
      agent: job.spec.agent,
      exitStatus,
      log: logOf(job) + notes.join(""),
      seconds: (now() - job.startedAt) / 1000,
      ...(signal !== undefined && signal !== "" && { signal }),
      ...(signalReason !== undefined && signalReason !== "" && { signalReason }),
    });
    return ok();
  };

  const agentCall = (call: string, agent: ConnectedAgent, body: unknown): Reply => {
    switch (call) {
      case "POST connect":
        agent.state = "connected";
        changed();
        return ok();
      case "POST disconnect":
        leave(agent, "disconnected", "was lost: its agent disconnected");
        return ok();
      case "POST heartbeat": {
        const { data } = z.record(z.string(), z.unknown()).safeParse(body);
        return ok({ ...data, received_at: new Date(now()).toISOString() });
      }
      case "GET ping": {
        const job = openJobs(agent).find(({ state }) => state === "scheduled");
        return ok(job === undefined ? {} : { job: { id: job.id, state: job.state } });
      }
      default:
        // Also the stream of newer agents, which then poll.
        return refuse(404, "bake check does not answer this");
    }
  };

  const jobCall = (call: string, job: Job, body: Buffer, query: URLSearchParams): Reply => {
    switch (call) {
      case "PUT accept":
        // Again when the agent did not get the first answer.
        if (job.state !== "scheduled" && job.state !== "accepted") return refuse(422, `the job is ${job.state}`);
        job.state = "accepted";
        return ok(acceptedJob(job));
      case "PUT start":
        if (job.state === "finished") return refuse(422, "the job is finished");
        job.startedAt = now();
        if (job.state !== "canceling") job.state = "running";
        return ok();
      case "GET":
        return ok({ id: job.id, state: job.state });
      case "POST chunks": {
        const offset = Number(query.get("offset") ?? Number.NaN);
        if (!Number.isSafeInteger(offset) || offset < 0) return refuse(422, "not an offset");
        if (!job.chunks.has(offset)) {
          job.bytes += body.length;
          if (job.bytes <= maxLog) job.chunks.set(offset, body);
        }
        return ok();
      }
      case "PUT finish":
        return job.state === "finished" ? ok() : finish(job, parseJson(body));
      case "POST header_times":
        return ok();
      default:
        return refuse(404, "bake check does not answer this");
    }
  };

  const answer = async (request: IncomingMessage): Promise<Reply> => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    const path = /^\/v3\/(.*)$/.exec(pathname)?.[1];
    if (path === undefined) return refuse(404, "nothing here");
    const body = await readBody(request);
    if (body === undefined) return refuse(400, "unreadable body");
    const { authorization } = request.headers;
    if (path === "register" && request.method === "POST") return register(authorization, parseJson(body));

    const [, id = "", rest = ""] = /^jobs\/([^/]+)(?:\/(.*))?$/.exec(path) ?? [];
    const job = jobs.get(id);
    const agent = agents.find(({ accessToken }) => authorization === `Token ${accessToken}`);
    if (job !== undefined && (agent === job.agent || authorization === `Token ${job.token}`)) {
      job.agent.seen = now();
      return jobCall(`${request.method} ${rest}`.trim(), job, body, searchParams);
    }
    if (agent === undefined) return refuse(401, "Invalid access token");
    agent.seen = now();
    return agentCall(`${request.method} ${path}`, agent, parseJson(body));
  };

  const server = createServer((request, response) => {
    void (async () => {
      try {
        // Agents retry a 500.
        const { status, body } = await answer(request).catch((error: unknown) => refuse(500, String(error)));
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(body));
      } catch {
        // The agent is gone in the middle of a request.
        response.destroy();
      }
    })();
  });
  // Longer than any agent's pause: one that sends on a connection that is just being closed loses its request.
  server.keepAliveTimeout = 75_000;

  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const inUse = error.code === "EADDRINUSE";
      reject(
        new BakeError(
          "BK503",
          `The agent API cannot listen on 127.0.0.1:${options.port ?? 0}: ${inUse ? "the port is taken" : error.message}`,
          "Stop what listens there, or leave the port to bake: it takes a free one.",
          { cause: error },
        ),
      );
    });
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;

  const notThere = (why: string, missing: readonly number[]): BakeError => {
    const names = missing.map((index) => expandName(expected.nameTemplate(index), { hostname: expected.hostname }));
    const arrived = agents.map(({ registration: { name }, state }) => `${name} (${state})`);
    const help = [`Arrived: ${arrived.join(", ") || "none"}`, ...problems].join("\n");
    return new BakeError("BK502", `${why}: ${names.join(", ")}`, help);
  };

  const missing = (): number[] => upTo(expected.spawn).filter((index) => connected(index) === undefined);
  /** As many as expected connected, and none of those that did not has even registered. */
  const othersCame = (absent: readonly number[]): boolean =>
    agents.filter(({ state }) => state === "connected").length >= expected.spawn &&
    !agents.some((agent) => present(agent) && absent.includes(agent.registration.index ?? 0));

  const waitForAgents: AgentApi["waitForAgents"] = (timeoutMs, signal) =>
    within<Registration[]>(timeoutMs, signal, ({ resolve, reject }) => {
      const look = (): void => {
        const absent = missing();
        if (absent.length === 0) {
          resolve(
            upTo(expected.spawn)
              .flatMap((index) => connected(index) ?? [])
              .map(snapshot),
          );
        } else if (tokenRefused) {
          // Some agents try the same token for five minutes.
          reject(notThere("An agent was refused for its token; not registered", absent));
        } else if (closed) {
          reject(notThere("The check ended before these agents registered", absent));
        } else if (othersCame(absent)) {
          // They register one after the other and connect when all have: nobody else comes.
          reject(notThere("As many agents as expected came, but not these", absent));
        }
      };
      watchers.add(look);
      // Not before `within` has set everything up; it may be settled by then.
      queueMicrotask(() => watchers.has(look) && look());
      return {
        onTimeout: () => reject(notThere(`Agents did not register within ${seconds(timeoutMs)}`, missing())),
        stop: () => watchers.delete(look),
      };
    });

  const runJob: AgentApi["runJob"] = async (spec, signal) => {
    const agent = agents.find((candidate) => present(candidate) && candidate.registration.name === spec.agent);
    if (agent === undefined) {
      const names = agents.filter(present).map(({ registration: { name } }) => name);
      throw new BakeError(
        "BK501",
        `The job on agent ${spec.agent} was not run: no such agent is connected`,
        `Connected: ${names.join(", ") || "none"}`,
      );
    }
    return within<JobResult>(spec.timeoutMs, signal, ({ resolve, reject }) => {
      const since = now();
      const job: Job = {
        id: randomUUID(),
        token: randomBytes(20).toString("hex"),
        spec,
        agent,
        chunks: new Map(),
        bytes: 0,
        state: "scheduled",
        startedAt: since,
        finish: resolve,
        fail: (why) => {
          const tail = logOf(job).trimEnd().split("\n").slice(-15).join("\n");
          reject(new BakeError("BK501", `The job on agent ${spec.agent} ${why}`, tail || "It had printed nothing."));
        },
      };
      jobs.set(job.id, job);
      const listen = (): void => {
        const silence = now() - Math.max(agent.seen, since);
        if (silence > silenceMs) job.fail(`was lost: its agent was silent for ${seconds(silence)}`);
      };
      const listening = setInterval(listen, Math.min(1000, silenceMs));
      return {
        onTimeout: () => {
          const what = job.state === "scheduled" ? "was not taken" : "did not end";
          job.fail(`${what} within ${seconds(spec.timeoutMs)}`);
        },
        stop: () => {
          clearInterval(listening);
          // The agent asks for the state of its job and stops it; one that was not taken is not handed out any more.
          if (job.state === "scheduled") job.state = "finished";
          else if (job.state !== "finished") job.state = "canceling";
        },
      };
    });
  };

  return {
    port,
    endpoint: (host) => `http://${host}:${port}/v3`,
    registrations: () => agents.map(snapshot),
    problems: () => [...problems],
    waitForAgents,
    runJob,
    rotateToken: (token) => {
      expected = { ...expected, token };
    },
    close: async () => {
      closed = true;
      changed();
      for (const job of jobs.values()) if (job.state !== "finished") job.fail("was given up: the check ended");
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
};
