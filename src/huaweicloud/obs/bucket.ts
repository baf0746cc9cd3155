/** Signed calls to one bucket of the object storage: repeated where that is safe, and never with credentials that were refused. */
import type { Readable } from "node:stream";
import { BakeError } from "../../errors.ts";
import type { Host } from "../../host/host.ts";
import type { Http, HttpResponse } from "../../store/http.ts";
import { HttpError, isTransientStatus } from "../../store/http-error.ts";
import { readText } from "../../store/read-text.ts";
import { lastAnswer } from "../attempts.ts";
import { type CallRow, shownCall } from "../call-row.ts";
import { cleaner, CloudError, type CloudSettings } from "../client.ts";
import { oneLine } from "../reason.ts";
import { escapedQuery } from "../sign.ts";
import { obsCalls, type ObsCallName } from "./calls.ts";
import { obsAuthorization } from "./sign.ts";
import { elements } from "./xml.ts";

const largestAnswer = 16 << 20;

/** Codes that are about who asks: they are sent once, as repeated refusals lock the key. */
const aboutCredentials = new Set([
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "RequestTimeTooSkewed",
  "InvalidSecurity",
  "InvalidToken",
  "ExpiredToken",
]);

interface ObsAnswer {
  readonly status: number;
  readonly headers: HttpResponse["headers"];
  readonly text: string;
}

interface ObsRequest {
  readonly key?: string;
  /** A parameter without a value is undefined. */
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** In the place of `body`: made anew for each attempt. `md5` in base64. */
  readonly stream?: { readonly open: () => Readable; readonly length: number; readonly md5: string };
}

export interface Bucket {
  readonly name: string;
  readonly region: string;
  /** @throws CloudError; the signal's reason. */
  readonly call: (name: ObsCallName, request?: ObsRequest) => Promise<ObsAnswer>;
}

/**
 * A bucket's name as it may be a part of a host's.
 * @throws BakeError BK437: one with dots has no certificate, and other letters lead elsewhere.
 */
export const requireBucketName = (name: string): string => {
  if (/^[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])$/.test(name)) return name;
  throw new BakeError(
    "BK437",
    `${JSON.stringify(name)} is no bucket that bake can use`,
    "A name has 3 to 63 small letters, digits and hyphens; one with dots has no certificate.",
  );
};

const reasonIn = ({ text, headers }: ObsAnswer, clean: (words: string) => string) => {
  const [code = ""] = elements(text, "Code");
  const [message = ""] = elements(text, "Message");
  const requestId = headers["x-obs-request-id"] ?? elements(text, "RequestId")[0];
  return {
    ...(code !== "" && { code: oneLine(code) }),
    ...(message !== "" && { message: clean(oneLine(message)) }),
    ...(requestId !== undefined && { requestId: oneLine(requestId) }),
  };
};

