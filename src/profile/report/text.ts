/** Diagnostics for people: the source line with carets below it. */
import pc from "picocolors";
import type { Diagnostic } from "../diagnostics.ts";

/** East Asian wide characters and emoji. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/gu;

/** Columns that a text takes on a terminal. */
const width = (text: string): number => {
  const visible = text.replace(/\p{Mn}|\p{Cf}/gu, "");
  return visible.replace(/[\ud800-\udbff][\udc00-\udfff]/g, "x").length + (visible.match(wide) ?? []).length;
};

/** Spaces as wide as `text`; tabs keep their width. */
const blank = (text: string): string =>
  text
    .split("\t")
    .map((part) => " ".repeat(width(part)))
    .join("\t");

/** Characters of a long line that are shown around the place. */
const window = { before: 60, after: 100 };

/**
 * A diagnostic as several lines, without the end of the last. Pure.
 * @param text What may be shown of `diagnostic.file`; without it there is no source line.
 */
export const formatText = (diagnostic: Diagnostic, text: string | undefined, color: boolean): string => {
  const c = pc.createColors(color);
  const paint = diagnostic.severity === "error" ? c.red : c.yellow;
  const gutter = " ".repeat(String(diagnostic.line).length);
  const lines = [
    `${c.bold(paint(`${diagnostic.severity}[${diagnostic.code}]`))}${c.bold(`: ${diagnostic.message}`)}`,
    `${gutter}${c.cyan("-->")} ${diagnostic.file}:${diagnostic.line}:${diagnostic.column}`,
  ];
  const whole = text?.split(/\r?\n/)[diagnostic.line - 1];
  if (whole !== undefined) {
    const at = diagnostic.column - 1;
    const from = at > window.before + 20 ? at - window.before : 0;
    const cut = whole.length > at + window.after + 20;
    const before = `${from > 0 ? "…" : ""}${whole.slice(from, at)}`;
    const marked = whole.slice(at, Math.min(at + diagnostic.length, cut ? at + window.after : whole.length));
    const line = `${before}${whole.slice(at, cut ? at + window.after : undefined)}${cut ? "…" : ""}`;
    const label = diagnostic.label === undefined ? "" : ` ${diagnostic.label}`;
    lines.push(
      `${gutter} ${c.cyan("|")}`,
      `${c.cyan(`${diagnostic.line} |`)} ${line}`,
      `${gutter} ${c.cyan("|")} ${blank(before)}${paint("^".repeat(Math.max(1, width(marked))) + label)}`,
    );
  }
  for (const { message, file, line, column } of diagnostic.notes) {
    lines.push(`${gutter} ${c.cyan("=")} note: ${message}: ${file}:${line}:${column}`);
  }
  if (diagnostic.help !== undefined) lines.push(`${gutter} ${c.cyan("=")} help: ${diagnostic.help}`);
  return lines.join("\n");
};
