import type { ErrorCode } from "../../error-codes.ts";
import type { Profile } from "../schema.ts";

export interface Problem {
  /** Where in the profile the wrong value stands. */
  readonly path: readonly (string | number)[];
  /** Where to point when nothing is written at `path`: a default is at odds with something. */
  readonly orAt?: readonly (string | number)[];
  /** The key at the end of `path` is meant, not its value. */
  readonly at?: "key";
  readonly severity?: "error" | "warning";
  /** Of a warning: it is allowed, and nobody tried it. A newer version may be offered all the same. */
  readonly untried?: true;
  readonly message: string;
  readonly label?: string;
  readonly help?: string;
}

/** What a person who knows the field would see. One small file a rule, with a fixture for each of its answers. */
export interface Rule {
  /** Stable; docs/errors.md explains it. */
  readonly code: ErrorCode;
  /**
   * Paths of the profile that it reads: it is not asked while the shape of one of them is wrong. Of `map{}` it reads the
   * names alone. A rule that looks at every value by itself is not asked about those that are wrong.
   */
  readonly reads: readonly string[] | "each by itself";
  /** Pure. */
  readonly find: (profile: Profile) => Iterable<Problem>;
}
