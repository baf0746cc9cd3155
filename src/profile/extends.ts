/**
 * `extends`: a profile over another one. Maps merge key by key; everything else replaces. A key without a value takes away
 * what the extended profile says; `{ append: […], remove: […] }` changes a list. Where forms exclude each other, such as
 * the two of `storage.disk`, the whole value replaces.
 */
import { basename, dirname, join, normalize } from "node:path";
import type { ErrorCode } from "../error-codes.ts";
import { BakeError } from "../errors.ts";
import type { Diagnostic } from "./diagnostics.ts";
import { childTypes, isChoice, isList, isProfileRelative, rootTypes, type Type } from "./schema-questions.ts";
import { hasProfileEnding, nameOf, profileEndings } from "./file-names.ts";
import {
  chainOf,
  type Entry,
  type Parsed,
  parseSource,
  type Place,
  rangeOf,
  type Source,
  spell,
  type Tree,
  valueOf,
} from "./source.ts";
import { closest } from "./suggest.ts";

/** The text of a profile, or its bytes; undefined when there is no such file. @throws BakeError BK105 when it cannot be read. */
type ReadText = (path: string) => string | Uint8Array | undefined;

/** Where profiles come from. */
export interface Library {
  readonly read: ReadText;
  /** Names of the files in a folder, for suggestions; none when there is no such folder. */
  readonly list?: (folder: string) => readonly string[];
  /** Folder of bake's own profiles: `extends: 2cards` finds them by name. */
  readonly own?: string;
}

export interface Chain {
  /** The profile asked for first, then what it extends. */
  readonly sources: readonly Source[];
  /** Merged; absent when a file of the chain could not be parsed or found. */
  readonly tree?: Tree;
  readonly problems: readonly Diagnostic[];
}

/** Longer chains are a mistake, such as a folder that links to itself. */
const longestChain = 16;

const problem = (code: ErrorCode, at: Place, message: string, more: Partial<Diagnostic> = {}): Diagnostic => ({
  severity: "error",
  code,
  message,
  notes: chainOf(at.source),
  ...rangeOf(at),
  ...more,
});

const extendsOf = (tree: Tree | undefined): Tree | undefined =>
  tree?.kind === "map" ? tree.entries.get("extends")?.value : undefined;

const chainText = (source: Source): string[] => [
  ...(source.extendedBy === undefined ? [] : chainText(source.extendedBy.source)),
  source.file,
];

const isUrl = (named: string): boolean => /^[a-z]+:\/\//.test(named);

const ownNames = (own: string, list: NonNullable<Library["list"]>): string[] =>
  list(own).filter(hasProfileEnding).map(nameOf);

/** The profile that may have been meant, and else those that there are. */
const suggestion = (
  named: string,
  isName: boolean,
  folders: readonly string[],
  from: Source,
  list: NonNullable<Library["list"]>,
  own: string | undefined,
): string | undefined => {
  const files = [...new Set(folders)].flatMap((folder) =>
    list(folder)
      .filter((file) => hasProfileEnding(file) && join(folder, file) !== from.file)
      .map((file) => (isName ? nameOf(file) : file)),
  );
  const there = [...new Set(files)].toSorted();
  const meant = closest(basename(named), there) ?? there.find((file) => nameOf(file) === basename(named));
  if (meant !== undefined) {
    const folder = named.slice(0, named.length - basename(named).length);
    return `did you mean ${folder}${meant}? write extends: ${folder}${meant}`;
  }
  // bake's own have no path.
  const ownName = isName || own === undefined ? undefined : closest(nameOf(named), ownNames(own, list));
  if (ownName !== undefined) return `did you mean ${ownName}? write extends: ${ownName}`;
  return there.length === 0
    ? undefined
    : `profiles there: ${there.slice(0, 12).join(", ")}${there.length > 12 ? " …" : ""}`;
};

/** Parses the profile and what it extends, the nearest first. */
const parseChain = (
  file: string,
  text: string | Uint8Array,
  { read, own, list = () => [] }: Library,
): { files: Parsed[]; problems: Diagnostic[] } => {
  const files = [parseSource(file, text)];
  const problems: Diagnostic[] = [];
  for (let last = files[0]; last !== undefined; last = files.at(-1)) {
    const target = extendsOf(last.tree);
    if (target === undefined) break;
    if (target.kind !== "scalar" || typeof target.value !== "string" || target.value === "") {
      problems.push(
        problem("BK102", target.at, "extends must be the path of a profile", {
          label: "expected a path",
          help: "for example: extends: ./ascend.yaml, or the name of one of bake's own: extends: ascend",
        }),
      );
      break;
    }
    const named = target.value;
    const folder = dirname(last.source.file);
    const isName = /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(named) && !hasProfileEnding(named);
    const places = isName
      ? [folder, ...(own === undefined ? [] : [own])].flatMap((each) =>
          profileEndings.map((ending) => join(each, `${named}${ending}`)),
        )
      : [named.startsWith("/") ? normalize(named) : join(folder, named)];
    // `extends: 2cards` in a file of that name means bake's own.
    let path = places[0] ?? "";
    let found: string | Uint8Array | undefined;
    let refused: BakeError | undefined;
    for (const place of places) {
      try {
        found = isName && place === last.source.file ? undefined : read(place);
      } catch (error) {
        if (!(error instanceof BakeError)) throw error;
        refused = error;
        break;
      }
      if (found === undefined) continue;
      path = place;
      break;
    }
    if (refused !== undefined) {
      problems.push(
        problem(refused.code, target.at, refused.message, {
          ...(refused.help !== undefined && { help: refused.help }),
        }),
      );
      break;
    }
    const chain = chainText(last.source);
    if (chain.includes(path) || files.length >= longestChain) {
      const whole = [...chain, path].join(" -> ");
      problems.push(
        problem(
          "BK107",
          target.at,
          chain.includes(path) ? "extends runs in a circle" : `more than ${longestChain} profiles extend each other`,
          {
            help: `the chain: ${whole}`,
          },
        ),
      );
      break;
    }
    if (found === undefined) {
      const help = isUrl(named)
        ? "a profile extends a file of this machine: fetch it, and name its path"
        : suggestion(
            named,
            isName,
            isName ? places.map((place) => dirname(place)) : [dirname(path)],
            last.source,
            list,
            own,
          );
      problems.push(
        problem("BK106", target.at, `extends names ${isName || isUrl(named) ? named : path}, which is not there`, {
          label: isUrl(named) ? "a URL" : isName ? `looked at ${places.join(", ")}` : `relative to ${folder}`,
          ...(help !== undefined && { help }),
        }),
      );
      break;
    }
    files.push(parseSource(path, found, target.at));
  }
  return { files, problems };
};

