/** What goes wrong over HTTP, in words, and whether another attempt may help. Pure. */
import { originOf } from "./url.ts";

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

const timeouts = new Set(["ETIMEDOUT", "UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"]);

/** Another attempt meets the same certificate. */
const isAboutTls = (error: unknown): boolean =>
  /certificate|self.signed|CERT/i.test(`${codeOf(error)} ${(error as Error).message}`);

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
    case "ERR_SSL_WRONG_VERSION_NUMBER":
    case "ERR_SSL_PACKET_LENGTH_TOO_LONG":
      return "what it answers is no TLS: it may speak plain http";
    default:
      return isAboutTls(error)
        ? `its certificate is not trusted (${code || message}); a private authority goes into SSL_CERT_FILE`
        : code === ""
          ? message
          : `${message} (${code})`;
  }
};

/** What went wrong before there was an answer, or while it came. */
export class HttpError extends Error {
  override readonly name: string = "HttpError";
  /** Whether another attempt may help. */
  readonly transient: boolean;
  /** Nothing came for as long as was waited. */
  readonly timedOut: boolean;
  /** There may be no such place at all: a few attempts are enough. */
  readonly unreachable: boolean;
  /** Who was asked: the URL's own host, or one that it redirects to. */
  readonly origin: string;

  /**
   * @param message What is wrong, in words, without the URL.
   * @param url Where it happened.
   * @param cause What Node or undici threw; without one, another attempt does not help.
   */
  constructor(message: string, url: string, cause?: unknown) {
    super(message, { cause });
    const code = codeOf(cause);
    this.transient = cause !== undefined && !isAboutTls(cause);
    this.timedOut = timeouts.has(code);
    this.unreachable = unreachable.has(code);
    this.origin = originOf(url);
  }
}

/** An error of Node or undici as an HttpError. @param url Where it happened. */
export const httpErrorOf = (error: unknown, url: string): HttpError => new HttpError(inWords(error), url, error);

/** Why nothing, or no more, came: in words, without the URL. */
export const reasonOf = (error: unknown): string =>
  error instanceof HttpError ? error.message : inWords((error as { cause?: unknown }).cause ?? error);

/** Says of a status whether another attempt may help: the server is busy or broken. 501 is what it will never do. */
export const isTransientStatus = (status: number): boolean =>
  status === 408 || status === 429 || (status >= 500 && status !== 501);

/** A failure that another attempt may mend. */
export class TransientError extends Error {
  override readonly name = "TransientError";
  /** Milliseconds that the server asks to wait. */
  readonly wait: number | undefined;

  constructor(message: string, wait?: number) {
    super(message);
    this.wait = wait;
  }
}

/** A failure that another attempt at the same URL does not mend. */
export class PermanentError extends Error {
  override readonly name = "PermanentError";
}
