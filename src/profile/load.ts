/** Profile text → document with positions → Profile and diagnostics. Pure but for `readProfile`. */
import {
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
  type Document,
} from "yaml";
import type * as z from "zod";
import { type Diagnostic, sortDiagnostics } from "./diagnostics.ts";
import { rules } from "./rules/index.ts";
import { Profile } from "./schema.ts";
import { closest } from "./suggest.ts";

type ProfilePath = readonly (string | number)[];

export interface LoadedProfile {
  /** Absent when there is an error. */
  readonly profile?: Profile;
  readonly diagnostics: readonly Diagnostic[];
}

type Position = Pick<Diagnostic, "line" | "column" | "length">;

/** Finds where things are written in one YAML document. */
class Positions {
  readonly #document: Document.Parsed;
  readonly #counter: LineCounter;

  constructor(document: Document.Parsed, counter: LineCounter) {
    this.#document = document;
    this.#counter = counter;
  }

  at(start: number, end: number): Position {
    const { line, col } = this.#counter.linePos(start);
    return { line: Math.max(1, line), column: Math.max(1, col), length: Math.max(1, end - start) };
  }

  /** The deepest node on the way to `path`, and whether the whole way exists. */
  #find(path: ProfilePath): { node: Node | null; key?: Node; found: boolean } {
    let node: Node | null = this.#document.contents;
    let key: Node | undefined;
    for (const step of path) {
      if (isAlias(node)) node = node.resolve(this.#document) ?? null;
      let next: Node | null | undefined;
      if (isMap(node)) {
        const pair: unknown = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
        if (isPair(pair)) {
          key = pair.key as Node;
          next = pair.value as Node | null;
        }
      } else if (isSeq(node) && typeof step === "number") {
        next = node.items[step] as Node | undefined;
      }
      if (next === undefined) return { node, ...(key && { key }), found: false };
      node = next;
    }
    return { node, ...(key && { key }), found: true };
  }

  /** The value at `path`; when it is not there, the key or first character of what should hold it. */
  value(path: ProfilePath): Position {
    const { node, key, found } = this.#find(path);
    const range = node?.range ?? undefined;
    if (found && range) return this.at(range[0], isScalar(node) ? range[1] : range[0] + 1);
    if (key?.range) return this.at(key.range[0], key.range[1]);
    return range ? this.at(range[0], range[0] + 1) : this.at(0, 1);
  }

  key(path: ProfilePath, name: string): Position {
    const { node } = this.#find(path);
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === name);
      const range = (pair?.key as ParsedNode | undefined)?.range;
      if (range) return this.at(range[0], range[1]);
    }
    return this.value(path);
  }
}

/** Keys that the schema allows at `path`, for suggestions. */
const allowedKeys = (path: ProfilePath): string[] => {
  let schema: z.core.$ZodType | undefined = Profile;
  const unwrap = (type: z.core.$ZodType | undefined): z.core.$ZodType | undefined => {
    let inner = type;
    while (inner !== undefined && "innerType" in inner._zod.def) inner = inner._zod.def.innerType as z.core.$ZodType;
    return inner;
  };
  for (const step of path) {
    const shape: unknown = (unwrap(schema)?._zod.def as { shape?: unknown } | undefined)?.shape;
    schema = (shape as Record<string, z.core.$ZodType> | undefined)?.[String(step)];
  }
  return Object.keys((unwrap(schema)?._zod.def as { shape?: object } | undefined)?.shape ?? {});
};

const spell = (path: ProfilePath): string => path.map(String).join(".");

/** A union answers with every branch's issues: the branch that went deepest is the one that was meant. */
const flattenIssues = (issues: readonly z.core.$ZodIssue[], prefix: ProfilePath = []): z.core.$ZodIssue[] =>
  issues.flatMap((issue) => {
    const path = [...prefix, ...(issue.path as ProfilePath)];
    if (issue.code === "invalid_union" && issue.errors.length > 0) {
      const meant = issue.errors.toSorted((a, b) => depth(b) - depth(a))[0] ?? [];
      if (meant.length > 0) return flattenIssues(meant, path);
    }
    return [{ ...issue, path }];
  });
const depth = (issues: readonly z.core.$ZodIssue[]): number =>
  Math.max(0, ...issues.map((issue) => issue.path.length * 2 + (issue.code === "unrecognized_keys" ? 1 : 0)));

const kindOf = (value: unknown): string =>
  value === null
    ? "nothing"
    : Array.isArray(value)
      ? "a list"
      : typeof value === "object"
        ? "a map"
        : JSON.stringify(value);

const shapeDiagnostics = (issues: readonly z.core.$ZodIssue[], positions: Positions, file: string): Diagnostic[] =>
  flattenIssues(issues).flatMap((issue): Diagnostic[] => {
    const path = issue.path as ProfilePath;
    const where = path.length === 0 ? "the profile" : spell(path);
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((name): Diagnostic => {
        const allowed = allowedKeys(path);
        const meant = closest(name, allowed);
        return {
          severity: "error",
          code: "BK103",
          file,
          message: `unknown key ${JSON.stringify(name)} in ${where}`,
          label: meant === undefined ? "not a key of a profile" : `did you mean ${meant}?`,
          ...(allowed.length > 0 && { help: `keys that can stand here: ${allowed.join(", ")}` }),
          ...positions.key(path, name),
        };
      });
    }
    if (issue.input === undefined) {
      return [
        {
          severity: "error",
          code: "BK104",
          file,
          message: `${spell(path)} is missing`,
          help: `add ${String(path.at(-1))} to ${path.length > 1 ? spell(path.slice(0, -1)) : "the profile"}`,
          ...positions.value(path),
        },
      ];
    }
    return [
      {
        severity: "error",
        code: "BK102",
        file,
        message: `${where} cannot be ${kindOf(issue.input)}`,
        label: issue.message.replace(/^Invalid input: /, ""),
        ...positions.value(path),
      },
    ];
  });

/** Parses, checks the shape, then the rules. Rules run only on a profile whose shape is right. */
export const loadProfile = (text: string, file: string): LoadedProfile => {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false, uniqueKeys: true, version: "1.2" });
  const positions = new Positions(document, counter);
  const syntax = [...document.errors, ...document.warnings].map(
    (problem): Diagnostic => ({
      severity: problem.name === "YAMLWarning" ? "warning" : "error",
      code: "BK101",
      file,
      message: `not valid YAML: ${problem.message}`,
      ...positions.at(problem.pos[0], problem.pos[1]),
    }),
  );
  if (document.errors.length > 0) return { diagnostics: sortDiagnostics(syntax) };

  const parsed = Profile.safeParse(document.toJS({ maxAliasCount: 100 }), { reportInput: true });
  if (!parsed.success) {
    return { diagnostics: sortDiagnostics([...syntax, ...shapeDiagnostics(parsed.error.issues, positions, file)]) };
  }
  const found = rules.flatMap((rule) =>
    rule(parsed.data).map(
      ({ path, ...problem }): Diagnostic => ({ severity: "error", ...problem, file, ...positions.value(path) }),
    ),
  );
  const diagnostics = sortDiagnostics([...syntax, ...found]);
  return diagnostics.some(({ severity }) => severity === "error")
    ? { diagnostics }
    : { profile: parsed.data, diagnostics };
};
