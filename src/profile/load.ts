/** Profile text → merged tree with positions → shape → rules → Profile and diagnostics. Pure: files are read by the function passed in, rules are those passed in. */
import type { ErrorCode } from "../error-codes.ts";
import { type Diagnostic, sortDiagnostics } from "./diagnostics.ts";
import { type Library, readChain } from "./extends.ts";
import type { Problem, Rule } from "./rules/rule.ts";
import type { Profile } from "./schema.ts";
import { checkShape } from "./shape.ts";
import type { ShapeProblem } from "./shape-problems.ts";
import {
  chainOf,
  redactorOf,
  isHidden,
  isWritten,
  keyPlaceOf,
  type Place,
  placeOf,
  type ProfilePath,
  rangeOf,
  shownText,
  spell,
  type Tree,
  valueOf,
} from "./source.ts";

export interface LoadedProfile {
  /** Absent when there is an error. */
  readonly profile?: Profile;
  readonly diagnostics: readonly Diagnostic[];
  /** The files of the chain as they may be shown: secrets in them are starred out. The profile asked for comes first. */
  readonly texts: ReadonlyMap<string, string>;
  /** What is written, merged; absent when a file could not be parsed. */
  readonly tree?: Tree;
}

/** Longer values are cut in messages. */
const longest = 60;

const kindOf = (value: unknown): string => {
  if (value === null) return "nothing";
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (value instanceof Date || value instanceof Uint8Array) return "a value of another type";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  const text = typeof value === "bigint" ? String(value) : JSON.stringify(value);
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
};

const located = (place: Place): Pick<Diagnostic, "file" | "line" | "column" | "length" | "notes"> => ({
  ...rangeOf(place),
  notes: chainOf(place.source),
});

const shapeDiagnostic = (
  tree: Tree,
  { path, at, found, message, meant: _meant, ...problem }: ShapeProblem,
): Diagnostic => {
  const place = at === "key" ? keyPlaceOf(tree, path) : placeOf(tree, path);
  const shown =
    found === undefined ? message : `${message} ${isHidden(place) ? "a value that is not shown" : kindOf(found)}`;
  return { severity: "error", ...problem, path: spell(path), message: shown, ...located(place) };
};

/** Whether one path lies at or below the other. */
const overlap = (a: string, b: string): boolean => {
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  return long === short || long.startsWith(`${short}.`) || long.startsWith(`${short}[`);
};

const placeOfProblem = (tree: Tree, { path, orAt, at }: Problem): Place => {
  const written = orAt === undefined || isWritten(tree, path) ? path : orAt;
  return at === "key" ? keyPlaceOf(tree, written) : placeOf(tree, written);
};

/** Problems of a profile as diagnostics, where their values are written. Pure. Values in their words are shown as they are. */
export const diagnosticsOf = (tree: Tree, code: ErrorCode, problems: readonly Problem[]): Diagnostic[] =>
  problems.map((problem) => ({
    severity: problem.severity ?? "error",
    code,
    path: spell(problem.path),
    message: problem.message,
    ...(problem.label !== undefined && { label: problem.label }),
    ...(problem.help !== undefined && { help: problem.help }),
    ...located(placeOfProblem(tree, problem)),
  }));

/** What rules say of values whose shape is right. */
const ruleDiagnostics = (
  rules: readonly Rule[],
  profile: Profile,
  tree: Tree,
  wrong: readonly ProfilePath[],
): Diagnostic[] => {
  const unknown = wrong.map(spell);
  const isKnown = (path: string): boolean =>
    path.endsWith("{}")
      ? !unknown.some((other) => overlap(path.slice(0, -2), other) && other.length <= path.length - 2)
      : !unknown.some((other) => overlap(path, other));
  return rules
    .filter(({ reads }) => reads === "each by itself" || reads.every(isKnown))
    .flatMap((rule) =>
      diagnosticsOf(
        tree,
        rule.code,
        [...rule.find(profile)].filter(({ path }) => rule.reads !== "each by itself" || isKnown(spell(path))),
      ),
    );
};

export interface LoadSettings extends Partial<Library> {
  /** What is looked at besides the shape. */
  readonly rules: readonly Rule[];
  /** The profile as rules see it: with the exact versions that a lock has for `27.5.x`. */
  readonly exact?: (profile: Profile) => Profile;
}

/**
 * Reads a profile: what it extends, its shape, and what the rules say. Pure, but for `read`, whose errors come through.
 * @param file As shown to the user; what the profile extends is looked for relative to it.
 */
export const loadProfile = (
  text: string,
  file: string,
  { rules, read = () => undefined, list, own, exact = (profile) => profile }: LoadSettings,
): LoadedProfile => {
  const { sources, tree, problems } = readChain(file, text, {
    read,
    ...(list !== undefined && { list }),
    ...(own !== undefined && { own }),
  });
  const texts = new Map(sources.map((source) => [source.file, shownText(source)]));
  const files = [...texts.keys()];
  // Whoever made a message may have put a value into it.
  const redact = redactorOf(sources);
  const shown = (found: readonly Diagnostic[]): Diagnostic[] =>
    sortDiagnostics(
      found.map((each) => ({
        ...each,
        ...(each.path !== undefined && { path: redact(each.path) }),
        message: redact(each.message),
        ...(each.label !== undefined && { label: redact(each.label) }),
        ...(each.help !== undefined && { help: redact(each.help) }),
      })),
      files,
    );
  if (tree === undefined) return { diagnostics: shown(problems), texts };
  const shape = checkShape(valueOf(tree));
  const diagnostics = shown([
    ...problems,
    ...shape.problems.map((problem) => shapeDiagnostic(tree, problem)),
    ...(shape.profile === undefined ? [] : ruleDiagnostics(rules, exact(shape.profile), tree, shape.mended)),
  ]);
  const failed = diagnostics.some(({ severity }) => severity === "error") || shape.profile === undefined;
  return { ...(!failed && { profile: shape.profile }), diagnostics, texts, tree };
};
