/** The jobs that agents are given: each goes from scheduled over accepted and running to finished. */
import { BakeError } from "../../errors.ts";
import type { Agent } from "./agents.ts";
import { type Checkout, jobEnvironment } from "./job-environment.ts";
import { assembleLog, plainLog } from "./job-log.ts";
import { answerMetaData } from "./meta-data.ts";
import { inSeconds, pending } from "./pending.ts";
import { answerAccept, maxLog, ok, parseFinish, parseJson, parseOffset, refuse, type Reply } from "./protocol.ts";

export interface JobSpec {
  /** Expanded name of the agent that gets the job. */
  readonly agent: string;
  /**
   * One or more lines for the agent's shell (`bash -e -c` unless configured otherwise). Without a checkout the working
   * directory is the one of the agent's process: a job that needs a directory makes one.
   */
  readonly command: string;
  /** What the agent checks out before the command, which then runs there. */
  readonly checkout?: Checkout;
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds from the call, so the time until the agent asks for work counts too. */
  readonly timeoutMs: number;
  /** Called with what it printed, as plain text, when it ends or fails. */
  readonly onEnd?: (log: string) => void;
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

interface Job {
  readonly id: string;
  readonly token: string;
  readonly spec: JobSpec;
  readonly agent: Agent;
  /** By byte offset: a chunk that is sent twice counts once. */
  readonly chunks: Map<number, Buffer>;
  readonly metaData: Map<string, string>;
  bytes: number;
  state: "scheduled" | "accepted" | "running" | "canceling" | "finished";
  startedAt: number;
  readonly finish: (result: JobResult) => void;
  readonly fail: (why: string) => void;
}

export interface JobQueue {
  readonly find: (id: string) => Job | undefined;
  /** The job that waits to be taken by this agent. */
  readonly scheduled: (agent: Agent) => Job | undefined;
  /** Answers a call about a job. @param call Method and path below the job, such as `PUT accept`. */
  readonly answer: (call: string, job: Job, body: Buffer, query: URLSearchParams) => Reply;
  /**
   * Gives the agent a job. Resolves when it has finished, whatever its exit status.
   * @throws BakeError BK501 when the agent dies, and on a time-out; the job is cancelled then.
   */
  readonly run: (agent: Agent, spec: JobSpec, signal?: AbortSignal) => Promise<JobResult>;
  /** Fails the jobs of one agent, or of all. @param why The rest of a sentence that begins with the job. */
  readonly fail: (why: string, agent?: Agent) => void;
}

const logOf = (job: Job): string => plainLog(assembleLog(job.chunks).toString());

/** @returns a queue without jobs. */
export const createJobQueue = (options: {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly random: { readonly id: () => string; readonly secret: () => string };
  /** Milliseconds: an agent that has a job and was not heard of for so long is dead. */
  readonly silenceMs: number;
}): JobQueue => {
  const { now, random, silenceMs } = options;
  const jobs = new Map<string, Job>();
  const open = (agent?: Agent): Job[] =>
    [...jobs.values()].filter((job) => job.state !== "finished" && (agent === undefined || job.agent === agent));

  const accept = (job: Job): Reply => {
    // Again when the agent did not get the first answer.
    if (job.state !== "scheduled" && job.state !== "accepted") return refuse(422, `the job is ${job.state}`);
    job.state = "accepted";
    const { id, state, token, spec, agent } = job;
    const { tags } = agent.registration.request;
    const env = jobEnvironment({ ...spec, id }, { id: agent.id, name: spec.agent, tags });
    return answerAccept({ id, state, env, command: spec.command, token });
  };

  const start = (job: Job): Reply => {
    if (job.state === "finished") return refuse(422, "the job is finished");
    job.startedAt = now();
    if (job.state !== "canceling") job.state = "running";
    return ok();
  };

  const addChunk = (job: Job, body: Buffer, offset: number | undefined): Reply => {
    if (offset === undefined) return refuse(422, "not an offset");
    if (!job.chunks.has(offset)) {
      job.bytes += body.length;
      if (job.bytes <= maxLog) job.chunks.set(offset, body);
    }
    return ok();
  };

  const finish = (job: Job, body: unknown): Reply => {
    const end = parseFinish(body);
    if (end === undefined) return refuse(422, "not the end of a job");
    const { lostChunks, ...how } = end;
    const notes = [
      ...(lostChunks > 0 ? [`\n[${lostChunks} parts of the log were lost]`] : []),
      ...(job.bytes > maxLog ? [`\n[the log was cut at ${maxLog / 1024 / 1024} MiB]`] : []),
    ];
    job.state = "finished";
    job.finish({
      agent: job.spec.agent,
      log: logOf(job) + notes.join(""),
      seconds: (now() - job.startedAt) / 1000,
      ...how,
    });
    return ok();
  };

  const answer: JobQueue["answer"] = (call, job, body, query) => {
    const [, metaData] = /^POST data\/(\w+)$/.exec(call) ?? [];
    if (metaData !== undefined) return answerMetaData(job.metaData, metaData, parseJson(body));
    switch (call) {
      case "PUT accept":
        return accept(job);
      case "PUT start":
        return start(job);
      case "GET":
        return ok({ id: job.id, state: job.state });
      case "POST chunks":
        return addChunk(job, body, parseOffset(query));
      case "PUT finish":
        return job.state === "finished" ? ok() : finish(job, parseJson(body));
      case "POST header_times":
        return ok();
      default:
        return refuse(404, "bake check does not answer this");
    }
  };

  const run: JobQueue["run"] = (agent, spec, signal) =>
    pending<JobResult>(spec.timeoutMs, signal, ({ resolve, reject }) => {
      const since = now();
      const job: Job = {
        id: random.id(),
        token: random.secret(),
        spec,
        agent,
        chunks: new Map(),
        metaData: new Map(),
        bytes: 0,
        state: "scheduled",
        startedAt: since,
        finish: (result) => {
          spec.onEnd?.(result.log);
          resolve(result);
        },
        fail: (why) => {
          const log = logOf(job);
          spec.onEnd?.(log);
          const tail = log.trimEnd().split("\n").slice(-15).join("\n");
          reject(new BakeError("BK501", `The job on agent ${spec.agent} ${why}`, tail || "It had printed nothing."));
        },
      };
      jobs.set(job.id, job);
      const listen = (): void => {
        const silence = now() - Math.max(agent.seen, since);
        if (silence > silenceMs) job.fail(`was lost: its agent was silent for ${inSeconds(silence)}`);
      };
      const listening = setInterval(listen, Math.min(1000, silenceMs));
      return {
        onTimeout: () => {
          const what = job.state === "scheduled" ? "was not taken" : "did not end";
          job.fail(`${what} within ${inSeconds(spec.timeoutMs)}`);
        },
        stop: () => {
          clearInterval(listening);
          // The agent asks for the state of its job and stops it; one that was not taken is not handed out any more.
          if (job.state === "scheduled") job.state = "finished";
          else if (job.state !== "finished") job.state = "canceling";
        },
      };
    });

  return {
    find: (id) => jobs.get(id),
    scheduled: (agent) => open(agent).find(({ state }) => state === "scheduled"),
    answer,
    run,
    fail: (why, agent) => {
      for (const job of open(agent)) job.fail(why);
    },
  };
};
