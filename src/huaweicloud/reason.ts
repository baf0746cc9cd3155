/** What the cloud says when it refuses: each service has its own shape. Pure. */
import type { Headers } from "../store/http.ts";

export interface Reason {
  /** Such as `Ecs.0005` or `APIGW.0301`. */
  readonly code?: string;
  readonly message?: string;
  /** What the cloud's support asks for. */
  readonly requestId?: string;
}

type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};

const textOf = (fields: Fields, names: readonly string[]): string | undefined => {
  const found = names.map((name) => fields[name]).find((value) => typeof value === "string" && value !== "");
  return found as string | undefined;
};

const parsed = (body: string): unknown => {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
};

/** Words for people, on one line, and not a page of HTML. */
export const oneLine = (text: string): string =>
  text
    .replace(/<[^>]*>/g, " ")
    .replace(/[\s\0-\x1f\x7f]+/g, " ")
    .trim()
    .slice(0, 400);

/**
 * Reads `{error_code, error_msg}` of the gateway and IMS, `{error: {code, message}}` of ECS and IAM, `{code, message}` of VPC,
 * `{badRequest: {message}}` and its like of the OpenStack services, and whatever text there is else.
 */
export const reasonOf = (body: string, headers: Headers): Reason => {
  const whole = fieldsOf(parsed(body));
  // One object within, whatever it is called: error, badRequest, itemNotFound, NeutronError.
  const inner = fieldsOf(Object.values(whole).find((value) => Object.keys(fieldsOf(value)).length > 0));
  const code = textOf(whole, ["error_code", "code", "errorCode"]) ?? textOf(inner, ["code", "error_code", "type"]);
  const message =
    textOf(whole, ["error_msg", "message", "errorMsg"]) ??
    textOf(inner, ["message", "error_msg"]) ??
    (Object.keys(whole).length === 0 ? body : undefined);
  const requestId =
    headers["x-request-id"] ??
    headers["x-openstack-request-id"] ??
    textOf(whole, ["request_id"]) ??
    textOf(inner, ["request_id"]);
  const words = message === undefined ? "" : oneLine(message);
  return {
    ...(code !== undefined && { code: oneLine(code) }),
    ...(words !== "" && { message: words }),
    ...(requestId !== undefined && { requestId: oneLine(requestId) }),
  };
};

/** What to do, by the cloud's own code. */
const advice: Readonly<Record<string, string>> = {
  "APIGW.0101":
    "This service is not there in this region, or under another address: look at HW_ENDPOINT_… and the region.",
  "APIGW.0308": "Too many calls at a time: wait a minute.",
  "Ecs.0001": "A quota is used up: remove what is not needed, or ask for more in the console.",
  "Ecs.0003": "The account may not do this: it is in arrears or restricted.",
  "Ecs.0005": "A parameter is refused: bake doctor looks at image, flavor, disk and names.",
  "Ecs.0007": "The image cannot be used: bake doctor says what it is.",
  "Ecs.0010": "The subnet has no address left.",
  "Ecs.0012": "The subnet has no address left.",
  "Ecs.0319": "The zone has no room for this flavor now: try another zone, or later.",
  "Ecs.0707": "The flavor is not sold any more: take another one.",
};

/** What a user can do about a reason; undefined where nobody knows. */
export const adviceFor = ({ code }: Reason): string | undefined => (code === undefined ? undefined : advice[code]);
