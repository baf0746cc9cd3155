/** Signed calls to Huawei Cloud, by the table of calls: repeated where that is safe, and never with credentials that were refused. */
import type * as z from "zod";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { withoutSecretShapes } from "../secrets/shapes.ts";
import type { Http, HttpResponse } from "../store/http.ts";
import { HttpError, isTransientStatus } from "../store/http-error.ts";
import { readText } from "../store/read-text.ts";
import { lastAnswer } from "./attempts.ts";
import { type CallRow, shownCall } from "./call-row.ts";
import { type CallName, calls, type ParametersOf } from "./calls.ts";
import type { Endpoints } from "./endpoints.ts";
import type { ObsCallName } from "./obs/calls.ts";
import { adviceFor, type Reason, reasonOf } from "./reason.ts";
import { authorization, type Credentials, escapedPath, escapedQuery, sdkDate } from "./sign.ts";

/** Milliseconds that a clock may be off before signatures are refused (facts: Huawei Cloud, signing). */
export const clockTolerance = 15 * 60_000;

/** Bytes of an answer: a thousand servers are listed with their user-data, 32 KB each at most, in base64. */
const largestAnswer = 64 << 20;

/** A call that came to nothing, with what the cloud said of it. */
export class CloudError extends BakeError {
  readonly call: CallName | ObsCallName;
  /** Undefined when no answer came. */
  readonly status: number | undefined;
  readonly reason: Reason;

  constructor(
    code: ConstructorParameters<typeof BakeError>[0],
    message: string,
    help: string | undefined,
    { call, status, reason = {} }: { call: CallName | ObsCallName; status?: number; reason?: Reason },
  ) {
    super(code, message, help);
    this.call = call;
    this.status = status;
    this.reason = reason;
  }
}

interface Answer {
  readonly status: number;
  readonly headers: HttpResponse["headers"];
  readonly body: string;
}

export type CloudRequest<Name extends CallName, T> = ([ParametersOf<Name>] extends [never]
  ? { readonly parameters?: undefined }
  : { readonly parameters: Readonly<Record<ParametersOf<Name>, string>> }) & {
  readonly query?: Readonly<Record<string, string | number>>;
  /** Sent as JSON. */
  readonly body?: object;
  /** What the answer must hold; more is no mistake. */
  readonly answer: z.ZodType<T>;
  /** A UUID: with it a call that makes something is done once, however often it is sent. */
  readonly clientToken?: string;
};

export interface CloudSettings {
  readonly credentials: Credentials;
  readonly region: string;
  readonly endpoints: Endpoints;
  /** Undefined until `useProject` says it. */
  readonly projectId?: string;
}

export interface Cloud {
  readonly region: string;
  /** @throws CloudError; the signal's reason. */
  readonly call: <Name extends CallName, T>(name: Name, request: CloudRequest<Name, T>) => Promise<T>;
  /** The cloud's clock less this machine's, in milliseconds, by the last answer; undefined before there was one. */
  readonly clockSkew: () => number | undefined;
  /** Calls from now on that have a project in their path are about this one. */
  readonly useProject: (id: string) => void;
}

/** Takes out of the cloud's words what nobody may read: these credentials, and whatever has a secret's shape. Pure. */
export const cleaner = (credentials: Credentials): ((text: string) => string) => {
  const literals = Object.values(credentials).filter((value): value is string => typeof value === "string");
  return (text) => withoutSecretShapes(literals.reduce((shown, secret) => shown.replaceAll(secret, "***"), text));
};

const minutes = (milliseconds: number): string => `${Math.round(Math.abs(milliseconds) / 60_000)} minutes`;

const requestLine = ({ requestId }: Reason): string[] =>
  requestId === undefined ? [] : [`For the cloud's support: request ${requestId}.`];

/** @throws RangeError for a parameter that would be more than one segment, or none. */
const filled = (path: string, parameters: Readonly<Record<string, string | undefined>>): string =>
  path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = parameters[name] ?? "";
    if (value === "" || value.includes("/") || /^\.\.?$/.test(value)) {
      throw new RangeError(`${JSON.stringify(value)} cannot be the ${name} of a path`);
    }
    return value;
  });

/**
 * A client with its own memory: after one 401 it sends nothing any more, because repeated bad signatures lock the key.
 * @param host Its clock signs, its signal stops.
 */
