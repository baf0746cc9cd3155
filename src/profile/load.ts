/** Profile text → merged tree with positions → shape → rules → Profile and diagnostics. Pure: files are read by the function passed in, rules are those passed in. */
import type { ErrorCode } from "../error-codes.ts";
import { type Diagnostic, sortDiagnostics } from "./diagnostics.ts";
import { type Library, readChain } from "./extends.ts";
import { readLocalFiles, type ReadLocal } from "./local-files.ts";
import type { Problem, Rule } from "./rules/rule.ts";
import type { Profile } from "./schema.ts";
import { typesAt } from "./schema-questions.ts";
import { checkShape } from "./shape.ts";
import { valueSlip } from "./slips/values.ts";
import type { ShapeProblem } from "./shape-problems.ts";
import {
  chainOf,
  redactorOf,
  isHidden,
  isHiddenBelow,
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
  const hidden = isHidden(place);
  const written = place.source.text.slice(place.start, place.end);
  // 27.10 is 27.1 to YAML, and 27.10 to whoever wrote it.
  const asWritten = typeof found === "number" && /^[\d.]+$/.test(written) ? written : undefined;
  const shown =
    found === undefined ? message : `${message} ${hidden ? "a value that is not shown" : (asWritten ?? kindOf(found))}`;
  const slip = at === "key" || hidden || isHiddenBelow(tree, path) ? undefined : valueSlip(path, found, written);
  return { severity: "error", ...problem, ...slip, path: spell(path), message: shown, ...located(place) };
};

/** Decimal numbers with zeros before them: 8 and 10 to readers that disagree. Of the profile's own places alone. */
const leadingZeros = (tree: Tree, path: ProfilePath = []): Diagnostic[] => {
  if (tree.kind === "map") return [...tree.entries].flatMap(([key, { value }]) => leadingZeros(value, [...path, key]));
  if (tree.kind === "list") return tree.items.flatMap((item, index) => leadingZeros(item, [...path, index]));
  if (typeof tree.value !== "number") return [];
  const written = tree.at.source.text.slice(tree.at.start, tree.at.end);
  const key = path.at(-1);
  return !/^0\d+$/.test(written) ||
    typeof key !== "string" ||
    !typesAt(path).some((type) => type.safeParse(tree.value).success)
    ? []
    : [
        {
          severity: "error",
          code: "BK102",
          path: spell(path),
          message: `${spell(path)} cannot be ${written}`,
          label: "octal to some readers, decimal to others",
          help: `write ${key}: ${tree.value}`,
          ...located(tree.at),
        },
      ];
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
  /** How files of this machine are read that the profile takes bytes from. */
  readonly readLocal?: ReadLocal;
}

/**
 * Reads a profile: what it extends, its shape, the files it takes bytes from, and what the rules say. Pure, but for `read`, whose
 * errors come through, and `readLocal`.
 * @param file As shown to the user; what the profile extends is looked for relative to it.
 */
export const loadProfile = (
  text: string | Uint8Array,
  file: string,
  {
    rules,
    read = () => undefined,
    own,
    list,
    exact = (profile) => profile,
    readLocal = () => ({ why: "is not there" }),
  }: LoadSettings,
): LoadedProfile => {
  const { sources, tree, problems } = readChain(file, text, {
    read,
    ...(own !== undefined && { own }),
    ...(list !== undefined && { list }),
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
  const local = shape.profile === undefined ? undefined : readLocalFiles(shape.profile, readLocal);
  const profile =
    shape.profile === undefined || local === undefined || local.files.size === 0
      ? shape.profile
      : { ...shape.profile, localFiles: local.files };
  const diagnostics = shown([
    ...problems,
    ...shape.problems.map((problem) => shapeDiagnostic(tree, problem)),
    ...leadingZeros(tree),
    ...(profile === undefined
      ? []
      : ruleDiagnostics([...rules, ...(local?.rules ?? [])], exact(profile), tree, shape.mended)),
  ]);
  const failed = diagnostics.some(({ severity }) => severity === "error") || profile === undefined;
  return { ...(!failed && { profile }), diagnostics, texts, tree };
};
