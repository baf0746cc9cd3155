import { withoutSecretShapes } from "../secrets/shapes.ts";
import { shownUrl } from "../store/url.ts";

/** Characters. */
const longest = 500;

/**
 * What a command such as git or crane said last on standard error, on one line: advice follows the line with its `fatal:` or
 * `error:`. What may be a credential is left out: user information and query strings of URLs, and known shapes. Pure.
 * @returns an empty text when it said nothing.
 */
export const lastWordOf = (stderr: string): string => {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const line = lines.findLast((each) => /^(?:fatal|error): /i.test(each)) ?? lines.at(-1) ?? "";
  const shown = line
    .trim()
    .replace(/^(?:fatal|error): /i, "")
    // What stands behind a URL, such as a colon, is not of it.
    .replace(/https?:\/\/[^\s'"<>]*[^\s'"<>:,.;]/g, shownUrl)
    // Of a path without its host.
    .replace(/\?(?!\u2026)[^\s"':]+/g, "?…")
    .replace(/[\0-\x1f\x7f]+/g, " ");
  return withoutSecretShapes(shown).slice(0, longest);
};
