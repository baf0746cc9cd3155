/** Diagnostics as workflow commands: GitHub shows them beside the lines of a pull request. */
import type { Diagnostic } from "../diagnostics.ts";

const data = (text: string): string => text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
const property = (text: string): string => data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");

/** One workflow command, in one line without its end. Pure. */
export const formatGithub = ({
  severity,
  code,
  message,
  label,
  help,
  file,
  line,
  column,
  length,
  notes,
}: Diagnostic): string => {
  const text = [
    label === undefined ? message : `${message}: ${label}`,
    ...(help === undefined ? [] : [`help: ${help}`]),
    ...notes.map((note) => `${note.message}: ${note.file}:${note.line}:${note.column}`),
  ].join("\n");
  const place = `file=${property(file)},line=${line},col=${column},endColumn=${column + length}`;
  return `::${severity} ${place},title=${property(code)}::${data(text)}`;
};
