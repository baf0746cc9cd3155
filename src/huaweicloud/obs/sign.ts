/** Signatures of the object storage: HMAC-SHA1 over a few headers and what is asked for, not over the body. Pure. */
import { createHmac } from "node:crypto";
import type { Credentials } from "../sign.ts";

export interface UnsignedObs {
  readonly method: string;
  readonly bucket: string;
  /** Without a slash before it; empty for the bucket itself. Of letters that a URL takes as they are. */
  readonly key: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** Names in lower case. Those that are signed: `content-md5`, `content-type`, `date`, and all that begin with `x-obs-`. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Parameters that say what is asked for; others only say how much of it. */
const subresources = ["partNumber", "uploadId", "uploads"] as const;

/** What is signed. */
export const obsStringToSign = ({ method, bucket, key, query = {}, headers }: UnsignedObs): string => {
  const own = Object.keys(headers)
    .filter((name) => name.startsWith("x-obs-"))
    .toSorted()
    .map((name) => `${name}:${(headers[name] ?? "").trim()}\n`);
  const parts = subresources
    .filter((name) => name in query)
    .map((name) => (query[name] === undefined ? name : `${name}=${query[name]}`));
  return [
    method,
    headers["content-md5"] ?? "",
    headers["content-type"] ?? "",
    headers["date"] ?? "",
    `${own.join("")}/${bucket}/${key}${parts.length === 0 ? "" : `?${parts.join("&")}`}`,
  ].join("\n");
};

/** The value of the header Authorization. @throws RangeError without `date` among the headers: there is no signature without a time. */
export const obsAuthorization = (
  request: UnsignedObs,
  { accessKey, secretKey }: Pick<Credentials, "accessKey" | "secretKey">,
): string => {
  if (request.headers["date"] === undefined) throw new RangeError("no date to sign");
  return `OBS ${accessKey}:${createHmac("sha1", secretKey).update(obsStringToSign(request)).digest("base64")}`;
};
