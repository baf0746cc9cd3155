/** What a preflight says of one thing. */
import type { CloudError } from "../client.ts";

/**
 * `not checked`: it could have been, and was not: a right is missing, or the cloud did not answer. `real run`: nothing that
 * only looks can know it.
 */
type Outcome = "ok" | "wrong" | "not checked" | "real run";

export interface Line {
  /** Stable. */
  readonly id: string;
  readonly title: string;
  readonly outcome: Outcome;
  readonly detail: string;
  /** What to do, one sentence or command a line. */
  readonly help?: string;
}

/** What one question to the cloud came to. */
export type Seen<T> = { readonly value: T } | { readonly error: CloudError };

/** A line about something that could not be looked at. */
export const notChecked = (id: string, title: string, { message, help }: CloudError): Line => ({
  id,
  title,
  outcome: "not checked",
  detail: message,
  ...(help !== undefined && { help }),
});

/** What to make of an answer; a line that says why there is none. */
export const ofSeen = <T>(id: string, title: string, seen: Seen<T>, judge: (value: T) => Line[]): Line[] =>
  "value" in seen ? judge(seen.value) : [notChecked(id, title, seen.error)];

/** Lines of one kind: `wrong` where there is something to do, `ok` else. */
export const judged = (
  id: string,
  title: string,
  detail: string,
  wrong: false | { readonly detail?: string; readonly help: string },
): Line =>
  wrong === false
    ? { id, title, outcome: "ok", detail }
    : { id, title, outcome: "wrong", detail: wrong.detail ?? detail, help: wrong.help };
