/** Buildkite's agent protocol on the wire: what agents send, and what each call answers. Pure. */
import * as z from "zod";

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

/** How a job ended, as its agent says it. */
export interface JobEnd {
  /** -1 when the agent refused the job. */
  readonly exitStatus: number;
  readonly signal?: string;
  /** Why a job ended other than by itself, such as `agent_refused` or `process_run_error`. */
  readonly signalReason?: string;
  /** Parts of the log that the agent could not send. */
  readonly lostChunks: number;
}

/** An answer before it is written: an HTTP status and a value for JSON. */
export interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/** Bytes of a request's body, as sent and after gzip. */
export const maxBody = 4 * 1024 * 1024;

/** Bytes of one job's log. A job that prints without end must not take bake's memory. */
export const maxLog = 32 * 1024 * 1024;

/** Bytes of one part of a log. */
const chunkSize = 100 * 1024;

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

/** Status 200. Pure. @param body A value for JSON; an empty object by default. */
export const ok = (body: unknown = {}): Reply => ({ status: 200, body });

/** A refusal, with the sentence that the agent logs. Pure. @param status An HTTP status from 400 on. */
export const refuse = (status: number, message: string): Reply => ({ status, body: { message } });

/** Reads JSON. Pure. @returns undefined when the body is none; an empty body is an empty object. */
export const parseJson = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString() || "{}");
  } catch {
    return undefined;
  }
};

/** Reads the body of `POST register`. Pure. @returns undefined when it has another shape than agents of version 3 send. */
export const parseRegistration = (body: unknown): RegistrationRequest | undefined => {
  const parsed = RegisterBody.safeParse(body);
  if (!parsed.success) return undefined;
  const { meta_data: tags, ...rest } = parsed.data;
  return { ...rest, tags: tags ?? [] };
};

/** Reads the body of `PUT jobs/ID/finish`. Pure. @returns undefined when it is no end of a job. */
export const parseFinish = (body: unknown): JobEnd | undefined => {
  const parsed = FinishBody.safeParse(body);
  if (!parsed.success) return undefined;
  const { exit_status: exitStatus, signal, signal_reason: signalReason, chunks_failed_count: lostChunks } = parsed.data;
  return {
    exitStatus,
    lostChunks,
    ...(signal !== undefined && signal !== "" && { signal }),
    ...(signalReason !== undefined && signalReason !== "" && { signalReason }),
  };
};

/**
 * What a registered agent is told. Pure. Intervals are in seconds.
 * There is no `endpoint`: the agent keeps the one that it has, which works from where it is.
 * @param name After the server's expansion.
 */
export const answerRegister = (
  agent: { readonly id: string; readonly accessToken: string; readonly name: string },
  { tags }: RegistrationRequest,
): Reply =>
  ok({
    id: agent.id,
    name: agent.name,
    access_token: agent.accessToken,
    ping_interval: 1,
    job_status_interval: 1,
    heartbeat_interval: 5,
    meta_data: tags,
  });

/** What `POST heartbeat` answers: the agent's own values, and when they came. Pure. @param now Milliseconds since the epoch. */
export const answerHeartbeat = (body: unknown, now: number): Reply => {
  const { data } = z.record(z.string(), z.unknown()).safeParse(body);
  return ok({ ...data, received_at: new Date(now).toISOString() });
};

/** What `GET ping` answers: that the agent is stopped, else the job that waits for it, if there is one. Pure. */
export const answerPing = (
  job: { readonly id: string; readonly state: string } | undefined,
  stopping: boolean,
): Reply =>
  ok(
    stopping
      ? { action: "disconnect", message: "stopped, as by Buildkite's API" }
      : job === undefined
        ? {}
        : { job: { id: job.id, state: job.state } },
  );

/** What `PUT jobs/ID/accept` answers: all that the agent needs to run the job. Pure. */
export const answerAccept = (job: {
  readonly id: string;
  readonly state: string;
  readonly env: Readonly<Record<string, string>>;
  readonly command: string;
  readonly token: string;
}): Reply =>
  ok({
    id: job.id,
    state: job.state,
    env: job.env,
    step: { command: job.command },
    chunks_max_size_bytes: chunkSize,
    chunks_interval_seconds: 1,
    log_max_size_bytes: maxLog,
    token: job.token,
  });

/** Reads `offset` of `POST jobs/ID/chunks`, in bytes. Pure. @returns undefined when it is none. */
export const parseOffset = (query: URLSearchParams): number | undefined => {
  const offset = Number(query.get("offset") ?? Number.NaN);
  return Number.isSafeInteger(offset) && offset >= 0 ? offset : undefined;
};
