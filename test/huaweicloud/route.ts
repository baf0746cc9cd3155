/** What a route of the emulated cloud is: strict about what it is asked, and in its service's own words when it refuses. */
import * as z from "zod";
import type { Job, Server, World } from "./world.ts";

export type ServiceName = "iam" | "ims" | "ecs" | "evs" | "vpc" | "as" | "bms" | "modelarts";

export interface Asked {
  readonly world: World;
  /** Milliseconds since the epoch, by the emulator's clock. */
  readonly now: number;
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly clientToken: string | undefined;
  /** Of the fault that is wanted of the next job. */
  readonly jobFailure: Job["failure"];
  /** The job succeeds, and does something else. */
  readonly instead: Instead | undefined;
}

/** What a job that succeeds does in the place of what was asked. */
export interface Instead {
  /** ID of the image that the server has in the end. */
  readonly image?: string;
  /** The system starts with the user-data from before. */
  readonly oldUserData?: true;
}

export interface Given {
  readonly status: number;
  readonly body?: object;
}

/** `ECS GET /v1/{project_id}/jobs/{job_id}` and the like. */
export type Routes = Readonly<
  Record<
    string,
    {
      /** Names that may be in the query; a `!` behind one that must. */
      readonly query?: readonly string[];
      readonly answer: (asked: Asked) => Given;
    }
  >
>;

export class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** A refusal as the service words it. */
export const refusalBody = (service: ServiceName, { status, code, message }: Refusal): object => {
  switch (service) {
    case "iam":
      return { error: { code: status, message, title: code } };
    case "modelarts":
      return { error_code: code, error_msg: message };
    case "vpc":
      return { code, message, request_id: "in-the-body" };
    case "ims":
    case "ecs":
    case "evs":
    case "as":
    case "bms":
      return { error: { code, message } };
    default:
      return service;
  }
};

/** A body of this shape and no other. @throws Refusal */
export const bodyOf = <T>(schema: z.ZodType<T>, body: unknown, code: string): T => {
  const read = schema.safeParse(body);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new Refusal(400, code, `Invalid parameter ${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`);
};

let last = 0;
/** IDs as the cloud makes them, the same in each run. */
export const newId = (): string => `00000000-0000-4000-8000-${String(++last).padStart(12, "0")}`;

export const startJob = (
  { world, now, jobFailure }: Asked,
  job: Pick<Job, "service" | "type" | "entities" | "finish"> & { readonly takes: number },
): string => {
  const { takes, ...rest } = job;
  const id = newId().replaceAll("-", "");
  world.jobs.push({ id, ...rest, readyAt: now + takes, failure: jobFailure });
  return id;
};

/** Something that happens by itself when the clock has come to it; no client sees a job of it. */
export const later = ({ jobs }: World, at: number, happens: () => void): void => {
  jobs.push({ id: "", service: "ecs", type: "", readyAt: at, entities: {}, failure: undefined, finish: happens });
};

/** The system of a server starts, and its agents come a while later. */
export const boot = (world: World, server: Server, at: number): void => {
  const { userData } = server;
  if (userData !== undefined) server.bootedWith = userData;
  later(world, at + world.takes.boot, () => {
    if (server.status === "ACTIVE" && server.task === undefined && world.servers.includes(server))
      world.onBooted?.(server);
  });
};

/** What a job shows of itself. What it does is done when the clock has come to it, not when it is asked for. */
export const jobAnswer = (service: Job["service"], { world, now, parameters }: Asked): Given => {
  const job = world.jobs.find((each) => each.id === parameters["job_id"] && each.service === service);
  if (job === undefined) throw new Refusal(404, service === "ims" ? "IMG.0044" : "Ecs.0032", "The job does not exist.");
  const done = now >= job.readyAt;
  const { failure } = job;
  const status = !done ? "RUNNING" : failure === undefined ? "SUCCESS" : "FAIL";
  return {
    status: 200,
    body: {
      status,
      job_id: job.id,
      job_type: job.type,
      begin_time: new Date(now).toISOString(),
      entities: done || job.service !== "ims" ? job.entities : {},
      ...(status === "FAIL" && { error_code: failure?.code, fail_reason: failure?.reason }),
    },
  };
};
