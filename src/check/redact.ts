/** Takes secrets out of text that leaves the machine. Pure. Rather too much than too little. */

import { accessKeyShapes, tokenShapes } from "../secrets/shapes.ts";
import { accessKeyWord, nameWord, nameWords, otherNames, privateKeyLine } from "../secrets/table.ts";

const mark = "[redacted]";

/** The value of a setting: quoted, or up to the next blank, comma or end of a structure. */
const value = String.raw`(?:\\?"(?:[^"\\\n]|\\[^"\n]|\\"(?=[^\s,}\]]))*\\?"|'[^'\n]*'|[^\s"',;&}\]]+)`;

/** Names whose values are secrets, as the last word of a longer name too: BUILDKITE_AGENT_TOKEN, db.password, X-Auth-Token. */
const names = `(?:[A-Za-z0-9_.-]*(?:${nameWord}|access[-_]?key[-_]?id|[-_]pwd|${otherNames})|(?:[A-Za-z0-9]+[-_.])?${accessKeyWord}|pwd|auth)`;

/** Options of commands whose values are secrets. */
const options = [nameWords.token, nameWords.password, nameWords.passphrase, nameWords.secret].join("|");

type Rule = readonly [pattern: RegExp, replacement: string];

const rules: readonly Rule[] = [
  // A block that ends, across lines of a journal too; of one that was cut off, the lines that look like its body.
  [
    new RegExp(
      String.raw`${privateKeyLine("BEGIN", "([A-Z0-9 ]*)")}(?:(?!-----BEGIN)[\s\S])*?${privateKeyLine("END", "\\1")}`,
      "g",
    ),
    `-----BEGIN $1PRIVATE KEY----- ${mark}`,
  ],
  [
    new RegExp(
      String.raw`(${privateKeyLine("BEGIN")})(?! \[redacted\])(?:[^\n]*\n?[^\n]*[A-Za-z0-9+/=]{20,}[^\n]*)*`,
      "g",
    ),
    `$1 ${mark}`,
  ],
  // Headers: all of the value, whatever the scheme.
  [/((?:proxy-)?authorization\\?["']?\s*[:=]\s*\\?["']?)[^\r\n"'\\]+/gi, `$1${mark}`],
  [/((?:set-)?cookie\\?["']?\s*[:=]\s*\\?["']?)[^\r\n"']+/gi, `$1${mark}`],
  [/\b(bearer|basic)\s+[A-Za-z0-9+/._~-]{8,}=*/gi, `$1 ${mark}`],
  // user:password@ and token@ in URLs; `git@` is no secret. A password may hold slashes, a port before a path does not count.
  [/(:\/\/)(?!git@)[^\s"'<>/?#@]*(?:@[^\s"'<>/?#@]*)*@/g, `$1${mark}@`],
  [/(:\/\/)[^\s"'<>:/@]{1,200}:(?!\d{1,5}\/)[^\s"'<>]{0,400}@/g, `$1${mark}@`],
  ...tokenShapes.map((shape): Rule => [shape, mark]),
  // Options of commands, then settings by name. A path is where a secret lies, not what it is.
  [
    new RegExp(String.raw`(--?(?:${options}|access-token|api-key)(?:\s+|=))(?!\\?"?file:\/\/)${value}`, "gi"),
    `$1${mark}`,
  ],
  [
    new RegExp(
      String.raw`(?<![A-Za-z0-9_.-])(${names}\\?["']?\s*(?:=|:(?!\/\/))\s*)(?!\\?"?file:\/\/)(?!\[redacted\])${value}`,
      "gi",
    ),
    `$1${mark}`,
  ],
  ...accessKeyShapes.map((shape): Rule => [shape, mark]),
];

const base64 = (text: string): string => Buffer.from(text).toString("base64").replace(/=+$/, "");

/** A value in the forms in which logs and settings repeat it. */
const forms = (secret: string): string[] => {
  const lines = secret.split(/\r?\n/).map((line) => line.trim());
  return [
    secret,
    secret.trim(),
    ...lines,
    ...[secret.trim()].flatMap((text) => [encodeURIComponent(text), base64(text), JSON.stringify(text).slice(1, -1)]),
  ];
};

/** Below this, a value would be found in words that are no secret. */
const shortest = 4;

/**
 * Takes out the values in `exact`, and whatever looks like a secret. Pure.
 * @param exact Values that must not be seen, in whatever place: also line by line, in base64, in URLs and in JSON.
 */
export const redact = (text: string, exact: readonly string[] = []): string => {
  const literal = [...new Set(exact.flatMap(forms))]
    .filter((form) => form.length >= shortest && !/^-----(BEGIN|END)/.test(form))
    .toSorted((a, b) => b.length - a.length);
  let result = text;
  for (const form of literal) result = result.replaceAll(form, mark);
  for (const [pattern, replacement] of rules) result = result.replace(pattern, replacement);
  return result;
};
