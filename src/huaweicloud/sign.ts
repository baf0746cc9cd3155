/** Signatures of Huawei Cloud's gateway, SDK-HMAC-SHA256: what is signed, and how a URL is written so that both sides read it alike. Pure. */
import { createHash, createHmac } from "node:crypto";

/** Of a user, or temporary ones of an agency, which come with a token. */
export interface Credentials {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly securityToken?: string;
}

/** A call before it is written down: path and query as they are meant, not escaped. */
export interface Unsigned {
  readonly method: string;
  readonly path: string;
  readonly query?: readonly (readonly [name: string, value: string])[];
  /** Those that are signed, by name. `x-sdk-date` is one of them; `host` should be. */
  readonly headers: Readonly<Record<string, string>>;
  /** The bytes that are sent, as text. */
  readonly body?: string;
}

const algorithm = "SDK-HMAC-SHA256";

/** RFC 3986: all but letters, digits, `-`, `.`, `_` and `~`. */
const escaped = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (found) => `%${found.charCodeAt(0).toString(16).toUpperCase()}`);

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Path with each of its segments escaped. */
export const escapedPath = (path: string): string => path.split("/").map(escaped).join("/");

/** Query string without `?`; empty when there is none. In order of what is meant, not of its escapes, as the SDKs have it. */
export const escapedQuery = (query: Unsigned["query"] = []): string =>
  query
    .toSorted(([a, x], [b, y]) => byText(a, b) || byText(x, y))
    .map(([name, value]) => `${escaped(name)}=${escaped(value)}`)
    .join("&");

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** A moment as `x-sdk-date` has it: `20261126T130000Z`. @param now Milliseconds since the epoch. */
export const sdkDate = (now: number): string => new Date(now).toISOString().replace(/[-:]|\.\d+/g, "");

/**
 * The value of the header Authorization.
 * @throws RangeError without `x-sdk-date` among the headers: there is no signature without a time.
 */
export const authorization = (
  { method, path, query, headers, body = "" }: Unsigned,
  { accessKey, secretKey }: Pick<Credentials, "accessKey" | "secretKey">,
): string => {
  const signed = Object.entries(headers)
    .map(([name, value]) => [name.toLowerCase(), value.trim()] as const)
    .toSorted(([a], [b]) => byText(a, b));
  const date = signed.find(([name]) => name === "x-sdk-date")?.[1];
  if (date === undefined) throw new RangeError("no x-sdk-date to sign");
  const names = signed.map(([name]) => name).join(";");
  const request = [
    method,
    // A path is signed with a slash at its end, and sent without.
    escapedPath(path).replace(/\/?$/, "/"),
    escapedQuery(query),
    signed.map(([name, value]) => `${name}:${value}\n`).join(""),
    names,
    sha256(body),
  ].join("\n");
  const signature = createHmac("sha256", secretKey)
    .update([algorithm, date, sha256(request)].join("\n"))
    .digest("hex");
  return `${algorithm} Access=${accessKey}, SignedHeaders=${names}, Signature=${signature}`;
};
