/** A profile's text as a tree that remembers where everything is written. Pure. */
import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { Diagnostic, Note, Range } from "./diagnostics.ts";
import { withoutSecretShapes } from "../secrets/shapes.ts";
import { hiddenRanges } from "./hidden.ts";
import { decodeProfile } from "./slips/encoding.ts";
import { hasFullWidth } from "./slips/full-width.ts";
import { parserHelp } from "./slips/parser-words.ts";
import { fullWidthSlip, type Slip, yamlSlip } from "./slips/yaml.ts";

export interface Source {
  /** As shown to the user. */
  readonly file: string;
  readonly text: string;
  readonly lines: LineCounter;
  /** The `extends:` that led here. */
  readonly extendedBy?: Place;
  /** Offsets of what is never shown: secrets that should not be in a profile. */
  readonly hidden: readonly (readonly [start: number, end: number])[];
}

/** Offsets in a source. */
export interface Place {
  readonly source: Source;
  readonly start: number;
  readonly end: number;
}

export interface Entry {
  readonly key: Place;
  readonly value: Tree;
}

export type Tree = { readonly at: Place } & (
  | { readonly kind: "scalar"; readonly value: unknown }
  | { readonly kind: "list"; readonly items: readonly Tree[] }
  | {
      readonly kind: "map";
      readonly entries: ReadonlyMap<string, Entry>;
      /** Keys without a value that took away what an extended profile says. */
      readonly removed?: ReadonlyMap<string, Place>;
    }
);

/** A place by line and column. Of what lies on several lines, the part on the first. Pure. */
export const rangeOf = ({ source, start, end: whole }: Place): Range => {
  const { line, col } = source.lines.linePos(start);
  const lineEnd = source.text.indexOf("\n", start);
  const end = lineEnd < 0 ? whole : Math.min(whole, lineEnd);
  return { file: source.file, line: Math.max(1, line), column: Math.max(1, col), length: Math.max(1, end - start) };
};

/** Whether the place holds what must not be shown. Pure. */
export const isHidden = ({ source, start, end }: Place): boolean =>
  source.hidden.some(([from, to]) => from < Math.max(end, start + 1) && start < to);

/** Which profiles led to this one, the nearest first. Pure. */
export const chainOf = (source: Source): Note[] => {
  if (source.extendedBy === undefined) return [];
  const { file, line, column } = rangeOf(source.extendedBy);
  return [{ message: "extended here", file, line, column }, ...chainOf(source.extendedBy.source)];
};

/** The text with every hidden character replaced, so that columns stay true. Pure. */
export const shownText = ({ text, hidden }: Pick<Source, "text" | "hidden">): string => {
  let shown = text;
  for (const [start, end] of hidden) {
    shown = shown.slice(0, start) + shown.slice(start, end).replace(/[^\r\n]/g, "*") + shown.slice(end);
  }
  return shown;
};

/**
 * For messages that repeat a source, such as the parser's. Pure.
 * @returns what takes out of a message what is hidden in the sources, and what has the shape of a secret.
 */
