/** What gives a secret away by its shape alone, whoever wrote it and wherever. */
import { nameWord, privateKeyLine, tokenForms } from "./table.ts";

/** Tokens of Buildkite, GitHub, GitLab, Hugging Face and Slack, and JSON web tokens. */
export const tokenShapes: readonly RegExp[] = Object.values(tokenForms).map(
  // One each: of two tokens that touch, a match of the first would eat the beginning of the second.
  ({ prefix, body }) => new RegExp(`\\b${prefix}${body}`, "g"),
);

/** Access key IDs (20 capitals and digits) and secret keys (40 letters and digits of each kind, which a digest in hex is not). */
export const accessKeyShapes: readonly RegExp[] = [
  /(?<![A-Za-z0-9])(?=[A-Z0-9]*[A-Z])(?=[A-Z0-9]*[0-9])[A-Z0-9]{20}(?![A-Za-z0-9])/g,
  /(?<![A-Za-z0-9+/=])(?=[A-Za-z0-9+/]*[A-Z])(?=[A-Za-z0-9+/]*[a-z])(?=[A-Za-z0-9+/]*[0-9])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])/g,
];

/** All of it; of one that was cut off, everything that follows. */
const privateKey = new RegExp(`${privateKeyLine("BEGIN")}[\\s\\S]*?(?:${privateKeyLine("END")}|$(?![\\s\\S]))`, "g");

const withinText: readonly RegExp[] = [
  // Everything before the @ of a URL's address. It may be a token alone, or a password with slashes or broken by a copy.
  // `git@` is no secret. A port before a path is no password. An @ in a query belongs to no address.
  /(?<=:\/\/)(?!git@)[^\s"'<>/?#@]+(?:@[^\s"'<>/?#@]*)*(?=@)/g,
  /(?<=:\/\/)[^\s"'<>/?#@:]*:(?!\d{1,5}[/?#])[^"'<>\n]*?(?=@[A-Za-z0-9[])/g,
  /(?<=:\/\/)[^\s"'<>/?#@:]+:\d{1,5}\/[^\s"'<>?#/]*(?=@[A-Za-z0-9[])/g,
  // Where the scheme was forgotten; `name:tag@sha256:` and `mailto:` are no such.
  /(?<![A-Za-z0-9:/._-])(?!mailto:)[A-Za-z0-9._%+-]+:[^\s"'<>@/]{3,}(?=@(?!sha256:)[A-Za-z0-9])/g,
  // Headers, parameters, and settings as a shell writes them.
  /(?<=authorization\s*[:=]\s*(?:basic|bearer)\s+)[A-Za-z0-9+/._~=-]{6,}/gi,
  /(?<=[?&](?:access_|private_|auth_)?token=)[^\s"'&#]{4,}/gi,
  new RegExp(`(?<=(?:^|[\\s"'])[A-Za-z_]*(?:${nameWord.toUpperCase()})=)(?!\\d{1,6}(?!\\S))[^\\s"'$]{4,}`, "g"),
];

const find = (text: string, shapes: readonly RegExp[]): (readonly [start: number, end: number])[] =>
  shapes.flatMap((shape) =>
    [...text.matchAll(shape)].map((match) => [match.index, match.index + match[0].length] as const),
  );

/** Where in a text something lies that has the shape of a secret: from and to, as offsets. Rather too much than too little. Pure. */
export const findSecretShapes = (text: string): readonly (readonly [start: number, end: number])[] =>
  find(text, [...tokenShapes, ...accessKeyShapes, privateKey, ...withinText]);

/** One path, or a list of them as in PATH. */
const isPath = (text: string): boolean =>
  /^[~.]{0,2}(?:\/[A-Za-z0-9._-]+)+\/?(?::[~.]{0,2}(?:\/[A-Za-z0-9._-]+)+\/?)*$/.test(text);

/** Whether a value as a whole is or holds a secret: sure enough to refuse it. Pure. */
export const looksSecret = (text: string): boolean =>
  find(text, [privateKey, ...withinText]).length > 0 ||
  (!isPath(text) && find(text, [...tokenShapes, ...accessKeyShapes]).length > 0);

/** By where they begin; those that overlap are one: two shapes may find the same secret. */
const joined = (ranges: readonly (readonly [start: number, end: number])[]): [start: number, end: number][] =>
  ranges
    .toSorted((a, b) => a[0] - b[0])
    .reduce<[start: number, end: number][]>((found, [start, end]) => {
      const last = found.at(-1);
      if (last !== undefined && start < last[1]) last[1] = Math.max(last[1], end);
      else found.push([start, end]);
      return found;
    }, []);

/** A text for a message, with `***` for what has the shape of a secret. Pure. */
export const withoutSecretShapes = (text: string): string =>
  joined(findSecretShapes(text)).reduceRight(
    (shown, [start, end]) => `${shown.slice(0, start)}***${shown.slice(end)}`,
    text,
  );
