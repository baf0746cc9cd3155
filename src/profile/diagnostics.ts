/** A problem of a profile, located in the user's YAML, and how it is printed. */
import pc from "picocolors";

export interface Diagnostic {
  readonly severity: "error" | "warning";
  /** Stable: `BK1xx`. */
  readonly code: string;
  readonly message: string;
  /** Short text beside the caret. */
  readonly label?: string;
  readonly help?: string;
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in characters. */
  readonly column: number;
  /** Characters to underline, at least 1. */
  readonly length: number;
}

/** By file, then position, then code. */
export const sortDiagnostics = (diagnostics: readonly Diagnostic[]): Diagnostic[] =>
  diagnostics.toSorted(
    (a, b) =>
      (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) ||
      a.line - b.line ||
      a.column - b.column ||
      (a.code < b.code ? -1 : a.code > b.code ? 1 : 0),
  );

/** Prints one diagnostic with its source line; `source` is the text of `diagnostic.file`. */
export const formatDiagnostic = (diagnostic: Diagnostic, source: string | undefined, color: boolean): string => {
  const c = pc.createColors(color);
  const paint = diagnostic.severity === "error" ? c.red : c.yellow;
  const gutter = " ".repeat(String(diagnostic.line).length);
  const lines = [
    `${c.bold(paint(`${diagnostic.severity}[${diagnostic.code}]`))}${c.bold(`: ${diagnostic.message}`)}`,
    `${gutter}${c.cyan("-->")} ${diagnostic.file}:${diagnostic.line}:${diagnostic.column}`,
  ];
  const text = source?.split(/\r?\n/)[diagnostic.line - 1];
  if (text !== undefined) {
    // Tabs keep their width in the caret line.
    const before = text.slice(0, diagnostic.column - 1).replace(/[^\t]/g, " ");
    const carets = "^".repeat(Math.max(1, Math.min(diagnostic.length, text.length - diagnostic.column + 1)));
    const label = diagnostic.label === undefined ? "" : ` ${diagnostic.label}`;
    lines.push(
      `${gutter} ${c.cyan("|")}`,
      `${c.cyan(`${diagnostic.line} |`)} ${text}`,
      `${gutter} ${c.cyan("|")} ${before}${paint(carets + label)}`,
    );
  }
  if (diagnostic.help !== undefined) lines.push(`${gutter} ${c.cyan("=")} help: ${diagnostic.help}`);
  return lines.join("\n");
};
