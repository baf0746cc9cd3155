/** HTTP as downloads need it: proxies, private certificate authorities, redirects that give nothing away. */
import { readFileSync } from "node:fs";
import type { Readable } from "node:stream";
import { rootCertificates } from "node:tls";
import { EnvHttpProxyAgent, Pool, request } from "undici";

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Must be read or destroyed. */
  readonly body: Readable;
}

interface HttpOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Follows redirects. @throws HttpError */
export type Http = (url: string, options?: HttpOptions) => Promise<HttpResponse>;

/** What went wrong before there was an answer. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  /** Whether another attempt may help. */
  readonly passing: boolean;
  /** There may be no such place at all: a few attempts are enough. */
  readonly nobody: boolean;

  constructor(message: string, passing: boolean, options?: ErrorOptions) {
    super(message, options);
    this.passing = passing;
    const { code = "" } = (options?.cause ?? {}) as { code?: string };
    this.nobody = ["ENOTFOUND", "ECONNREFUSED"].includes(code);
  }
}

/** A URL as messages and logs may show it: user information and query strings hold credentials and signatures. */
export const shownUrl = (url: string): string => {
  if (!URL.canParse(url)) return "<not a URL>";
  const { origin, pathname, search } = new URL(url);
  return `${origin}${pathname}${search === "" ? "" : "?…"}`;
};

/** What Node and undici say, in words. */
const inWords = (error: unknown): string => {
  const { code = "", message } = error as { code?: string; message: string };
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the host is not known";
    case "ECONNREFUSED":
      return "nothing listens there";
    case "ECONNRESET":
    case "UND_ERR_SOCKET":
    case "EPIPE":
      return "the connection was cut";
    case "UND_ERR_CONNECT_TIMEOUT":
    case "UND_ERR_HEADERS_TIMEOUT":
      return "no answer in time";
    case "UND_ERR_BODY_TIMEOUT":
      return "it sends nothing any more";
    case "UND_ERR_RES_CONTENT_LENGTH_MISMATCH":
    case "HPE_UNEXPECTED_CONTENT_LENGTH":
      return "it sent another number of bytes than it said";
    default:
      return /certificate|self.signed|CERT/i.test(`${code} ${message}`)
        ? `its certificate is not trusted (${code || message}); a private authority goes into SSL_CERT_FILE`
        : code === ""
          ? message
          : `${message} (${code})`;
  }
};

export const reasonOf = (error: unknown): string =>
  error instanceof HttpError ? error.message : inWords((error as { cause?: unknown }).cause ?? error);

const mostRedirects = 8;

/** Only these go along to another host: every other one may hold a credential. */
const harmless = new Set(["accept", "accept-encoding", "range", "if-range", "user-agent"]);

const withoutPrivate = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => harmless.has(name.toLowerCase())));

const oneEach = (headers: Readonly<Record<string, string | string[] | undefined>>): HttpResponse["headers"] =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]));

export interface HttpSettings {
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case; SSL_CERT_FILE. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Milliseconds without an answer, or without a byte of one. */
  readonly stall?: number;
  /** Where a URL is really asked for: a trial's source listens on another port each time. */
  readonly rewrite?: (url: string) => string;
}

/**
 * When a proxy closes the connection instead of answering CONNECT, undici takes that for a connection that broke later, and
 * connects again at once, for ever. Under another code it is an error.
 */
const withoutLoop = (settings: Pool.Options): Pool.Options => {
  const { connect } = settings;
  if (typeof connect !== "function") return settings;
  const closed = (): Error => Object.assign(new Error("the proxy closed the connection"), { code: "PROXY_CLOSED" });
  return {
    ...settings,
    connect: (options, callback) =>
      connect(options, (...[error, socket]) => {
        if (error === null) callback(error, socket);
        else callback("code" in error && error.code === "UND_ERR_SOCKET" ? closed() : error, null);
      }),
  };
};

/** Connections through the proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name. */
export const makeDispatcher = ({ env = {}, stall = 30_000 }: Omit<HttpSettings, "rewrite"> = {}): EnvHttpProxyAgent => {
  const proxy = (name: string): string => env[name.toLowerCase()] ?? env[name] ?? "";
  // Node knows the common authorities; crane reads this variable too.
  const certificates = env["SSL_CERT_FILE"];
  const ca =
    certificates === undefined || certificates === ""
      ? undefined
      : [...rootCertificates, readFileSync(certificates, "utf8")];
  const connect = { timeout: stall, ...(ca !== undefined && { ca }) };
  return new EnvHttpProxyAgent({
    httpProxy: proxy("HTTP_PROXY"),
    httpsProxy: proxy("HTTPS_PROXY"),
    noProxy: proxy("NO_PROXY"),
    headersTimeout: stall,
    bodyTimeout: stall,
    connect,
    // The host behind a proxy; plain http needs no tunnel, and some proxies allow none.
    requestTls: connect,
    proxyTunnel: false,
    factory: (origin: string | URL, settings: Pool.Options) => new Pool(origin, withoutLoop(settings)),
  });
};

export const makeHttp = ({ rewrite = (url) => url, ...settings }: HttpSettings = {}): Http => {
  const dispatcher = makeDispatcher(settings);
  return async (asked, { headers = {}, signal } = {}) => {
    let url = asked;
    let sent = { ...headers };
    for (let redirects = 0; ; redirects++) {
      if (redirects > mostRedirects) throw new HttpError(`more than ${mostRedirects} redirects`, false);
      let response: Awaited<ReturnType<typeof request>>;
      try {
        response = await request(rewrite(url), {
          dispatcher,
          headers: sent,
          ...(signal !== undefined && { signal }),
        });
      } catch (error) {
        signal?.throwIfAborted();
        throw new HttpError(inWords(error), true, { cause: error });
      }
      const location = oneEach(response.headers)["location"];
      if (![301, 302, 303, 307, 308].includes(response.statusCode) || location === undefined) {
        // Whoever destroys a body has no use for its complaint; whoever reads it gets it.
        response.body.on("error", () => undefined);
        return { status: response.statusCode, headers: oneEach(response.headers), body: response.body };
      }
      await response.body.dump();
      let next: URL;
      try {
        next = new URL(location, url);
      } catch {
        throw new HttpError("it redirects to no URL", false);
      }
      if (next.protocol !== "https:" && next.protocol !== "http:") {
        throw new HttpError(`it redirects to ${next.protocol}`, false);
      }
      if (next.protocol === "http:" && url.startsWith("https:")) {
        throw new HttpError(`it redirects from https down to http://${next.host}`, false);
      }
      if (next.origin !== new URL(url).origin) sent = withoutPrivate(sent);
      url = next.href;
    }
  };
};
