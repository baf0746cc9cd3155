/** Where a redirect may lead, and what goes along. Pure. */
import { HttpError } from "./http-error.ts";

/** Why a redirect is not followed. */
export type RedirectRefusal =
  | { readonly kind: "no URL" }
  /** `protocol` ends with a colon. */
  | { readonly kind: "no web address"; readonly protocol: string }
  /** From https to plain http. */
  | { readonly kind: "downgrade"; readonly target: string }
  | { readonly kind: "too many"; readonly limit: number };

const sentence = (refusal: RedirectRefusal): string => {
  switch (refusal.kind) {
    case "no URL":
      return "it redirects to no URL";
    case "no web address":
      return `it redirects to ${refusal.protocol}`;
    case "downgrade":
      return `it redirects from https down to http://${new URL(refusal.target).host}`;
    default:
      return `more than ${refusal.limit} redirects`;
  }
};

/** A redirect that is not followed; another attempt does not help. */
export class RedirectError extends HttpError {
  override readonly name = "RedirectError";
  /** The whole URL that redirects: not for messages. */
  readonly url: string;
  readonly refusal: RedirectRefusal;

  /** @param url The one that redirects. */
  constructor(url: string, refusal: RedirectRefusal) {
    super(sentence(refusal), url);
    this.url = url;
    this.refusal = refusal;
  }
}

/**
 * Where a redirect, or a link to the next page, leads.
 * @param from URL of the answer.
 * @param location Absolute, or relative to it.
 * @throws RedirectError when it is no http or https URL, or leads from https to plain http.
 */
export const redirectTarget = (from: string, location: string): string => {
  if (!URL.canParse(location, from)) throw new RedirectError(from, { kind: "no URL" });
  const { protocol, href } = new URL(location, from);
  if (protocol !== "https:" && protocol !== "http:") {
    throw new RedirectError(from, { kind: "no web address", protocol });
  }
  if (protocol === "http:" && from.startsWith("https:")) {
    throw new RedirectError(from, { kind: "downgrade", target: href });
  }
  return href;
};

/** Whether a status tells to look at another place. */
export const isRedirect = (status: number): boolean => [301, 302, 303, 307, 308].includes(status);

/** Only these go along to another host: every other one may hold a credential. */
const harmless = new Set(["accept", "accept-encoding", "range", "if-range", "user-agent"]);

/** The headers that go along from one URL to the next: to another origin only those that hold no credential. */
export const headersAcross = (
  headers: Readonly<Record<string, string>>,
  from: string,
  to: string,
): Readonly<Record<string, string>> =>
  new URL(from).origin === new URL(to).origin
    ? headers
    : Object.fromEntries(Object.entries(headers).filter(([name]) => harmless.has(name.toLowerCase())));
