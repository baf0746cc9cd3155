/**
 * An HCL2 string literal: quotes, escapes and both template introducers are neutral inside it.
 * @throws RangeError for text that is not in Unicode's normal form C: HCL would change it.
 */
export const hclString = (text: string): string => {
  if (text.normalize("NFC") !== text) throw new RangeError(`${JSON.stringify(text)} cannot be written in HCL`);
  const escapes: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\" };
  const escaped = text.replace(
    /["\\\n\r\t]|[\u0000-\u001f\u007f]|[$%](?=\{)/g,
    (character) =>
      escapes[character] ??
      (character === "$" || character === "%"
        ? character + character
        : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`),
  );
  return `"${escaped}"`;
};

const bracketChange: Readonly<Record<string, number>> = { "(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1 };

/** How many brackets a value opens and does not close; those in strings do not count. */
const openBrackets = (value: string): number =>
  (value.replace(/"(?:[^"\\]|\\.)*"/g, "").match(/[()[\]{}]/g) ?? []).reduce(
    (sum, bracket) => sum + (bracketChange[bracket] ?? 0),
    0,
  );

/**
 * HCL with the equals signs of neighbouring attributes below each other, as `packer fmt` puts them. A blank line, a comment or
 * a value of several lines ends a group. What else the formatter would change has to be right already. Pure.
 */
export const alignedHcl = (text: string): string => {
  const lines = text.split("\n");
  let group: { at: number; name: string; value: string }[] = [];
  const close = (): void => {
    const width = Math.max(0, ...group.map(({ name }) => name.length));
    for (const { at, name, value } of group) lines[at] = `${name.padEnd(width)} = ${value}`;
    group = [];
  };
  for (const [at, line] of lines.entries()) {
    const [, name, value] = /^(\s*[^\s#/"=][^\s="]*|\s*"(?:[^"\\]|\\.)*")\s+= (.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined || openBrackets(value) !== 0) close();
    if (name === undefined || value === undefined) continue;
    if (openBrackets(value) === 0) group.push({ at, name, value });
    else lines[at] = `${name} = ${value}`;
  }
  close();
  return lines.join("\n");
};
