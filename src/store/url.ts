/** What may be said of a URL, and whom one may be trusted with. Pure. */
import { fileURLToPath } from "node:url";

/** Scheme, host and port of a URL; of what is none, the text itself. */
export const originOf = (url: string): string => (URL.canParse(url) ? new URL(url).origin : url);

/**
 * A URL as messages and logs may show it; a file's by its path. User information and query strings are left out: they hold
 * credentials and signatures.
 */
export const shownUrl = (url: string): string => {
  if (!URL.canParse(url)) return "<not a URL>";
  const { protocol, origin, pathname, search } = new URL(url);
  if (protocol === "file:") return fileURLToPath(url);
  return `${origin}${pathname}${search === "" ? "" : "?…"}`;
};

/**
 * Whether a host is this machine: `localhost`, 127.0.0.0/8 or `[::1]`.
 * @param host With or without a port, as it stands in a URL or in an image reference.
 */
export const isLoopback = (host: string): boolean => /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i.test(host);

/** Whether nobody on the way to a URL reads what is sent along, such as a token: TLS, or a server of this machine. */
export const isConfidential = (url: string): boolean => {
  if (!URL.canParse(url)) return false;
  const { protocol, host } = new URL(url);
  return protocol === "https:" || (protocol === "http:" && isLoopback(host));
};
