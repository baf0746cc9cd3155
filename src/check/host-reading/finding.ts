/** What one part of a host says: answers for a profile, and what of it no profile can have. */
import type { Answers } from "../../profile/new-profile.ts";

export interface Finding {
  readonly answers: Partial<Answers>;
  /** What a person should look at, one line each, with its place. */
  readonly notes: readonly string[];
  /** What protects the host, or runs on it unseen, and would be gone: to be told loudly. */
  readonly warnings?: readonly string[];
}

/** What a command printed; empty when it failed. */
export type Said = (name: string) => string;

/** `FILE:LINE`, as far as known. Pure. */
export const placeOf = (file: string | undefined, line?: number): string =>
  file === undefined ? "" : ` (${file}${line === undefined ? "" : `:${line}`})`;