/** Paths that are written relative to their profile become relative to where bake runs. */
const resolvePaths = (tree: Tree, types: readonly Type[]): Tree => {
  if (tree.kind === "map") {
    const entries = [...tree.entries].map(([key, { key: keyPlace, value }]): [string, Entry] => [
      key,
      { key: keyPlace, value: resolvePaths(value, childTypes(types, key)) },
    ]);
    return { ...tree, entries: new Map(entries) };
  }
  if (tree.kind === "list")
    return { ...tree, items: tree.items.map((item, index) => resolvePaths(item, childTypes(types, index))) };
  return typeof tree.value === "string" && isProfileRelative(types) && !/^[/~]/.test(tree.value) && tree.value !== ""
    ? { ...tree, value: join(dirname(tree.at.source.file), tree.value) }
    : tree;
};

const same = (a: Tree, b: Tree): boolean => JSON.stringify(valueOf(a)) === JSON.stringify(valueOf(b));

const edits = ["append", "remove"];

const isEdit = (tree: Tree): tree is Extract<Tree, { kind: "map" }> =>
  tree.kind === "map" && tree.entries.size > 0 && [...tree.entries.keys()].every((key) => edits.includes(key));

/** Lists and single values alike. */
const itemsOf = (tree: Tree | undefined): readonly Tree[] =>
  tree === undefined ? [] : tree.kind === "list" ? tree.items : [tree];

class Merger {
  readonly problems: Diagnostic[] = [];

  /** @param base Absent where the extended profile says nothing. */
  merge(base: Tree | undefined, over: Tree, types: readonly Type[], path: readonly (string | number)[] = []): Tree {
    if (isList(types) && isEdit(over)) return this.#edit(base, over, path);
    if (over.kind !== "map" || isChoice(types)) return over;
    const under = base?.kind === "map" ? base.entries : new Map<string, Entry>();
    const entries = new Map(under);
    const removed = new Map<string, Place>();
    for (const [key, { key: keyPlace, value }] of over.entries) {
      const below = under.get(key)?.value;
      if (value.kind === "scalar" && value.value === null && below !== undefined) {
        entries.delete(key);
        removed.set(key, keyPlace);
      } else
        entries.set(key, { key: keyPlace, value: this.merge(below, value, childTypes(types, key), [...path, key]) });
    }
    return { kind: "map", entries, removed, at: over.at };
  }

  #edit(base: Tree | undefined, over: Extract<Tree, { kind: "map" }>, path: readonly (string | number)[]): Tree {
    if (base?.kind !== "list") {
      this.problems.push(
        problem("BK108", over.at, `${spell(path)} has no list to append to or to remove from`, {
          label: "no extended profile sets it",
          help: `write the list itself: ${String(path.at(-1))}: [ … ]`,
        }),
      );
      return { kind: "list", items: itemsOf(over.entries.get("append")?.value), at: over.at };
    }
    const remove = itemsOf(over.entries.get("remove")?.value);
    for (const item of remove) {
      if (base.items.some((inherited) => same(inherited, item))) continue;
      this.problems.push(
        problem("BK108", item.at, `${spell(path)} of the extended profile has no such item to remove`, {
          help: `it has: ${base.items.map((inherited) => JSON.stringify(valueOf(inherited))).join(", ") || "nothing"}`,
        }),
      );
    }
    const kept = base.items.filter((inherited) => !remove.some((item) => same(inherited, item)));
    return { kind: "list", items: [...kept, ...itemsOf(over.entries.get("append")?.value)], at: over.at };
  }
}

const withoutExtends = (tree: Tree): Tree =>
  tree.kind === "map" ? { ...tree, entries: new Map([...tree.entries].filter(([key]) => key !== "extends")) } : tree;

/**
 * Reads the chain and merges it. Pure, but for `library.read`, whose errors come through. Problems: BK101 (YAML), BK102 (extends is no path), BK106 (not there), BK107 (a circle),
 * BK108 (append or remove without effect).
 */
export const readChain = (file: string, text: string | Uint8Array, library: Library): Chain => {
  const { files, problems } = parseChain(file, text, library);
  const sources = files.map(({ source }) => source);
  const found = [...files.flatMap((parsed) => parsed.problems), ...problems];
  const trees = files.flatMap(({ tree }) => (tree === undefined ? [] : [tree]));
  if (trees.length < files.length || problems.length > 0) return { sources, problems: found };
  const merger = new Merger();
  const tree = trees
    .map((each) => resolvePaths(withoutExtends(each), rootTypes))
    .reduceRight<Tree | undefined>((base, over) => merger.merge(base, over, rootTypes), undefined);
  return { sources, ...(tree !== undefined && { tree }), problems: [...found, ...merger.problems] };
};
