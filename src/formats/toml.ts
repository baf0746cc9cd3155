/** TOML, as far as buildkitd.toml needs it: tables of strings, numbers, booleans and lists of strings. */

/** A basic string: JSON's escapes are TOML's, but for DEL and a lone surrogate. @throws RangeError for the latter. */
const tomlString = (text: string): string => {
  if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text)) {
    throw new RangeError(`${JSON.stringify(text)} cannot be written in TOML`);
  }
  return JSON.stringify(text).replaceAll("\u007f", "\\u007f");
};

type TomlValue = string | number | boolean | readonly string[];

const tomlValue = (value: TomlValue): string =>
  typeof value === "string"
    ? tomlString(value)
    : typeof value === "object"
      ? `[${value.map(tomlString).join(", ")}]`
      : String(value);

/** @param tables By dotted name, with parts in quotes where they need them: `registry."docker.io"`. */
export const toToml = (tables: Readonly<Record<string, Readonly<Record<string, TomlValue>>>>): string =>
  Object.entries(tables)
    .map(([name, values]) =>
      [
        `[${name}]\n`,
        ...Object.entries(values).map(([key, value]) => `${tomlString(key)} = ${tomlValue(value)}\n`),
      ].join(""),
    )
    .join("\n");