/** @param host Its clock signs, its signal stops. @throws BakeError BK437; BK425 for an endpoint that is an address */
export const openBucketOf = (
  http: Http,
  host: Pick<Host, "now" | "sleep" | "random" | "signal">,
  { credentials, region, endpoints }: CloudSettings,
  name: string,
): Bucket => {
  const endpoint = new URL(endpoints.obs);
  endpoint.hostname = `${requireBucketName(name)}.${endpoint.hostname}`;
  // A bucket is a part of a host's name, and an address has none.
  if (!endpoint.hostname.startsWith(`${name}.`)) {
    throw new BakeError(
      "BK425",
      `HW_ENDPOINT_OBS names an address: ${endpoints.obs}`,
      "A bucket is reached by the name of its host: https://obs.cn-north-4.myhuaweicloud.com",
    );
  }
  const clean = cleaner(credentials);
  let refused: CloudError | undefined;

  const send = async (row: CallRow, { key = "", query = {}, headers = {}, body, stream }: ObsRequest) => {
    const signed = {
      date: new Date(host.now()).toUTCString(),
      ...headers,
      ...(stream !== undefined && { "content-md5": stream.md5, "content-type": "application/octet-stream" }),
      ...(body !== undefined && { "content-type": "application/xml" }),
      ...(credentials.securityToken !== undefined && { "x-obs-security-token": credentials.securityToken }),
    };
    const { method } = row;
    const search = Object.entries(query)
      .map(([parameter, value]) => (value === undefined ? parameter : escapedQuery([[parameter, value]])))
      .join("&");
    const url = `${endpoint.origin}/${key}${search === "" ? "" : `?${search}`}`;
    const response = await http(url, {
      method,
      follow: false,
      headers: {
        ...signed,
        authorization: obsAuthorization({ method, bucket: name, key, query, headers: signed }, credentials),
        "user-agent": "bake",
        ...(stream !== undefined && { "content-length": String(stream.length) }),
      },
      ...(stream !== undefined ? { body: stream.open() } : body !== undefined && { body }),
      signal: AbortSignal.any([host.signal]),
    });
    const text = await readText(response, { url, limit: largestAnswer, signal: host.signal });
    return { status: response.status, headers: response.headers, text };
  };

  const failure = (call: ObsCallName, row: CallRow, answer: ObsAnswer): CloudError => {
    const { status } = answer;
    const reason = reasonIn(answer, clean);
    const words = [reason.code, reason.message].filter((text) => text !== undefined).join(": ");
    const said = words === "" ? `it answers ${status} and says no more` : `${words} (${status})`;
    const about = { call, status, reason };
    const support = reason.requestId === undefined ? [] : [`For the cloud's support: request ${reason.requestId}.`];
    const help = (...lines: readonly string[]): string | undefined => [...lines, ...support].join("\n") || undefined;
    if (status === 401 || aboutCredentials.has(reason.code ?? "")) {
      refused = new CloudError(
        "BK420",
        `Huawei Cloud refuses the credentials: ${said}`,
        help(
          "Look at HW_ACCESS_KEY and HW_SECRET_KEY, and at this machine's clock; temporary ones go with HW_SECURITY_TOKEN.",
          "Nothing was tried again: repeated refusals lock the key.",
        ),
        about,
      );
      return refused;
    }
    if (status === 403) {
      return new CloudError(
        "BK421",
        `${shownCall(row)} of the bucket ${name} is not allowed: ${said}`,
        help(
          `The user needs the right ${row.rights.join(" and ")}, and the bucket's own policy must not deny it: docs/huaweicloud-policy.md has the whole policy.`,
        ),
        about,
      );
    }
    if (reason.code === "NoSuchBucket" || (call === "showBucket" && status === 404)) {
      return new CloudError(
        "BK437",
        `there is no bucket ${name} in ${region}`,
        help("Make one there, or name another: targets.huaweicloud.bucket, or --bucket."),
        about,
      );
    }
    if (isTransientStatus(status)) {
      return new CloudError(
        "BK423",
        `${shownCall(row)}: the service is busy or broken: ${said}`,
        help("Try again in a few minutes: what is uploaded stays."),
        about,
      );
    }
    return new CloudError("BK422", `${shownCall(row)} of the bucket ${name} is refused: ${said}`, help(), about);
  };

  const call = async (called: ObsCallName, request: ObsRequest = {}): Promise<ObsAnswer> => {
    const row: CallRow = obsCalls[called];
    const safe = row.method === "GET" || row.method === "HEAD" || row.idempotent === true;
    let answer: ObsAnswer;
    try {
      answer = await lastAnswer(host, safe, async () => {
        if (refused !== undefined) throw refused;
        return send(row, request);
      });
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      throw new CloudError(
        "BK423",
        `${shownCall(row)}: no answer from ${endpoint.origin}: ${error.message}`,
        safe ? "Look at the region, at HTTPS_PROXY and at SSL_CERT_FILE." : "The same command looks what came of it.",
        { call: called },
      );
    }
    if (answer.status < 200 || answer.status > 299) throw failure(called, row, answer);
    // What takes long begins its answer before it knows how it ends.
    if (called === "completeUpload" && elements(answer.text, "Code").length > 0)
      throw failure(called, row, { ...answer, status: 400 });
    return answer;
  };

  return { name, region, call };
};
