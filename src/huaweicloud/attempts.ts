/** One call of the cloud's, tried again where that is safe, while the service is busy or does not answer. */
import type { Host } from "../host/host.ts";
import type { Headers } from "../store/http.ts";
import { HttpError, isTransientStatus } from "../store/http-error.ts";
import { backoffAfter, retry, retryAfter } from "../store/retry.ts";

const mostAttempts = 5;
const firstPause = 1000;
const longestPause = 60_000;

/** A busy or broken service: its answer is the last word when no attempt is left. */
class Busy<A> extends Error {
  readonly answer: A;

  constructor(answer: A) {
    super("the service is busy");
    this.answer = answer;
  }
}

/**
 * @param safe Whether it may be sent again.
 * @param send One attempt.
 * @returns the last answer, whatever its status.
 * @throws what `send` throws when no attempt is left; the signal's reason.
 */
export const lastAnswer = async <A extends { readonly status: number; readonly headers: Headers }>(
  host: Pick<Host, "now" | "sleep" | "random" | "signal">,
  safe: boolean,
  send: () => Promise<A>,
): Promise<A> => {
  let failures = 0;
  const attempt = async (): Promise<A> => {
    const answer = await send();
    if (isTransientStatus(answer.status)) throw new Busy(answer);
    return answer;
  };
  const pauseAfter = (error: unknown): number | undefined => {
    failures += 1;
    const asked = error instanceof Busy ? retryAfter((error as Busy<A>).answer.headers, host.now()) : undefined;
    const passes = error instanceof Busy || (error instanceof HttpError && error.transient);
    const most = error instanceof HttpError && error.unreachable ? 3 : mostAttempts;
    if (!safe || !passes || failures >= most) return undefined;
    return Math.min(asked ?? backoffAfter(failures, firstPause, host.random()), longestPause);
  };
  try {
    return await retry(attempt, pauseAfter, host);
  } catch (error) {
    if (error instanceof Busy) return (error as Busy<A>).answer;
    throw error;
  }
};
