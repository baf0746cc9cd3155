/** A problem of a profile, located in the user's YAML. */
import type { ErrorCode } from "../error-codes.ts";

export interface Range {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in characters. */
  readonly column: number;
  /** Characters to underline, at least 1. */
  readonly length: number;
}

/** Another place that has to do with the problem. */
export interface Note {
  readonly message: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface Diagnostic extends Range {
  readonly severity: "error" | "warning";
  /** Stable: `BK1xx`. */
  readonly code: ErrorCode;
  /** The setting that is wrong, `agents.spawn` or `images[0]`; absent when the problem is none of one setting. */
  readonly path?: string;
  readonly message: string;
  /** Short text beside the caret. */
  readonly label?: string;
  readonly help?: string;
  readonly notes: readonly Note[];
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** By file, in the order of `files` (the profile asked for, then what it extends), then position, code and message. Pure. */
export const sortDiagnostics = (diagnostics: readonly Diagnostic[], files: readonly string[]): Diagnostic[] =>
  diagnostics.toSorted(
    (a, b) =>
      files.indexOf(a.file) - files.indexOf(b.file) ||
      a.line - b.line ||
      a.column - b.column ||
      order(a.code, b.code) ||
      order(a.message, b.message),
  );
