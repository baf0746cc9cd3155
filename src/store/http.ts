/** HTTP as downloads need it: proxies, private certificate authorities, redirects that give nothing away. */
import { readFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { rootCertificates } from "node:tls";
import { fileURLToPath } from "node:url";
import { EnvHttpProxyAgent, Pool, request } from "undici";
import { BakeError } from "../errors.ts";

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Must be read or destroyed. */
  readonly body: Readable;
  /** Who answered, after redirects. */
  readonly origin: string;
}

interface HttpOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Follows redirects. @throws HttpError */
export type Http = (url: string, options?: HttpOptions) => Promise<HttpResponse>;

const codeOf = (error: unknown): string => ((error ?? {}) as { code?: string }).code ?? "";

/** Says what the host itself would never say. */
const unreachable = new Set([
  "ENOTFOUND",
  "EAI_AGAIN",
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ETIMEDOUT",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** Another attempt meets the same certificate. */
const isAboutTls = (error: unknown): boolean =>
  /certificate|self.signed|CERT/i.test(`${codeOf(error)} ${(error as Error).message}`);

export const originOf = (url: string): string => (URL.canParse(url) ? new URL(url).origin : url);

/** What went wrong before there was an answer. TransientError with a cause: another attempt may help. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  /** Whether another attempt may help. */
  readonly transient: boolean;
  /** There may be no such place at all: a few attempts are enough. */
  readonly nobody: boolean;
  /** Who was asked: the URL's own host, or one that it redirects to. */
  readonly origin: string;

  /** @param url Where it happened. */
  constructor(message: string, url: string, cause?: unknown) {
    super(message, { cause });
    const code = codeOf(cause);
    this.transient = cause !== undefined && !isAboutTls(cause);
    this.nobody = unreachable.has(code);
    this.origin = originOf(url);
  }
}

/** A URL as messages and logs may show it, a file by its path: user information and query strings hold credentials and signatures. */
export const shownUrl = (url: string): string => {
  if (!URL.canParse(url)) return "<not a URL>";
  const { protocol, origin, pathname, search } = new URL(url);
  if (protocol === "file:") return fileURLToPath(url);
  return `${origin}${pathname}${search === "" ? "" : "?…"}`;
};

/** What Node and undici say, in words. */
const inWords = (error: unknown): string => {
  const code = codeOf(error);
  const { message } = error as Error;
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the host is not known";
    case "ECONNREFUSED":
      return "nothing listens there";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "no way leads there";
    case "ECONNRESET":
    case "UND_ERR_SOCKET":
    case "EPIPE":
      return "the connection was cut";
    case "ETIMEDOUT":
    case "UND_ERR_CONNECT_TIMEOUT":
    case "UND_ERR_HEADERS_TIMEOUT":
      return "no answer in time";
    case "UND_ERR_BODY_TIMEOUT":
      return "it sends nothing any more";
    case "UND_ERR_RES_CONTENT_LENGTH_MISMATCH":
    case "HPE_UNEXPECTED_CONTENT_LENGTH":
      return "it sent another number of bytes than it said";
    default:
      return isAboutTls(error)
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

/** Milliseconds: whoever is there takes a connection sooner. */
const longestConnect = 10_000;

type Environment = Readonly<Record<string, string | undefined>>;

const setting = (env: Environment, name: string): string => env[name.toLowerCase()] ?? env[name] ?? "";

/** A proxy without a scheme is one that speaks http, as curl takes it. @throws BakeError BK219 */
const proxyOf = (env: Environment, name: string): string => {
  const value = setting(env, name);
  if (value === "") return "";
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  throw new BakeError(
    "BK219",
    `${name} names no proxy that bake can use`,
    "It is http://host:port or https://host:port.",
  );
};

/** Node knows the common authorities; crane reads this variable too. @throws BakeError BK219 */
const authorities = (file: string | undefined): string[] | undefined => {
  if (file === undefined || file === "") return undefined;
  try {
    return [...rootCertificates, readFileSync(file, "utf8")];
  } catch (error) {
    throw new BakeError(
      "BK219",
      `SSL_CERT_FILE cannot be read: ${(error as Error).message}`,
      "It names a file of certificates in PEM form.",
    );
  }
};

/** Connections through the proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name. */
export const makeDispatcher = ({ env = {}, stall = 30_000 }: Omit<HttpSettings, "rewrite"> = {}): EnvHttpProxyAgent => {
  const ca = authorities(env["SSL_CERT_FILE"]);
  const connect = { timeout: Math.min(stall, longestConnect), ...(ca !== undefined && { ca }) };
  return new EnvHttpProxyAgent({
    httpProxy: proxyOf(env, "HTTP_PROXY"),
    httpsProxy: proxyOf(env, "HTTPS_PROXY"),
    noProxy: setting(env, "NO_PROXY"),
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
      if (redirects > mostRedirects) throw new HttpError(`more than ${mostRedirects} redirects`, url);
      let response: Awaited<ReturnType<typeof request>>;
      try {
        response = await request(rewrite(url), {
          dispatcher,
          headers: sent,
          ...(signal !== undefined && { signal }),
        });
      } catch (error) {
        signal?.throwIfAborted();
        throw new HttpError(inWords(error), url, error);
      }
      const location = oneEach(response.headers)["location"];
      if (![301, 302, 303, 307, 308].includes(response.statusCode) || location === undefined) {
        // Whoever destroys a body has no use for its complaint; whoever reads it gets it.
        response.body.on("error", () => undefined);
        return {
          status: response.statusCode,
          headers: oneEach(response.headers),
          body: response.body,
          origin: originOf(url),
        };
      }
      await response.body.dump();
      let next: URL;
      try {
        next = new URL(location, url);
      } catch {
        throw new HttpError("it redirects to no URL", url);
      }
      if (next.protocol !== "https:" && next.protocol !== "http:") {
        throw new HttpError(`it redirects to ${next.protocol}`, url);
      }
      if (next.protocol === "http:" && url.startsWith("https:")) {
        throw new HttpError(`it redirects from https down to http://${next.host}`, url);
      }
      if (next.origin !== new URL(url).origin) sent = withoutPrivate(sent);
      url = next.href;
    }
  };
};

/**
 * Files of a folder as if a server had them: a mirror on a disk is fetched from as any other. Nothing leads there but a URL
 * that is asked for, no redirect does.
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
        origin: originOf(url),
      };
    } catch (error) {
      await file?.close();
      throw new HttpError(codeOf(error) === "ENOENT" ? "it is not there" : (error as Error).message, url);
    }
  };
