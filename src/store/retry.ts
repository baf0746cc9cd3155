/** Attempts one after the other: when the next one comes, and when there is none. */
import type { Headers } from "./http.ts";

/** What waiting needs of the world. */
export interface RetryEdges {
  /** @throws the signal's reason. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
}

/**
 * Repeats an attempt until it works.
 * @param pauseAfter Milliseconds to wait after a failure; undefined: it was the last one. May throw what is to be said instead.
 * @throws what the last attempt or `pauseAfter` threw, or the signal's reason.
 */
export const retry = async <T>(
  attempt: () => Promise<T>,
  pauseAfter: (error: unknown) => number | undefined,
  { sleep, signal }: RetryEdges,
): Promise<T> => {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      const pause = pauseAfter(error);
      if (pause === undefined) throw error;
      await sleep(pause, signal);
    }
  }
};

/**
 * Milliseconds before the next attempt: doubled each time, and never the same for two that failed together. Pure.
 * @param failures Attempts that failed so far: 1 or more.
 * @param first Milliseconds after the first one.
 * @param random 0 to 1.
 */
export const backoffAfter = (failures: number, first: number, random: number): number =>
  first * 2 ** (failures - 1) * (0.75 + random / 2);

/**
 * What a server asks to wait, by its `Retry-After`: seconds, or a date. Pure.
 * @param now Milliseconds since the epoch.
 * @returns milliseconds; undefined when it does not say.
 */
export const retryAfter = ({ "retry-after": header }: Headers, now: number): number | undefined => {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header)) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
};
