import type { ErrorCode } from "./error-codes.ts";

/**
 * A failure that the user can act on: what is wrong and what to do, under a stable code.
 * Problems *inside* a profile are diagnostics (profile/diagnostics.ts); everything else that stops a command is a BakeError.
 */
export class BakeError extends Error {
  override readonly name = "BakeError";
  /** Stable. BK1xx profile, BK2xx lock and store, BK3xx host and tools, BK4xx build, BK5xx check, BK6xx user-data, BK7xx rollout. */
  readonly code: ErrorCode;
  /** What the user can do about it, one sentence or command a line. */
  readonly help: string | undefined;

  constructor(code: ErrorCode, message: string, help?: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.help = help;
  }
}

/** Lines of a list in a message, indented; of a long one the first, and how many there are besides. Pure. */
export const listed = (lines: readonly string[], most: number): string =>
  [
    ...lines.slice(0, most).map((line) => `  ${line}`),
    ...(lines.length > most ? [`  and ${lines.length - most} more`] : []),
  ].join("\n");
