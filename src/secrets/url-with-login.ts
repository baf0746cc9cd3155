/** A login in a URL, as the text has it. A `%` that encodes nothing stands for itself, as do bytes that are no UTF-8. Pure. */
export const decodeLogin = (text: string): string => {
  try {
    return decodeURIComponent(text.replaceAll(/%(?![0-9a-f]{2})/gi, "%25"));
  } catch {
    return text;
  }
};

/**
 * A URL that may have a user and a password in it. Wherever it is printed, logged or written as JSON, these are starred out;
 * only the methods that name them give them away.
 */
export class UrlWithLogin {
  readonly #url: URL;

  private constructor(url: URL) {
    this.#url = url;
  }

  /** Undefined for a text that is no URL. Pure. */
  static parse(text: string): UrlWithLogin | undefined {
    return URL.canParse(text) ? new UrlWithLogin(new URL(text)) : undefined;
  }

  get hasLogin(): boolean {
    return this.#url.username !== "" || this.#url.password !== "";
  }

  /** The query with its `?`; empty without one. It may be a signature. */
  get query(): string {
    return this.#url.search;
  }

  /** The URL itself: to be asked for, shown and kept. */
  withoutLogin(): string {
    const url = new URL(this.#url);
    url.username = "";
    url.password = "";
    return url.href;
  }

  /** Secret. The value of an Authorization or Proxy-Authorization header; undefined without a login. */
  basicAuthorization(): string | undefined {
    if (!this.hasLogin) return undefined;
    const login = `${decodeLogin(this.#url.username)}:${decodeLogin(this.#url.password)}`;
    return `Basic ${Buffer.from(login).toString("base64")}`;
  }

  /** For people: `https://***@host/path`. */
  toString(): string {
    const shown = this.withoutLogin();
    return this.hasLogin ? shown.replace("://", "://***@") : shown;
  }

  toJSON(): string {
    return this.toString();
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}
