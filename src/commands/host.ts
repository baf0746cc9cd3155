/** The real edges: terminal, clock, processes, signals. */
import { homedir } from "node:os";
import { join } from "node:path";
import { type Host, runProcess, type RunOptions, type RunResult } from "../host/host.ts";
import { outputFolder } from "../host/program-output.ts";
import { system } from "../host/system.ts";
import { Store } from "../store/store.ts";
import { reportFailure } from "./profile-file.ts";
import { isQuiet, isVerbose } from "../host/verbosity.ts";
import { formatSeconds, readDurations, StepProgress, writeDurations } from "../host/progress.ts";

/** What the first Ctrl-C or SIGTERM aborts the host's signal with. */
class Interrupted extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super("interrupted");
    this.exitCode = exitCode;
  }
}

/** Ctrl-C and SIGTERM stop the running step; a second one ends bake at once. */
const interruptible = (): AbortSignal => {
  const controller = new AbortController();
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(code);
      process.stderr.write(`\nstopping (${signal}): VMs are stopped; downloads go on next time where they are\n`);
      controller.abort(new Interrupted(code));
    });
  }
  return controller.signal;
};

export interface RealHost {
  readonly host: Host;
  readonly progress: StepProgress;
  /** Keeps what the steps took, for the estimates of the next run. */
  readonly saveDurations: () => Promise<void>;
}

/** Says each command that is run, and how it ended: secrets are in no command line. */
const told =
  (run: Host["run"]): Host["run"] =>
  async (file: string, args: readonly string[], options?: RunOptions): Promise<RunResult> => {
    const started = system.now();
    const end = (how: string): void =>
      void process.stderr.write(
        `+ ${[file, ...args].map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : JSON.stringify(arg))).join(" ")}  (${how}, ${formatSeconds((system.now() - started) / 1000)})\n`,
      );
    try {
      const result = await run(file, args, options);
      end(`exit ${result.exitCode}`);
      return result;
    } catch (error) {
      end("failed");
      throw error;
    }
  };

/**
 * The edges of this process. Ctrl-C and SIGTERM abort the host's signal from then on.
 * @param messages Where progress goes: standard error when standard output is for a program.
 */
export const makeHost = async (messages: NodeJS.WriteStream = process.stdout): Promise<RealHost> => {
  const signal = interruptible();
  const { env } = process;
  const cacheDir = join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "bake");
  const durations = join(cacheDir, "steps.json");
  const progress = new StepProgress(
    {
      write: (text) => (isQuiet() ? undefined : messages.write(text)),
      live: messages.isTTY === true && !env["CI"] && !isQuiet() && !isVerbose(),
      columns: messages.columns ?? 80,
    },
    system.now,
    await readDurations(durations),
  );
  const run = runProcess(signal, env, outputFolder(cacheDir));
  return {
    host: { ...system, run: isVerbose() ? told(run) : run, env, cacheDir, signal, progress },
    progress,
    saveDurations: () => writeDurations(durations, progress.durations()),
  };
};

/** The store of this user, shared by all profiles. */
export const storeOf = ({ cacheDir }: Host): Store => new Store(join(cacheDir, "store"));

/** Ends a command that threw: an interrupt was told when it came, a failure is told now. @returns the exit code. */
export const endOf = (host: Host, error: unknown): number => {
  const reason: unknown = host.signal.reason;
  return reason instanceof Interrupted ? reason.exitCode : reportFailure(error);
};
