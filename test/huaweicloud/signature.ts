/** The gateway's own look at a signature, from the request as it came over the wire: it shares nothing with src/huaweicloud/sign.ts. */
import { createHash, createHmac } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

export interface KnownKey {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly securityToken?: string;
}

export interface Wire {
  readonly method: string;
  /** Path and query as they were sent. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const escape = (text: string): string => {
  let out = "";
  for (const byte of Buffer.from(text, "utf8")) {
    const letter = String.fromCharCode(byte);
    out +=
      byte < 128 && /[A-Za-z0-9\-._~]/.test(letter) ? letter : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
};

/** Milliseconds that clocks may differ. */
const tolerance = 15 * 60_000;

const moment = (text: string): number => {
  const found = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (found === null) return Number.NaN;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = found.slice(1).map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
};

/** What is wrong with a signature, in the gateway's words; undefined when nothing is. */
export const signatureProblem = (wire: Wire, keys: readonly KnownKey[], now: number): string | undefined => {
  const { method, target, headers, body } = wire;
  const [, access = "", names = "", signature = ""] =
    /^SDK-HMAC-SHA256 Access=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? "",
    ) ?? [];
  if (access === "") return "authorization header is missing or malformed";
  const key = keys.find(({ accessKey }) => accessKey === access);
  if (key === undefined) return `get secretKey failed,ak:${access},err:ak not exist`;
  const date = String(headers["x-sdk-date"] ?? "");
  const sent = moment(date);
  if (Number.isNaN(sent)) return "x-sdk-date is malformed";
  if (Math.abs(now - sent) > tolerance) return `x-sdk-date ${date} is expired`;
  if (headers["x-security-token"] !== key.securityToken) return "security token is wrong";
  const signed = names.split(";");
  if (signed.toSorted().join(";") !== names) return "signed headers are not in order";
  if (!signed.includes("x-sdk-date")) return "x-sdk-date is not signed";
  const [path = "", search = ""] = target.split("?");
  const query = search
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const [name = "", value = ""] = pair.split("=");
      return [decodeURIComponent(name), decodeURIComponent(value)] as const;
    })
    .toSorted(([a, x], [b, y]) => (a === b ? Number(x > y) - Number(x < y) : Number(a > b) - Number(a < b)));
  const request = [
    method,
    `${path
      .split("/")
      .map((segment) => escape(decodeURIComponent(segment)))
      .join("/")}${path.endsWith("/") ? "" : "/"}`,
    query.map(([name, value]) => `${escape(name)}=${escape(value)}`).join("&"),
    `${signed.map((name) => `${name}:${String(headers[name] ?? "")}`).join("\n")}\n`,
    names,
    createHash("sha256").update(body).digest("hex"),
  ].join("\n");
  const wanted = createHmac("sha256", key.secretKey)
    .update(`SDK-HMAC-SHA256\n${date}\n${createHash("sha256").update(request).digest("hex")}`)
    .digest("hex");
  return wanted === signature ? undefined : "verify aksk signature fail";
};