export const makeCloud = (
  http: Http,
  host: Pick<Host, "now" | "sleep" | "random" | "signal">,
  { credentials, region, endpoints, projectId }: CloudSettings,
): Cloud => {
  let project = projectId;
  let skew: number | undefined;
  let refused: CloudError | undefined;

  const clean = cleaner(credentials);

  const send = async (row: CallRow, request: CloudRequest<CallName, unknown>): Promise<Answer> => {
    const endpoint = endpoints[row.service];
    const path = filled(row.path, { ...request.parameters, project_id: project });
    const query = Object.entries(request.query ?? {}).map(([name, value]) => [name, String(value)] as const);
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const signed = {
      host: new URL(endpoint).host,
      "x-sdk-date": sdkDate(host.now()),
      ...(project !== undefined && row.service !== "iam" && { "x-project-id": project }),
      ...(credentials.securityToken !== undefined && { "x-security-token": credentials.securityToken }),
    };
    const { method } = row;
    const search = escapedQuery(query);
    const url = `${endpoint}${escapedPath(path)}${search === "" ? "" : `?${search}`}`;
    const response = await http(url, {
      method,
      // A signature is for one place.
      follow: false,
      headers: {
        ...signed,
        authorization: authorization(
          { method, path, query, headers: signed, ...(body !== undefined && { body }) },
          credentials,
        ),
        accept: "application/json",
        "user-agent": "bake",
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(request.clientToken !== undefined && { "x-client-token": request.clientToken }),
      },
      ...(body !== undefined && { body }),
      // One of its own: of more than ten that listen to one signal Node warns.
      signal: AbortSignal.any([host.signal]),
    });
    const date = Date.parse(response.headers["date"] ?? "");
    // To the second, and as old as the answer took.
    if (!Number.isNaN(date)) skew = date - host.now();
    const text = await readText(response, { url, limit: largestAnswer, signal: host.signal });
    return { status: response.status, headers: response.headers, body: text };
  };

  const failure = (name: CallName, row: CallRow, { status, headers, body }: Answer): CloudError => {
    const found = reasonOf(body, headers);
    const reason: Reason = { ...found, ...(found.message !== undefined && { message: clean(found.message) }) };
    const words = [reason.code, reason.message].filter((text) => text !== undefined).join(": ");
    const said = words === "" ? `it answers ${status} and says no more` : `${words} (${status})`;
    const about = { call: name, status, reason };
    if (status === 401) {
      const off = skew !== undefined && Math.abs(skew) > clockTolerance;
      const error = new CloudError(
        "BK420",
        off
          ? `this machine's clock is ${minutes(skew ?? 0)} ${(skew ?? 0) > 0 ? "behind" : "ahead of"} the cloud's: every signature is refused`
          : `Huawei Cloud refuses the credentials: ${said}`,
        [
          ...(off
            ? ["Set the clock (chronyc makestep, or timedatectl set-ntp true): up to 15 minutes are allowed."]
            : [
                "Look at HW_ACCESS_KEY and HW_SECRET_KEY; temporary ones go with HW_SECURITY_TOKEN, and end after a day at most.",
                "Nothing was tried again: repeated refusals lock the key.",
              ]),
          ...requestLine(reason),
        ].join("\n"),
        about,
      );
      refused = error;
      return error;
    }
    if (status === 403) {
      return new CloudError(
        "BK421",
        `${shownCall(row)} is not allowed: ${said}`,
        [
          row.rights.length === 0
            ? "The user may not do this."
            : `The user needs the right ${row.rights.join(" and ")} in ${region}: docs/huaweicloud-policy.md has the whole policy.`,
          ...requestLine(reason),
        ].join("\n"),
        about,
      );
    }
    if (isTransientStatus(status)) {
      return new CloudError(
        "BK423",
        `${shownCall(row)}: the service is busy or broken: ${said}`,
        [
          adviceFor(reason) ?? "Try again in a few minutes; the cloud's status page tells of outages.",
          ...requestLine(reason),
        ].join("\n"),
        about,
      );
    }
    return new CloudError(
      "BK422",
      `${shownCall(row)} is refused: ${said}`,
      [...[adviceFor(reason)].filter((line) => line !== undefined), ...requestLine(reason)].join("\n") || undefined,
      about,
    );
  };

  const call = async <Name extends CallName, T>(name: Name, request: CloudRequest<Name, T>): Promise<T> => {
    const row: CallRow = calls[name];
    // The token makes a call that makes something as safe as one that looks.
    const safe = row.method === "GET" || row.idempotent === true || request.clientToken !== undefined;
    let answer: Answer;
    try {
      answer = await lastAnswer(host, safe, async () => {
        if (refused !== undefined) throw refused;
        return send(row, request as unknown as CloudRequest<CallName, unknown>);
      });
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      throw new CloudError(
        "BK423",
        `${shownCall(row)}: no answer from ${endpoints[row.service]}: ${error.message}`,
        safe
          ? "Look at the region, at HTTPS_PROXY and at SSL_CERT_FILE."
          : "Nobody knows whether it was done: look into the cloud before it is tried again.",
        { call: name },
      );
    }
    if (answer.status < 200 || answer.status > 299) throw failure(name, row, answer);
    let content: unknown;
    try {
      content = answer.body === "" ? {} : JSON.parse(answer.body);
    } catch {
      content = undefined;
    }
    const read = request.answer.safeParse(content);
    if (read.success) return read.data;
    const [issue] = read.error.issues;
    throw new CloudError(
      "BK424",
      `${shownCall(row)} answers what bake does not understand: ${content === undefined ? "no JSON" : `${issue?.path.join(".") || "all of it"}: ${issue?.message ?? ""}`}`,
      "Tell the makers of bake; a proxy in between may have answered.",
      { call: name, status: answer.status },
    );
  };

  return {
    region,
    call,
    clockSkew: () => skew,
    useProject: (id) => {
      project = id;
    },
  };
};
