/** How much of a limit of Buildkite's is used, by the headers of its answers; and how long to wait so that others keep their share. */
import type { Headers } from "../store/http.ts";
import { retryAfter } from "../store/retry.ts";

/** The part of a limit that bake takes: the rest is for people and their other tools, who share it. */
const share = 0.8;

/** Milliseconds; a pause that is longer than any window of Buildkite's (five minutes, for GraphQL) is a mistake. */
const longestPause = 310_000;

export interface Limit {
  /** Milliseconds until so much may be asked without taking more than the share; 0: now. */
  readonly pauseFor: (cost: number, now: number) => number;
  /** How much may be asked now; infinite before Buildkite has said. */
  readonly room: (now: number) => number;
  /** Something of this cost was asked: what the answer says comes later, or never. */
  readonly spend: (cost: number) => void;
  /** Takes in what an answer says. */
  readonly learn: (headers: Headers, now: number) => void;
  /** `41 of 50 used`, for people. */
  readonly shown: () => string;
}

const count = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,9}$/.test(text.trim()) ? Number(text) : undefined;

/** A limit with its memory. Requests that are under way at a time are counted when they are sent. */
export const makeLimit = (): Limit => {
  let window: { limit: number; left: number; ends: number } | undefined;
  const current = (now: number) => {
    if (window !== undefined && now >= window.ends) window = { ...window, left: window.limit };
    return window;
  };
  const room = (now: number): number => {
    const seen = current(now);
    return seen === undefined ? Number.POSITIVE_INFINITY : seen.left - seen.limit * (1 - share);
  };
  return {
    room,
    pauseFor: (cost, now) => {
      const seen = current(now);
      if (seen === undefined || now >= seen.ends) return 0;
      // What never fits is sent in a window of its own.
      const fits = Math.min(cost, seen.limit * share);
      // Floating point: 50 * (1 - 0.8) is a little less than 10.
      return room(now) + 1e-6 >= fits ? 0 : Math.min(seen.ends - now, longestPause);
    },
    spend: (cost) => {
      if (window !== undefined) window = { ...window, left: Math.max(0, window.left - cost) };
    },
    learn: (headers, now) => {
      const limit = count(headers["ratelimit-limit"]);
      const left = count(headers["ratelimit-remaining"]);
      const reset = count(headers["ratelimit-reset"]);
      if (limit === undefined || left === undefined || reset === undefined) return;
      window = { limit, left, ends: now + reset * 1000 };
    },
    shown: () => (window === undefined ? "nothing known" : `${window.limit - window.left} of ${window.limit} used`),
  };
};

/** Milliseconds that a refusal for too many requests asks to wait; undefined when it does not say. Pure. */
export const pauseAsked = (headers: Headers, now: number): number | undefined => {
  const reset = count(headers["ratelimit-reset"]);
  const asked = retryAfter(headers, now) ?? (reset === undefined ? undefined : reset * 1000);
  // A second more: both are cut to whole seconds.
  return asked === undefined ? undefined : Math.min(asked + 1000, longestPause);
};
