/**
 * YAML that PyYAML (YAML 1.1, as cloud-init and goss's readers see it) and YAML 1.2 readers agree on. ASCII only. Written here and
 * not by a library, which takes longer.
 */

/** Plain style is for strings that no YAML version reads as anything else. */
const plain = /^[A-Za-z_/][A-Za-z0-9_/.@%+-]*( [A-Za-z0-9_/.@%+-]+)*$/;
const looksTyped = /^(y|n|yes|no|on|off|true|false|null|~)$/i;

const canBeBlock = (text: string): boolean =>
  text.includes("\n") &&
  text.endsWith("\n") &&
  !text.endsWith("\n\n") &&
  !/^[ \n]/.test(text) &&
  !/ \n/.test(text) &&
  /^[\x20-\x7e\n]*$/.test(text);

/** YAML's short escapes, where JSON has none. */
const shortEscapes: Readonly<Record<string, string>> = { "0000": "\\0", "0007": "\\a", "000b": "\\v", "001b": "\\e" };

/** JSON's, in YAML's spelling. A reader would fold a blank before a line's end. */
const quoted = (text: string): string =>
  JSON.stringify(text)
    .replace(/\\(?:u([0-9a-f]{4})|.)/g, (escape, code?: string) =>
      code === undefined ? escape : (shortEscapes[code] ?? (code.startsWith("00") ? `\\x${code.slice(2)}` : escape)),
    )
    .replaceAll(" \\n", "\\ \\n");

const inLine = (text: string): string => (plain.test(text) && !looksTyped.test(text) ? text : quoted(text));

/** Readers take no longer key without its mark. */
const longestKey = 1024;

const step = "  ";

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isEmpty = (value: unknown): boolean =>
  Array.isArray(value) ? value.length === 0 : isMap(value) && Object.values(value).every((each) => each === undefined);

const pair = (key: string, value: unknown, indent: string): string => {
  const name = inLine(key);
  const inner = indent + step;
  const text = written(value, inner);
  if (name.length > longestKey) return `? ${name}\n${indent}: ${text}`;
  const below = typeof value === "object" && value !== null && !isEmpty(value);
  return below ? `${name}:\n${inner}${text}` : `${name}: ${text}`;
};

/** @param indent Of all lines but the first. */
const written = (value: unknown, indent: string): string => {
  if (typeof value === "string") {
    return canBeBlock(value) ? `|\n${indent}${value.slice(0, -1).replace(/\n+/g, `$&${indent}`)}` : inLine(value);
  }
  if (value === null || typeof value === "boolean" || Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) {
    return isEmpty(value) ? "[]" : value.map((item) => `- ${written(item, indent + step)}`).join(`\n${indent}`);
  }
  if (!isMap(value)) throw new RangeError(`YAML is not written of a value of type ${typeof value}`);
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return isEmpty(value) ? "{}" : entries.map(([key, each]) => pair(key, each, indent)).join(`\n${indent}`);
};

/** Writes a list or a map, of texts, numbers and their like, as a YAML document. @throws RangeError for any other value. */
export const toYaml = (value: object): string =>
  `${written(value, "")}\n`.replace(/[^\n\x20-\x7e]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
