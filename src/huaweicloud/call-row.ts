/** What a row of the table of calls says. */
import type { Service } from "./endpoints.ts";

/** What a user's credentials are for. */
export const purposes = ["doctor", "bake", "catalog", "rollout"] as const;

type Purpose = (typeof purposes)[number];

export interface CallRow {
  readonly service: Service;
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Parameters in braces; `project_id` is the client's own. */
  readonly path: `/${string}`;
  /** Words behind "may", for people. */
  readonly what: string;
  /** Actions of IAM policies, those that the service lists as needed besides among them. */
  readonly rights: readonly string[];
  readonly for: readonly Purpose[];
  /** Done twice it is as if done once: the client may send it again. What looks is so anyway. */
  readonly idempotent?: true;
}

/** What is said of a call: the service, the method and the path as it stands in the table. Pure. */
export const shownCall = ({ service, method, path }: CallRow): string => `${service.toUpperCase()} ${method} ${path}`;