export const redactorOf = (sources: readonly Pick<Source, "text" | "hidden">[]): ((message: string) => string) => {
  const secrets = sources
    .flatMap(({ text, hidden }) => hidden.map(([start, end]) => text.slice(start, end).trim()))
    // As written, and as the parser names it: without quotes or the mark of an alias.
    .flatMap((secret) => [secret, secret.replace(/^[*&!"']+|["']+$/g, "")])
    .filter((secret) => secret.length >= 4)
    .toSorted((one, other) => other.length - one.length);
  return (message) => withoutSecretShapes(secrets.reduce((shown, secret) => shown.replaceAll(secret, "***"), message));
};

/** More values than any profile has; also what stops aliases that multiply. */
const mostNodes = 100_000;

class TooMany extends Error {}

export interface Parsed {
  readonly source: Source;
  /** Absent when the text is no YAML, or holds nothing. */
  readonly tree?: Tree;
  readonly problems: readonly Diagnostic[];
}

/**
 * Parses one file as YAML 1.2. Its problems have the code BK101. Pure.
 * @param given Its text, or its bytes: then its encoding is looked at too
 * @param extendedBy The `extends:` that led here.
 */
export const parseSource = (file: string, given: string | Uint8Array, extendedBy?: Place): Parsed => {
  const lines = new LineCounter();
  const { text, refused } = typeof given === "string" ? { text: given } : decodeProfile(given, file);
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false, version: "1.2" });
  const source: Source = {
    file,
    text,
    lines,
    hidden: hiddenRanges(document, text),
    ...(extendedBy !== undefined && { extendedBy }),
  };
  const place = (node: Node | null, from: number): Place => {
    const [start, end] = node?.range ?? [from, from];
    return { source, start, end: isMap(node) || isSeq(node) ? start + 1 : end };
  };
  const problem = (at: Place, message: string, more: Partial<Diagnostic> = {}): Diagnostic => ({
    severity: "error",
    code: "BK101",
    message: `not valid YAML: ${message}`,
    notes: chainOf(source),
    ...rangeOf(at),
    ...more,
  });
  /** The right line is shown, unless a secret stands in it. */
  const slipProblem = ({ start, end, message, label, help, line, columns }: Slip): Diagnostic => {
    const at = { source, start, end };
    const lineEnd = text.indexOf("\n", start);
    const whole = { source, start: text.lastIndexOf("\n", start - 1) + 1, end: lineEnd < 0 ? text.length : lineEnd };
    const write =
      line === undefined || columns || isHidden(whole) || line.length > 120 ? help : `write: ${line.trimStart()}`;
    return problem(at, message, { ...(label !== undefined && { label }), ...(write !== undefined && { help: write }) });
  };
  if (refused !== undefined) {
    const { start, message, help } = refused;
    return { source, problems: [{ ...problem({ source, start, end: start + 1 }, "", { help }), message }] };
  }
  // What follows the first error is its consequence, for the most part: the parser lost its way there.
  const [lost] = document.errors;
  if (lost !== undefined) {
    const slip = yamlSlip(text, document);
    const { message, help } = parserHelp(lost);
    const at = { source, start: lost.pos[0], end: lost.pos[1] };
    return { source, problems: [slip === undefined ? problem(at, message, help) : slipProblem(slip)] };
  }
  const problems = document.warnings.map((found) =>
    problem({ source, start: found.pos[0], end: found.pos[1] }, found.message, { severity: "warning" }),
  );
  let nodes = 0;
  let fullWidthKey = false;
  const convert = (node: Node | null, from: number, within: ReadonlySet<Node>): Tree => {
    nodes += 1;
    if (nodes > mostNodes) throw new TooMany();
    const at = place(node, from);
    if (isAlias(node)) {
      const target = node.resolve(document);
      if (target === undefined || within.has(target)) {
        const help =
          target === undefined
            ? `a value that begins with * needs quotes: "*${node.source}"`
            : "write the value here: an alias cannot stand in what it stands for";
        problems.push(
          problem(at, target === undefined ? `no anchor &${node.source}` : `*${node.source} holds itself`, { help }),
        );
        return { kind: "scalar", value: null, at };
      }
      return { ...convert(target, from, new Set([...within, target])), at };
    }
    if (isMap(node)) {
      const entries = new Map<string, Entry>();
      for (const { key, value } of node.items) {
        const keyPlace = place(isNode(key) ? key : null, at.start);
        if (!isScalar(key)) {
          const help = text.startsWith("{{", keyPlace.start - 1)
            ? "a value that begins with {{ needs quotes; bake fills in no templates"
            : "write a name, a colon and a blank; a value that begins with { or [ needs quotes";
          problems.push(problem(keyPlace, "a key must be a plain text", { help }));
          continue;
        }
        if (key.value === "__proto__") {
          problems.push(problem(keyPlace, "a key cannot be __proto__"));
          continue;
        }
        fullWidthKey ||= typeof key.value === "string" && hasFullWidth(key.value);
        const first = entries.get(String(key.value));
        // The parser's own comparison takes the square of the number of keys.
        if (first !== undefined) {
          const { line, column } = rangeOf(first.key);
          problems.push({
            ...problem(keyPlace, `the key ${String(key.value)} is there twice`),
            help: "remove one of the two, or put what they hold under one key",
            notes: [{ message: "first here", file, line, column }, ...chainOf(source)],
          });
        }
        entries.set(String(key.value), {
          key: keyPlace,
          value: convert(isNode(value) ? value : null, keyPlace.start, new Set([...within, node])),
        });
      }
      return { kind: "map", entries, at };
    }
    if (isSeq(node)) {
      const inner = new Set([...within, node]);
      return {
        kind: "list",
        items: node.items.map((item) => convert(isNode(item) ? item : null, at.start, inner)),
        at,
      };
    }
    return { kind: "scalar", value: isScalar(node) ? node.value : null, at };
  };
  try {
    const tree = convert(document.contents, 0, new Set());
    const slip = fullWidthKey ? fullWidthSlip(text) : undefined;
    if (slip !== undefined) return { source, problems: [slipProblem(slip)] };
    return problems.some(({ severity }) => severity === "error") ? { source, problems } : { source, tree, problems };
  } catch (error) {
    if (!(error instanceof TooMany)) throw error;
    return {
      source,
      problems: [problem({ source, start: 0, end: 1 }, `more than ${mostNodes} values; aliases may multiply them`)],
    };
  }
};

/** The tree as plain data. Pure. */
export const valueOf = (tree: Tree): unknown =>
  tree.kind === "scalar"
    ? tree.value
    : tree.kind === "list"
      ? tree.items.map(valueOf)
      : Object.fromEntries([...tree.entries].map(([key, { value }]) => [key, valueOf(value)]));

export type ProfilePath = readonly (string | number)[];

const childOf = (tree: Tree | undefined, step: string | number): Tree | undefined =>
  tree?.kind === "map"
    ? tree.entries.get(String(step))?.value
    : tree?.kind === "list" && typeof step === "number"
      ? tree.items[step]
      : undefined;

const treeAt = (tree: Tree, path: ProfilePath): Tree | undefined => path.reduce<Tree | undefined>(childOf, tree);

const holdsHidden = (tree: Tree): boolean =>
  tree.kind === "scalar"
    ? isHidden(tree.at)
    : tree.kind === "list"
      ? tree.items.some(holdsHidden)
      : [...tree.entries.values()].some(({ key, value }) => isHidden(key) || holdsHidden(value));

/** Whether anything at or below `path` must not be shown. Pure. */
export const isHiddenBelow = (tree: Tree, path: ProfilePath): boolean => {
  const found = treeAt(tree, path);
  return found !== undefined && holdsHidden(found);
};

/** Whether the whole way to `path` is written. Pure. */
export const isWritten = (tree: Tree, path: ProfilePath): boolean => treeAt(tree, path) !== undefined;

/** What is written at `path` as one value; undefined where nothing is, a map or a list. Pure. */
export const scalarAt = (tree: Tree, path: ProfilePath): unknown => {
  const found = treeAt(tree, path);
  return found?.kind === "scalar" && found.value !== null ? found.value : undefined;
};

/** The value at `path`; when it is not there, the key of what should hold it, or the first character: also of an item of a list. Pure. */
export const placeOf = (tree: Tree, path: ProfilePath): Place => {
  let node = tree;
  let key: Place | undefined;
  for (const step of path) {
    const next = childOf(node, step);
    if (next === undefined) {
      const removed = node.kind === "map" ? node.removed?.get(String(step)) : undefined;
      return removed ?? key ?? node.at;
    }
    // Of an item of a list the item itself: the list's key may be far above it.
    key = node.kind === "map" ? node.entries.get(String(step))?.key : undefined;
    node = next;
  }
  return node.at;
};

/** Where the last key of `path` is written; falls back to the value's place. Pure. */
export const keyPlaceOf = (tree: Tree, path: ProfilePath): Place => {
  const holder = treeAt(tree, path.slice(0, -1));
  const entry = holder?.kind === "map" ? holder.entries.get(String(path.at(-1))) : undefined;
  return entry?.key ?? placeOf(tree, path);
};

/** A path as text: `agents.spawn`, `images[0]`. Pure. */
export const spell = (path: ProfilePath): string =>
  path.reduce<string>(
    (text, step) => (typeof step === "number" ? `${text}[${step}]` : text === "" ? step : `${text}.${step}`),
    "",
  );
