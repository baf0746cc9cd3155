/** `Web` over HTTP, through the proxies of the environment. */
import { STATUS_CODES } from "node:http";
import type { Dispatcher } from "undici";
import { BakeError } from "../errors.ts";
import { type Headers, makeHttp } from "../store/http.ts";
import { shownUrl } from "../store/url.ts";
import { reasonOf } from "../store/http-error.ts";
import { lengthOf } from "../store/range.ts";
import { RedirectError, redirectTarget } from "../store/redirects.ts";
import { AnswerTooLarge, askWhole, type WholeAnswer } from "../store/whole-answer.ts";
import { statusOf, type Web, type WebRequest } from "./web.ts";

export interface WebOptions {
  /** Gets a file into the store: the download's own business. */
  readonly store: Web["store"];
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** @throws the signal's reason. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** 0 to 1. */
  readonly random: () => number;
  /** Where a URL is really asked for. */
  readonly rewrite?: (url: string) => string;
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case; SSL_CERT_FILE. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** In place of connections of its own. */
  readonly dispatcher?: Dispatcher;
  /** Milliseconds until a connection, its headers, or the next bytes must be there. Default 20000. */
  readonly timeout?: number;
  /** How often a busy or broken server is asked again. Default 4. */
  readonly retries?: number;
  /** Milliseconds before it is asked again, doubled each time; a server's own `Retry-After` goes first. Default 500. */
  readonly pause?: number;
  /** Milliseconds that are waited at most at a time. Default 60000. */
  readonly longestPause?: number;
  /** Bytes that an answer may have. Default 32 MiB: a page of GitHub's releases has seven. */
  readonly limit?: number;
}

const mostRedirects = 5;
const mostPages = 100;

const networkHelp = "Is the network there? Behind a proxy, set HTTPS_PROXY; `sources` of the profile names mirrors.";

const helpFor = (status: number, headers: Headers): string => {
  if (status === 404 || status === 410) return "Look at the version or name in the profile, and at its `sources`.";
  if (headers["x-ratelimit-remaining"] === "0" || status === 429) {
    return "The server answers only so many requests: try again later, or name a mirror in `sources` of the profile.";
  }
  if (status >= 500) return "The server has trouble: try again later, or name a mirror in `sources` of the profile.";
  return "Does it need credentials, or does a proxy refuse it?";
};

/** A failure whose cause `statusOf` understands. */
const failed = (message: string, help: string, cause: { readonly status?: number; readonly why?: unknown } = {}) =>
  new BakeError("BK230", message, help, {
    cause: Object.assign(new Error(message, { cause: cause.why }), { status: cause.status }),
  });

const shownHop = (asked: string, at: string): string =>
  asked === at ? shownUrl(asked) : `${shownUrl(asked)} (redirected to ${shownUrl(at)})`;

/** A redirect that is not followed, as a resolver's user may mend it. */
const redirected = (asked: string, { url, refusal }: RedirectError): BakeError => {
  const message =
    refusal.kind === "too many"
      ? `${shownUrl(asked)} redirects more than ${refusal.limit} times`
      : refusal.kind === "downgrade"
        ? `${shownUrl(url)} redirects to plain http: ${shownUrl(refusal.target)}`
        : `${shownUrl(url)} redirects to what is no http or https URL`;
  return new BakeError("BK231", message, "Name another mirror in `sources` of the profile.");
};

/** The next page of a list, from `Link: <url>; rel="next"`. */
const nextPage = (link: string | undefined): string | undefined =>
  (link ?? "").split(/,\s*(?=<)/).flatMap((part) => /^<([^>]+)>.*;\s*rel="?next"?/.exec(part)?.[1] ?? [])[0];

const text = (bytes: Uint8Array, url: string): string => {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw failed(`${shownUrl(url)} is no text`, "Is this the right URL?");
  }
};

/**
 * Answers for resolvers, by the HTTP client of all of bake.
 * @throws as `Web` says, and the signal's reason once it is aborted; at once BakeError BK219 for a proxy that cannot be used.
 */
export const webOverHttp = (options: WebOptions): Web => {
  const { signal, store, env, rewrite, dispatcher, limit = 32 << 20 } = options;
  const http = makeHttp({
    env,
    stall: options.timeout ?? 20_000,
    mostRedirects,
    ...(rewrite !== undefined && { rewrite }),
    ...(dispatcher !== undefined && { dispatcher }),
  });
  const edges = { http, signal, now: options.now, sleep: options.sleep, random: options.random };
  const patience = {
    attempts: (options.retries ?? 4) + 1,
    backoff: options.pause ?? 500,
    longestWait: options.longestPause ?? 60_000,
  };

  const ask = async (url: string, method: "GET" | "HEAD", headers: WebRequest["headers"]): Promise<WholeAnswer> => {
    try {
      return await askWhole(url, { ...patience, limit, method, headers: { "user-agent": "bake", ...headers } }, edges);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof RedirectError) throw redirected(url, error);
      if (error instanceof AnswerTooLarge) {
        throw failed(
          `${shownHop(url, error.url)} sends more than ${limit} bytes`,
          "That is no checksum file or list: is this the right URL?",
        );
      }
      throw failed(`${shownUrl(url)} cannot be had: ${reasonOf(error)}`, networkHelp, { why: error });
    }
  };

  const followed = (from: string, link: string | undefined): string | undefined => {
    try {
      return link === undefined ? undefined : redirectTarget(from, link);
    } catch (error) {
      throw error instanceof RedirectError ? redirected(from, error) : error;
    }
  };

  const answer = async (url: string, method: "GET" | "HEAD", { headers }: WebRequest = {}): Promise<WholeAnswer> => {
    if (!URL.canParse(url) || !/^https?:/.test(url)) {
      throw failed(`${shownUrl(url)} cannot be asked for`, "It has to be an http or https URL.");
    }
    const found = await ask(url, method, headers);
    if (found.status === 200) return found;
    const { status } = found;
    const said = `${status} ${STATUS_CODES[status] ?? ""}`.trimEnd();
    throw failed(`${shownHop(url, found.url)} answers ${said}`, helpFor(status, found.headers), { status });
  };

  return {
    store,
    bytes: async (url, wanted) => (await answer(url, "GET", wanted)).body,
    text: async (url, wanted) => text((await answer(url, "GET", wanted)).body, url),
    size: async (url) => {
      try {
        return lengthOf((await answer(url, "HEAD")).headers);
      } catch (error) {
        // Some servers sign or allow GET alone.
        const status = statusOf(error);
        if (status === 403 || status === 405 || status === 501) return undefined;
        throw error;
      }
    },
    pages: async function* pages(url, wanted = {}) {
      let next: string | undefined = url;
      for (let page = 0; next !== undefined; page += 1) {
        if (page === mostPages) {
          throw failed(`${shownUrl(url)} has more than ${mostPages} pages`, "Name an exact version in the profile.");
        }
        const sameOrigin = new URL(next).origin === new URL(url).origin;
        const { headers, body, url: at } = await answer(next, "GET", sameOrigin ? wanted : {});
        yield text(body, next);
        next = followed(at, nextPage(headers["link"]));
      }
    },
  };
};
