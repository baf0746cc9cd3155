/** The edges of bake: processes, clock, environment and progress. Everything below commands/ gets them as arguments. */
import { execa } from "execa";
import { BakeError } from "../errors.ts";
import { withoutSecrets } from "../secrets/names.ts";
import { tellOutput } from "./program-output.ts";
import { system } from "./system.ts";

export interface RunOptions {
  readonly cwd?: string;
  /** Added to the host's environment, of which variables with a secret's name are not passed on. */
  readonly env?: Readonly<Record<string, string>>;
  /** Further variables that are not passed on. */
  readonly withhold?: readonly string[];
  readonly input?: string | Uint8Array;
  /** Standard output goes to this file, byte by byte, and is empty in the result. */
  readonly stdoutFile?: string;
  /** Called with every line as it comes. */
  readonly onLine?: (line: string, stream: "stdout" | "stderr") => void;
  /** Return the result of a command that exits non-zero instead of throwing. */
  readonly allowFailure?: boolean;
  /** Milliseconds after which the command is stopped. */
  readonly timeout?: number;
  /** Stops this one command early, besides the host's own signal. */
  readonly cancel?: AbortSignal;
  /** In a process group of its own: Ctrl-C on the terminal reaches it only through bake, once. */
  readonly ownGroup?: boolean;
  /** Milliseconds between SIGTERM (on cancel or time-out) and SIGKILL. Default 5000. */
  readonly killAfter?: number;
}

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export type Update = (detail: string, rows?: readonly string[]) => void;

/** Where long work says what it is doing. Step ids are stable: seconds per step are stored under them. */
export interface Progress {
  /**
   * Runs `work` as a step that is announced, timed and ended; `update` replaces the step's detail. With rows it is one of many
   * moments: a terminal shows all of them, one below the other, a log now and then.
   */
  step<T>(id: string, title: string, work: (update: Update) => Promise<T>): Promise<T>;
  note(line: string): void;
  /** Seconds that a step took last time, where that is known. */
  readonly lastTime?: (id: string) => number | undefined;
}

export interface Host {
  /** @throws BakeError BK301 when the command is missing, BK302 when it fails and `allowFailure` is not set. */
  run: (file: string, args: readonly string[], options?: RunOptions) => Promise<RunResult>;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Waits so many milliseconds. @throws the signal's reason, when it is aborted before. */
  sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** 0 to 1, not for secrets. */
  random: () => number;
  /** Of this machine's processor, as Node calls it: `x64`, `arm64`. */
  readonly architecture: string;
  /** Environment variables by name. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `$XDG_CACHE_HOME/bake`. */
  readonly cacheDir: string;
  /** Aborted on Ctrl-C and SIGTERM. Every process that `run` started is stopped then. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

/**
 * The real process runner.
 * @param signal Stops every process once it is aborted.
 * @param env The host's environment: what it has of secrets is not passed on.
 * @param outputs Folder that keeps what failed programs said; without it their last lines are told alone.
 * @returns `Host.run`, which throws as it says there, and the signal's reason.
 */
export const runProcess =
  (signal: AbortSignal, env: Host["env"] = process.env, outputs?: string): Host["run"] =>
  async (file, args, options = {}) => {
    const withheld = Object.fromEntries((options.withhold ?? []).map((name) => [name, undefined]));
    const child = execa(file, args, {
      reject: false,
      cancelSignal: options.cancel === undefined ? signal : AbortSignal.any([signal, options.cancel]),
      detached: options.ownGroup === true,
      forceKillAfterDelay: options.killAfter ?? 5000,
      buffer: true,
      stripFinalNewline: false,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      // A process shows its environment in /proc for as long as it lives, and some write it into their logs.
      extendEnv: false,
      env: { ...withoutSecrets(env), ...withheld, ...options.env },
      ...(options.input === undefined ? { stdin: "ignore" as const } : { input: options.input }),
      ...(options.timeout === undefined ? {} : { timeout: options.timeout }),
      ...(options.stdoutFile === undefined ? {} : { stdout: { file: options.stdoutFile } }),
    });
    const { onLine } = options;
    if (onLine !== undefined) {
      for (const stream of ["stdout", "stderr"] as const) {
        void (async () => {
          for await (const line of child.iterable({ from: stream })) onLine(line, stream);
        })().catch(() => undefined);
      }
    }
    const result = await child;
    if (result.code === "ENOENT") {
      throw new BakeError("BK301", `${file}: command not found`, `Install ${file}, or put it on PATH.`);
    }
    if (signal.aborted) throw signal.reason;
    if (options.stdoutFile !== undefined && result.code !== undefined && !result.timedOut)
      throw new BakeError("BK302", `${file}: ${options.stdoutFile} cannot be written: ${result.code}`);
    const exitCode = result.exitCode ?? 128;
    const said = { stdout: result.stdout ?? "", stderr: result.stderr };
    if (exitCode !== 0 && options.allowFailure !== true) {
      const why = result.timedOut ? "timed out" : result.exitCode === undefined ? "was stopped" : `exited ${exitCode}`;
      const help = await tellOutput({ folder: outputs, now: system.now() }, [file, ...args], said);
      throw new BakeError("BK302", `${file} ${args.join(" ")}: ${why}`, help);
    }
    return { exitCode, ...said };
  };
