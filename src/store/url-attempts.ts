/** Attempts at one URL. */
import { shownUrl } from "./url.ts";
import { HttpError, PermanentError, TransientError } from "./http-error.ts";
import { attempt } from "./attempt.ts";
import { backoffAfter, retry } from "./retry.ts";
import type { Arrived, Running } from "./transfer.ts";
import { originOf } from "./url.ts";

/** Attempts at a place that never answered: it may not exist at all. */
const attemptsAtUnreachable = 3;

/**
 * Attempts at one URL until it has given all, or is given up.
 * @throws PermanentError when it is given up; the disk's errors; the signal's reason.
 */
export const fromUrl = async (url: string, running: Running): Promise<Arrived> => {
  const {
    request,
    part,
    reach,
    edges: { random, onEvent },
    edges,
    options: { attempts = 6, backoff = 1000, longestWait = 120_000 },
  } = running;
  let failures = 0;
  let most = part.size;

  const pauseAfter = (error: unknown): number => {
    const transient = error instanceof TransientError || (error instanceof HttpError && error.transient);
    if (error instanceof HttpError && !transient) throw new PermanentError(error.message);
    if (!transient) throw error;
    failures += 1;
    // New bytes are progress: a line that is cut again and again still gets there. Bytes that came before are none.
    if (part.size > most) {
      failures = 1;
      most = part.size;
    }
    // Where it leads to may be silent, or the host itself; a line that is down comes back.
    const unreachable = error instanceof HttpError && error.unreachable && !reach.answered.has(error.origin);
    if (unreachable && reach.silent.has(error.origin)) throw new PermanentError(`${error.message}, as for others`);
    const allowed = unreachable ? Math.min(attemptsAtUnreachable, attempts) : attempts;
    if (failures >= allowed) {
      if (unreachable) reach.silent.set(error.origin, error.message);
      throw new PermanentError(`${error.message}, ${allowed} times`);
    }
    const asked = error instanceof TransientError ? error.wait : undefined;
    if (asked !== undefined && asked > longestWait) {
      throw new PermanentError(`${error.message} and wants ${Math.round(asked / 1000)} s of patience`);
    }
    const wait = asked ?? backoffAfter(failures, backoff, random());
    onEvent?.({ type: "retry", name: request.name, reason: error.message, seconds: wait / 1000, url: shownUrl(url) });
    return wait;
  };

  return retry(
    () => {
      const given = reach.silent.get(originOf(url));
      if (given !== undefined) throw new PermanentError(`${given}, as for others`);
      return attempt(url, running);
    },
    pauseAfter,
    edges,
  );
};
