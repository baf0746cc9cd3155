/** `Web` over HTTP, through the proxies of the environment. */
import { STATUS_CODES } from "node:http";
import { type Dispatcher, interceptors, request } from "undici";
import { BakeError } from "../errors.ts";
import { makeDispatcher, shownUrl } from "../store/http.ts";
import type { Web, WebRequest } from "./web.ts";

export interface WebOptions {
  /** Gets a file into the store: the download's own business. */
  readonly store: Web["store"];
  readonly signal: AbortSignal;
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

interface Answer {
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
  /** Where it came from in the end. */
  readonly url: string;
}

const mostRedirects = 5;
const mostPages = 100;

const networkHelp = "Is the network there? Behind a proxy, set HTTPS_PROXY; `sources` of the profile names mirrors.";

const one = (header: string | string[] | undefined): string | undefined => (Array.isArray(header) ? header[0] : header);

const helpFor = (status: number, headers: Answer["headers"]): string => {
  if (status === 404 || status === 410) return "Look at the version or name in the profile, and at its `sources`.";
  if (one(headers["x-ratelimit-remaining"]) === "0" || status === 429) {
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

/** @throws BakeError BK231 when it leads from https to plain http, or nowhere */
const follow = (from: string, location: string): string => {
  const to = URL.canParse(location, from) ? new URL(location, from) : undefined;
  const refused = (why: string) =>
    new BakeError("BK231", `${shownUrl(from)} redirects ${why}`, "Name another mirror in `sources` of the profile.");
  if (to === undefined || !/^https?:$/.test(to.protocol)) throw refused("to what is no http or https URL");
  if (from.startsWith("https:") && to.protocol === "http:") throw refused(`to plain http: ${shownUrl(to.href)}`);
  return to.href;
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

/** @throws as `Web` says, and the signal's reason once it is aborted */
export const webOverHttp = (options: WebOptions): Web => {
  const { signal, store, rewrite = (url) => url, timeout = 20_000, retries = 4, limit = 32 << 20 } = options;
  const connections = options.dispatcher ?? makeDispatcher({ stall: timeout, env: options.env });
  const dispatcher = connections.compose(
    interceptors.retry({
      maxRetries: retries,
      minTimeout: options.pause ?? 500,
      maxTimeout: options.longestPause ?? 60_000,
      statusCodes: [429, 500, 502, 503, 504],
    }),
  );

  const ask = async (asked: string, method: "GET" | "HEAD", { headers = {} }: WebRequest): Promise<Answer> => {
    let url = asked;
    for (let hop = 0; hop <= mostRedirects; hop += 1) {
      const own = new URL(url).origin === new URL(asked).origin ? headers : {};
      const response = await request(rewrite(url), {
        method,
        dispatcher,
        signal,
        headersTimeout: timeout,
        bodyTimeout: timeout,
        headers: { "user-agent": "bake", ...own },
      });
      const location = one(response.headers["location"]);
      if (response.statusCode >= 300 && response.statusCode < 400 && location !== undefined) {
        await response.body.dump();
        url = follow(url, location);
        continue;
      }
      if (response.statusCode !== 200) {
        await response.body.dump();
        throw Object.assign(new Error("no success"), {
          statusCode: response.statusCode,
          headers: response.headers,
          url,
        });
      }
      const parts: Buffer[] = [];
      let size = 0;
      for await (const chunk of response.body) {
        parts.push(chunk as Buffer);
        size += (chunk as Buffer).length;
        if (size > limit) {
          throw failed(
            `${shownHop(asked, url)} sends more than ${limit} bytes`,
            "That is no checksum file or list: is this the right URL?",
          );
        }
      }
      return { headers: response.headers, body: Buffer.concat(parts), url };
    }
    throw new BakeError(
      "BK231",
      `${shownUrl(asked)} redirects more than ${mostRedirects} times`,
      "Name another mirror in `sources` of the profile.",
    );
  };

  const answer = async (url: string, method: "GET" | "HEAD", wanted: WebRequest = {}): Promise<Answer> => {
    if (!URL.canParse(url) || !/^https?:/.test(url)) {
      throw failed(`${shownUrl(url)} cannot be asked for`, "It has to be an http or https URL.");
    }
    try {
      return await ask(url, method, wanted);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof BakeError) throw error;
      const {
        statusCode,
        headers = {},
        url: at = url,
      } = error as { statusCode?: number; headers?: Answer["headers"]; url?: string };
      if (statusCode !== undefined && statusCode >= 300) {
        const said = `${statusCode} ${STATUS_CODES[statusCode] ?? ""}`.trimEnd();
        throw failed(`${shownHop(url, at)} answers ${said}`, helpFor(statusCode, headers), {
          status: statusCode,
          why: error,
        });
      }
      const { code, message } = error as NodeJS.ErrnoException;
      throw failed(`${shownUrl(url)} cannot be had: ${message === "" ? code : message}`, networkHelp, {
        why: error,
      });
    }
  };

  return {
    store,
    bytes: async (url, wanted) => (await answer(url, "GET", wanted)).body,
    text: async (url, wanted) => text((await answer(url, "GET", wanted)).body, url),
    size: async (url) => {
      let headers: Answer["headers"];
      try {
        ({ headers } = await answer(url, "HEAD"));
      } catch (error) {
        // Some servers sign or allow GET alone.
        const status = (error as { cause?: { status?: number } }).cause?.status;
        if (status === 403 || status === 405 || status === 501) return undefined;
        throw error;
      }
      const length = one(headers["content-length"]);
      const encoding = one(headers["content-encoding"]) ?? "identity";
      return length !== undefined && /^\d+$/.test(length) && encoding === "identity" ? Number(length) : undefined;
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
        const link = nextPage(one(headers["link"]));
        next = link === undefined ? undefined : follow(at, link);
      }
    },
  };
};
