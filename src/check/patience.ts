/** How long a check waits for a machine, by what that machine has shown. Pure. */
import type { Architecture } from "../artifact.ts";
import type { Host } from "../host/host.ts";
import { formatSeconds } from "../host/progress.ts";

const minute = 60_000;

/** What an idle machine is given for a boot, or for its jobs: minutes under emulation. */
const floor = 15 * minute;
/** Beyond that nobody waits: something is stuck. */
const ceiling = 120 * minute;

/** What is known of a machine: seconds. */
export interface Pace {
  /** From power-on until ssh answered; absent before that. */
  readonly boot?: number;
  /** The same, the last time that an image was booted here. */
  readonly lastBoot?: number;
  /** What is waited for took so long last time. */
  readonly last?: number;
}

/** How many times slower than last time this machine is; 1 where nothing is known of it, or when it is faster. Pure. */
export const slowness = ({ boot, lastBoot }: Pace): number =>
  boot === undefined || lastBoot === undefined || lastBoot <= 0 ? 1 : Math.max(1, boot / lastBoot);

/**
 * Milliseconds to wait. Pure.
 * Ten times what ssh took, since a boot with builders, and jobs, take several times as long; or three times what it took last
 * time, times how much slower the machine is now.
 */
export const patience = (pace: Pace): number => {
  const { boot = 0, lastBoot = 0, last = 0 } = pace;
  const seconds = Math.max(10 * Math.max(boot, lastBoot), 3 * last * slowness(pace));
  return Math.min(ceiling, Math.max(floor, seconds * 1000));
};

/** What to tell about a machine that is much slower than last time. Pure. @returns undefined when it is not. */
export const slownessNote = (pace: Pace): string | undefined => {
  const factor = slowness(pace);
  return factor < 2.5 || pace.boot === undefined || pace.lastBoot === undefined
    ? undefined
    : `  this machine is ${Math.round(factor)} times slower than last time (ssh answered after ${formatSeconds(pace.boot)}, last time ${formatSeconds(pace.lastBoot)}): waiting accordingly, up to ${Math.round(patience(pace) / minute)} min a step`;
};

/** Ways of Docker's client and of buildx to say that nobody answered, or that who answered went away. */
const lost =
  /error reading server preface|use of closed network connection|transport is closing|connection reset by peer|connection refused|Cannot connect to the Docker daemon|code = Unavailable|i\/o timeout|TLS handshake timeout|context deadline exceeded/;

/**
 * The line of a job's log that says that its builder, or Docker, could not be reached: that says nothing about what was to be
 * built. Pure. @returns undefined when no line near its end does.
 */
export const lostConnection = (log: string): string | undefined =>
  log
    .trimEnd()
    .split("\n")
    .slice(-10)
    .findLast((line) => lost.test(line))
    ?.trim();

/** The same host, whose steps are remembered apart: what another processor took, emulated, says nothing about this machine's pace. */
export const timedApart = (host: Host, architecture: Architecture): Host => {
  if (architecture === "x86_64") return host;
  const { progress } = host;
  const named = (id: string): string => `${id}-${architecture}`;
  return {
    ...host,
    progress: {
      note: (line) => progress.note(line),
      step: (id, title, work) => progress.step(named(id), title, work),
      lastTime: (id) => progress.lastTime?.(named(id)),
    },
  };
};
