/** Answers that are read whole into memory: a list, a checksum file, a tool's archive. */
import type { Headers, Http, HttpOptions, HttpResponse } from "./http.ts";
import { HttpError, httpErrorOf, isTransientStatus, TransientError } from "./http-error.ts";
import { lengthOf, rangeOf, strongTag } from "./range.ts";
import { backoffAfter, retry, type RetryEdges, retryAfter } from "./retry.ts";

export interface WholeAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** Empty for any status but 200. */
  readonly body: Buffer;
  /** Who answered, after redirects: the whole URL, not for messages. */
  readonly url: string;
}

export interface WholeOptions extends Omit<HttpOptions, "signal"> {
  /** Attempts at most. */
  readonly attempts: number;
  /** Milliseconds before the second attempt, doubled each time; a server's own `Retry-After` goes first. */
  readonly backoff: number;
  /** Milliseconds that are waited at most at a time. */
  readonly longestWait: number;
  /** Bytes that an answer may have. */
  readonly limit: number;
}

export interface WholeEdges extends RetryEdges {
  readonly http: Http;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** 0 to 1. */
  readonly random: () => number;
}

/** More bytes came than are allowed. */
export class AnswerTooLarge extends Error {
  /** The whole URL that sent them: not for messages. */
  readonly url: string;

  constructor(url: string, limit: number) {
    super(`it sends more than ${limit} bytes`);
    this.url = url;
  }
}

/** A server that is busy or broken: its answer is the last word when no attempt is left. */
class Busy extends TransientError {
  readonly answer: WholeAnswer;

  constructor(answer: WholeAnswer, wait: number | undefined) {
    super(`it answers ${answer.status}`, wait);
    this.answer = answer;
  }
}

/** What came of an answer before it was cut; only a strong entity tag tells that the rest is of the same bytes. */
interface Begun {
  readonly chunks: Buffer[];
  size: number;
  readonly etag: string | undefined;
  readonly total: number | undefined;
}

const rangeHeaders = ({ size, etag, total }: Begun): Record<string, string> =>
  size > 0 && etag !== undefined && total !== undefined
    ? { range: `bytes=${size}-${total - 1}`, "if-range": etag }
    : {};

/** Whether a 206 goes on where it was cut. */
const goesOn = ({ headers }: HttpResponse, { size, etag, total }: Begun): boolean => {
  const range = rangeOf(headers);
  return range?.start === size && headers["etag"] === etag && (range.total === undefined || range.total === total);
};

/**
 * Asks, and reads the answer whole. A busy or broken server is asked again; an answer that was cut is gone on with where the
 * server can, and read from the beginning where it cannot. Nobody is asked again who did not answer in time.
 * @returns the answer, of any status.
 * @throws HttpError when there is none, AnswerTooLarge, or the signal's reason.
 */
export const askWhole = async (
  url: string,
  { attempts, backoff, longestWait, limit, method = "GET", headers = {} }: WholeOptions,
  edges: WholeEdges,
): Promise<WholeAnswer> => {
  const { http, now, random, signal } = edges;
  let begun: Begun = { chunks: [], size: 0, etag: undefined, total: undefined };
  let failures = 0;

  const attempt = async (): Promise<WholeAnswer> => {
    const response = await http(url, { method, headers: { ...headers, ...rangeHeaders(begun) }, signal });
    const { status, headers: received, body, url: at } = response;
    try {
      const resumed = status === 206 && begun.size > 0;
      if (begun.size > 0 && (status === 416 || (resumed && !goesOn(response, begun)))) {
        begun = { chunks: [], size: 0, etag: undefined, total: undefined };
        throw new TransientError("it sends another part than was asked for");
      }
      if (status !== 200 && !resumed) {
        const answer = { status, headers: received, body: Buffer.alloc(0), url: at };
        if (isTransientStatus(status)) throw new Busy(answer, retryAfter(received, now()));
        return answer;
      }
      if (!resumed) begun = { chunks: [], size: 0, etag: strongTag(received["etag"]), total: lengthOf(received) };
      if (method === "HEAD") return { status, headers: received, body: Buffer.alloc(0), url: at };
      for await (const chunk of body) {
        begun.chunks.push(chunk as Buffer);
        begun.size += (chunk as Buffer).length;
        if (begun.size > limit) throw new AnswerTooLarge(at, limit);
      }
      if (resumed && begun.size !== begun.total) {
        throw new TransientError(`it ended after ${begun.size} of ${begun.total} bytes`);
      }
      return { status: 200, headers: received, body: Buffer.concat(begun.chunks), url: at };
    } catch (error) {
      if (error instanceof TransientError || error instanceof AnswerTooLarge) throw error;
      signal.throwIfAborted();
      throw httpErrorOf(error, at);
    } finally {
      body.destroy();
    }
  };

  const pauseAfter = (error: unknown): number | undefined => {
    failures += 1;
    const transient =
      error instanceof TransientError || (error instanceof HttpError && error.transient && !error.timedOut);
    if (!transient || failures >= attempts) return undefined;
    const asked = error instanceof TransientError ? error.wait : undefined;
    return Math.min(asked ?? backoffAfter(failures, backoff, random()), longestWait);
  };

  try {
    return await retry(attempt, pauseAfter, edges);
  } catch (error) {
    if (error instanceof Busy) return error.answer;
    if (error instanceof TransientError) throw new HttpError(error.message, url);
    throw error;
  }
};
