/**
 * Why a text is no YAML, in the words of whoever typed it. A cause is believed when the text without it can be parsed: of several
 * repairs the one is told that leaves the fewest problems. Pure.
 */
import { type Document, parseDocument } from "yaml";
import { Profile } from "../schema.ts";
import { typesAt, keysOf } from "../schema-questions.ts";
import { asciiMends } from "./full-width.ts";
import { lineMends } from "./lines.ts";

/** A repair of a text, and what is wrong without it. */
export interface Mend {
  readonly text: string;
  /** Offsets of what is wrong. */
  readonly start: number;
  readonly end: number;
  readonly message: string;
  readonly label?: string;
  /** What to do when the right line cannot be shown. */
  readonly help?: string;
  /** The line as it should be; not for a line that holds a secret. */
  readonly line?: string;
  /** The line begins in another column: showing it would not show that. */
  readonly columns?: true;
  /** Below 1: which one of two that leave as few problems. The lesser is believed. */
  readonly doubt?: number;
}

/** What is said of the text; without `text`, which is for trying out. */
export type Slip = Omit<Mend, "text">;

/** Longer texts are not tried out again and again. */
const mostCharacters = 200_000;

const lineOf = (text: string, offset: number): number => text.slice(0, offset).split("\n").length - 1;

/** Problems that are left in a repaired text; undefined when it is still no YAML. */
const problemsLeft = (text: string): number | undefined => {
  const document = parseDocument(text, { prettyErrors: false, uniqueKeys: false, version: "1.2", logLevel: "silent" });
  if (document.errors.length > 0) return undefined;
  try {
    const value: unknown = document.toJS();
    if (typeof value !== "object" || value === null) return Number.MAX_SAFE_INTEGER;
    const { extends: _extends, ...profile } = value as Record<string, unknown>;
    return (Profile.safeParse(profile).error?.issues ?? []).reduce(
      (sum, issue) => sum + (issue.code === "unrecognized_keys" ? 3 * issue.keys.length : 1),
      0,
    );
  } catch {
    return undefined;
  }
};

/** The best of these repairs: the first of those that leave the fewest problems. */
const best = (mends: Iterable<Mend>): Mend | undefined => {
  let found: { mend: Mend; left: number } | undefined;
  for (const mend of mends) {
    const problems = problemsLeft(mend.text);
    if (problems === undefined) continue;
    const left = problems + (mend.doubt ?? 0);
    if (found === undefined || left < found.left) found = { mend, left };
  }
  return found?.mend;
};

const conflict = /^(?:<{7} |={7}$|>{7} )/m;

/** Causes that need no trying out. */
const plain = (text: string, document: Document): Slip | undefined => {
  const marks = conflict.exec(text);
  if (marks !== null && /^<{7} /m.test(text) && /^>{7} /m.test(text)) {
    return {
      start: marks.index,
      end: marks.index + 7,
      message: "marks of a merge conflict",
      help: "keep one of the two sides, and remove the lines that begin with <<<<<<<, ======= and >>>>>>>",
    };
  }
  const tabs = [...text.matchAll(/^ *(\t+)[ \t]*(?=[^\s#])/gm)];
  const [tab] = tabs;
  if (tab === undefined || !document.errors.some(({ code }) => code === "TAB_AS_INDENT")) return undefined;
  const start = tab.index + tab[0].indexOf("\t");
  const also = tabs.length === 1 ? "" : `; there are tabs in ${tabs.length} lines`;
  const width = [2, 4, 8].find((each) => problemsLeft(withoutTabs(text, each)) !== undefined) ?? 2;
  return {
    start,
    end: start + (tab[1]?.length ?? 1),
    message: "a tab before a key",
    label: "YAML takes blanks alone",
    help: `write ${width} blanks for each tab${also}: expand -i -t ${width} FILE`,
  };
};

const withoutTabs = (text: string, width: number): string =>
  text.replace(/^[ \t]+/gm, (blank) => blank.replaceAll("\t", " ".repeat(width)));

/** Words that are keys of a profile, in any place. */
let known: ReadonlySet<string> | undefined;
const knownKeys = (): ReadonlySet<string> => (known ??= new Set(["extends", ...keysBelow([])]));

const keysBelow = (path: readonly (string | number)[]): string[] =>
  keysOf(typesAt(path)).flatMap((key) => [key, ...(path.length < 4 ? keysBelow([...path, key]) : [])]);

/**
 * The one cause of the errors in a text. Pure.
 * @returns undefined when it is none of those that are known
 */
export const yamlSlip = (text: string, document: Document): Slip | undefined => {
  const [first] = document.errors;
  if (first === undefined || first.code === "MULTIPLE_DOCS" || text.length > mostCharacters) return undefined;
  const cause =
    plain(text, document) ??
    best(asciiMends(text)) ??
    best(
      lineMends(
        text,
        document.errors.map(({ pos }) => lineOf(text, pos[0])),
        knownKeys(),
      ),
    );
  if (cause === undefined) return undefined;
  const { text: _text, ...slip } = cause as Mend;
  return slip;
};

/** The slip behind keys that hold full-width signs: `{ host：10.0.0.1 }` is valid YAML. Pure. */
export const fullWidthSlip = (text: string): Slip | undefined => {
  const now = problemsLeft(text) ?? Number.MAX_SAFE_INTEGER;
  const mend = text.length > mostCharacters ? undefined : best(asciiMends(text));
  return mend !== undefined && (problemsLeft(mend.text) ?? now) < now ? mend : undefined;
};
