import type { Profile } from "../schema.ts";

interface Problem {
  /** Where in the profile the wrong value stands. */
  readonly path: readonly (string | number)[];
  readonly code: string;
  readonly severity?: "error" | "warning";
  readonly message: string;
  readonly label?: string;
  readonly help?: string;
}

/** What a person who knows the field would see: a pure function of a profile whose shape is right. */
export type Rule = (profile: Profile) => readonly Problem[];
