/** Runs a job on an agent, and keeps all that it printed: messages and reports show its last lines. */
import { writeFile } from "node:fs/promises";
import type { JobResult, JobSpec } from "./agent-api/jobs.ts";
import type { AgentApi } from "./agent-api/server.ts";
import { lostConnection } from "./patience.ts";

/** How a job ended. */
export interface JobOutcome extends JobResult {
  /** With all of its log, where that was kept. */
  readonly logFile?: string;
}

interface JobRun {
  readonly job: JobSpec;
  /** Gets what it printed, also when it does not end well. */
  readonly logFile: string;
  /** Told why, before the job runs a second time: its builder could not be reached. */
  readonly onSecond: (why: string) => void;
  readonly signal: AbortSignal;
}

/** @throws BakeError BK501 as `runJob` does. */
export const runJob = async (
  api: Pick<AgentApi, "runJob">,
  { job, logFile, onSecond, signal }: JobRun,
): Promise<JobOutcome> => {
  let printed = "";
  const run = (): Promise<JobResult> =>
    api.runJob({ ...job, onEnd: (log) => void (printed += `${log.trimEnd()}\n`) }, signal);
  try {
    const first = await run();
    const lost = first.exitStatus === 0 ? undefined : lostConnection(first.log);
    if (lost === undefined) return { ...first, logFile };
    onSecond(lost);
    return { ...(await run()), logFile };
  } finally {
    // What became of the job counts, and not that its log has no room.
    if (printed !== "") await writeFile(logFile, printed).catch(() => undefined);
  }
};
