/** Formats of one line a value: shell words, environment files, systemd units, fstab, the agent's cfg, git config, TSV. */

const refuse = (text: string, pattern: RegExp, format: string): void => {
  if (pattern.test(text)) throw new RangeError(`${JSON.stringify(text)} cannot be written in ${format}`);
};

/** Control characters but for the tab, and what Unicode says is no character: systemd drops a value that has one. */
const notForSystemd =
  /[\0-\x08\n-\x1f\x7f\ufdd0-\ufdef]|[\ufffe\uffff]|[\ud83f\ud87f\ud8bf\ud8ff\ud93f\ud97f\ud9bf\ud9ff\uda3f\uda7f\udabf\udaff\udb3f\udb7f\udbbf\udbff][\udffe\udfff]/;

/**
 * The value of a line in a file that systemd reads as EnvironmentFile= and bash sources. Double quotes with these four
 * escapes are the form that both, and systemd from 239 on, read alike.
 * @throws RangeError for line breaks, other control characters than the tab, and what is no character.
 */
const environmentValue = (text: string): string => {
  refuse(text, notForSystemd, "an environment file");
  return `"${text.replace(/["\\$`]/g, "\\$&")}"`;
};

/** A value of a unit setting: `%` starts a specifier and `\` an escape. @throws RangeError for control characters and what is none. */
export const unitValue = (text: string): string => {
  refuse(text, notForSystemd, "a systemd unit");
  refuse(text, /\t/, "a systemd unit");
  return text.replaceAll("%", "%%").replaceAll("\\", "\\\\");
};

/** One word of an Exec line. @throws RangeError for control characters. */
export const unitWord = (text: string): string => `"${unitValue(text).replaceAll('"', '\\"').replaceAll("$", "$$$$")}"`;

/** One field of an fstab line: blanks of ASCII end a field, others do not. @throws RangeError for NUL and nothing at all. */
export const fstabField = (text: string): string => {
  refuse(text, /\0|^$/, "fstab");
  return text.replace(/[\t-\r \\#]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`);
};

/**
 * A value of buildkite-agent.cfg: one pair of double quotes is stripped, nothing is unescaped. The agent looks for comments by
 * counting quotes of both kinds between hashes (buildkite/agent: cliconfig/file.go).
 * @throws RangeError for double quotes, backslashes, control characters, and for a hash beside a single quote.
 */
export const agentConfigValue = (text: string): string => {
  refuse(text, /["\\\0-\x1f\x7f]|#.*'|'.*#/, "buildkite-agent.cfg");
  return `"${text}"`;
};

/** A value, or a section's name in quotes, of a git configuration file. @throws RangeError for NUL and carriage returns. */
export const gitConfigValue = (text: string): string => {
  refuse(text, /[\0\r]/, "a git configuration");
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n").replaceAll("\t", "\\t")}"`;
};

/** @throws RangeError for NUL and line breaks, which git refuses in a section's name. */
export const gitConfigSection = (text: string): string => {
  refuse(text, /[\0\n\r]/, "a git section");
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
};

/** One field of a tab-separated list that bash reads. @throws RangeError for tabs and line breaks, and for nothing at all. */
const tsvField = (text: string): string => {
  refuse(text, /[\t\n\r\0]|^$/, "a tab-separated list");
  return text;
};

/** Lines of fields. */
export const tsv = (rows: readonly (readonly string[])[]): string =>
  rows.map((row) => `${row.map(tsvField).join("\t")}\n`).join("");

/** `KEY="value"` lines. */
export const environmentFile = (variables: Readonly<Record<string, string>>): string =>
  Object.entries(variables)
    .map(([name, value]) => `${name}=${environmentValue(value)}\n`)
    .join("");
