/**
 * A loopback server that speaks the REST protocol of Buildkite's agents, so that the real agents of a booted node
 * register with it and run jobs. Nothing here ever talks to Buildkite.
 */
import { randomBytes, randomInt, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { BakeError } from "../../errors.ts";
import { type Agent, createAgentPool, type Registration } from "./agents.ts";
import { createJobQueue, type JobResult, type JobSpec } from "./jobs.ts";
import type { ExpectedAgents } from "./judge.ts";
import { answerHeartbeat, answerPing, maxBody, ok, parseJson, refuse, type Reply } from "./protocol.ts";

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
  /** The agent of that name goes when its job has ended, as after a graceful stop in Buildkite; it may register again. */
  stopAgent(name: string): void;
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
  /** Milliseconds: an agent that has a job and was not heard of for so long is dead. Default 120000, for emulated CPUs. */
  readonly silenceMs?: number;
}

/** @returns the body, unpacked; undefined when it is too large or no gzip. */
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

const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789";

const random = {
  id: (): string => randomUUID(),
  secret: (): string => randomBytes(20).toString("hex"),
  word: (): string => Array.from({ length: 6 }, () => alphabet[randomInt(alphabet.length)]).join(""),
};

/** Serves `answer` as JSON; what it throws is status 500, which agents try again. */
const serve = (answer: (request: IncomingMessage) => Promise<Reply>): Server => {
  const server = createServer((request, response) => {
    void (async () => {
      try {
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
  return server;
};

/** Listens on 127.0.0.1. @returns the port. @throws BakeError BK503 */
const listen = async (server: Server, asked: number): Promise<number> => {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const inUse = error.code === "EADDRINUSE";
      reject(
        new BakeError(
          "BK503",
          `The agent API cannot listen on 127.0.0.1:${asked}: ${inUse ? "the port is taken" : error.message}`,
          "Stop what listens there, or leave the port to bake: it takes a free one.",
          { cause: error },
        ),
      );
    });
    server.listen(asked, "127.0.0.1", resolve);
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
};

/**
 * Starts the API on 127.0.0.1.
 * @throws BakeError BK503 when it cannot listen.
 */
export const startAgentApi = async (options: AgentApiOptions): Promise<AgentApi> => {
  const { now } = options;
  const queue = createJobQueue({ now, random, silenceMs: options.silenceMs ?? 120_000 });
  const pool = createAgentPool({
    expected: options.expected,
    now,
    random,
    onLost: (agent, why) => queue.fail(why, agent),
  });

  const stopping = new Set<string>();

  const answerAgent = (call: string, agent: Agent, body: unknown): Reply => {
    switch (call) {
      case "POST connect":
        pool.connect(agent);
        return ok();
      case "POST disconnect":
        pool.disconnect(agent);
        stopping.delete(agent.registration.name);
        return ok();
      case "POST heartbeat":
        return answerHeartbeat(body, now());
      case "GET ping":
        return answerPing(queue.scheduled(agent), stopping.has(agent.registration.name));
      default:
        // Also the stream of newer agents, which then poll.
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
    if (path === "register" && request.method === "POST") return pool.register(authorization, parseJson(body));

    // A job's build has its id: `buildkite-agent meta-data --build` asks by that.
    const [, id = "", rest = ""] = /^(?:jobs|builds(?=\/[^/]+\/data\/))\/([^/]+)(?:\/(.*))?$/.exec(path) ?? [];
    const job = queue.find(id);
    const agent = pool.authorized(authorization);
    if (job !== undefined && (agent === job.agent || authorization === `Token ${job.token}`)) {
      job.agent.seen = now();
      return queue.answer(`${request.method} ${rest}`.trim(), job, body, searchParams);
    }
    if (agent === undefined) return refuse(401, "Invalid access token");
    agent.seen = now();
    return answerAgent(`${request.method} ${path}`, agent, parseJson(body));
  };

  const runJob: AgentApi["runJob"] = async (spec, signal) => {
    const present = pool.present();
    const agent = present.find(({ registration }) => registration.name === spec.agent);
    if (agent === undefined) {
      throw new BakeError(
        "BK501",
        `The job on agent ${spec.agent} was not run: no such agent is connected`,
        `Connected: ${present.map(({ registration: { name } }) => name).join(", ") || "none"}`,
      );
    }
    return queue.run(agent, spec, signal);
  };

  const server = serve(answer);
  const port = await listen(server, options.port ?? 0);
  return {
    port,
    endpoint: (host) => `http://${host}:${port}/v3`,
    registrations: pool.registrations,
    problems: pool.problems,
    waitForAgents: pool.waitForAll,
    runJob,
    stopAgent: (name) => void stopping.add(name),
    rotateToken: pool.rotateToken,
    close: async () => {
      pool.close();
      queue.fail("was given up: the check ended");
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
};
