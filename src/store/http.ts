/** The HTTP client of bake: proxies, private certificate authorities, redirects that give nothing away. */
import { type FileHandle, open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { type Dispatcher, request } from "undici";
import { HttpError, httpErrorOf } from "./http-error.ts";
import { type Environment, makeDispatcher } from "./proxies.ts";
import { headersAcross, isRedirect, RedirectError, redirectTarget } from "./redirects.ts";

/** Header names in lower case; of a header that came more than once, the first. */
export type Headers = Readonly<Record<string, string | undefined>>;

export interface HttpResponse {
  readonly status: number;
  readonly headers: Headers;
  /** Must be read or destroyed. */
  readonly body: Readable;
  /** Who answered, after redirects: the whole URL, not for messages. */
  readonly url: string;
}

export interface HttpOptions {
  /** Default GET. Only that and HEAD follow redirects: any other would do something elsewhere. */
  readonly method?: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** A stream needs `content-length` among the headers. */
  readonly body?: string | Readable;
  /** Whether redirects are followed. Default yes: a redirect that is not followed is an answer. */
  readonly follow?: boolean;
  /** For the URL's own origin: to another one only those go along that hold no credential. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Asks once, and follows redirects where they may be. Any status is an answer. @throws HttpError, or the signal's reason. */
export type Http = (url: string, options?: HttpOptions) => Promise<HttpResponse>;

export interface HttpSettings {
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case; SSL_CERT_FILE. */
  readonly env?: Environment;
  /** Milliseconds without an answer, or without a byte of one. Default 30000. */
  readonly stall?: number;
  /** Default 8. */
  readonly mostRedirects?: number;
  /** Where a URL is really asked for: a trial's source listens on another port each time. */
  readonly rewrite?: (url: string) => string;
  /** In place of connections of its own. */
  readonly dispatcher?: Dispatcher;
}

const oneEach = (headers: Readonly<Record<string, string | string[] | undefined>>): Headers =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]));

/**
 * The client of a run: all questions of bake over HTTP go through one of these.
 * @throws BakeError BK219 when the environment names a proxy or a file of certificates that cannot be used.
 */
export const makeHttp = ({
  env = {},
  stall = 30_000,
  mostRedirects = 8,
  rewrite = (url) => url,
  dispatcher = makeDispatcher(env, stall),
}: HttpSettings = {}): Http => {
  const askOnce = async (url: string, { method = "GET", headers = {}, body, signal }: HttpOptions) => {
    try {
      return await request(rewrite(url), {
        method,
        dispatcher,
        headers,
        ...(body !== undefined && { body }),
        ...(signal !== undefined && { signal }),
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw httpErrorOf(error, url);
    }
  };
  return async (asked, options = {}) => {
    const follows = (options.follow ?? true) && ["GET", "HEAD"].includes(options.method ?? "GET");
    let url = asked;
    let headers = options.headers ?? {};
    for (let redirects = 0; ; redirects++) {
      if (redirects > mostRedirects) throw new RedirectError(url, { kind: "too many", limit: mostRedirects });
      const response = await askOnce(url, { ...options, headers });
      const received = oneEach(response.headers);
      const { location } = received;
      if (!follows || !isRedirect(response.statusCode) || location === undefined) {
        // Whoever destroys a body has no use for its complaint; whoever reads it gets it.
        response.body.on("error", () => undefined);
        return { status: response.statusCode, headers: received, body: response.body, url };
      }
      await response.body.dump();
      const next = redirectTarget(url, location);
      headers = headersAcross(headers, url, next);
      url = next;
    }
  };
};

/**
 * Answers `file:` URLs too, as if a server had the files: a mirror on a disk is fetched from as any other. Only a URL that is
 * asked for leads there; no redirect does.
 */
export const withFiles =
  (http: Http): Http =>
  async (url, options = {}) => {
    if (!url.startsWith("file:")) return http(url, options);
    const path = fileURLToPath(url);
    const { headers = {}, signal } = options;
    const start = Number(/^bytes=(\d+)-$/.exec(headers["range"] ?? "")?.[1] ?? 0);
    signal?.throwIfAborted();
    let file: FileHandle | undefined;
    try {
      file = await open(path);
      const { size } = await file.stat();
      const body = file.createReadStream({ start, highWaterMark: 1 << 20, ...(signal !== undefined && { signal }) });
      // Whoever destroys a body has no use for its complaint; whoever reads it gets it.
      body.on("error", () => undefined);
      return {
        status: start > 0 ? 206 : 200,
        headers: {
          "content-length": String(size - start),
          ...(start > 0 && { "content-range": `bytes ${start}-${size - 1}/${size}` }),
        },
        body,
        url,
      };
    } catch (error) {
      await file?.close();
      const { code, message } = error as NodeJS.ErrnoException;
      throw new HttpError(code === "ENOENT" ? "it is not there" : message, url);
    }
  };
