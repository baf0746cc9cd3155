/** What zod finds wrong, as problems that a user can act on. Pure. */
import * as z from "zod";
import type { ErrorCode } from "../error-codes.ts";
import { inYaml } from "./in-yaml.ts";
import {
  exampleOf,
  isList,
  isOptional,
  keysOf,
  objects,
  options,
  requiredKeys,
  type Type,
  typesAt,
} from "./schema-questions.ts";
import { type ProfilePath, spell } from "./source.ts";
import { keySlip } from "./slips/keys.ts";
import { closest } from "./suggest.ts";

export interface ShapeProblem {
  readonly path: ProfilePath;
  /** Whether the key at the end of `path` is meant, or its value. */
  readonly at: "key" | "value";
  readonly code: Extract<ErrorCode, "BK102" | "BK103" | "BK104">;
  /** Without what stands there: `agents.spawn cannot be`. */
  readonly message: string;
  /** The wrong value is shown at the end of the message, unless it may be a secret. */
  readonly found?: unknown;
  readonly label?: string;
  /** Of a misspelt key, or one in a wrong place: the setting that is meant. */
  readonly meant?: ProfilePath;
  readonly help?: string;
}

const or = (words: readonly string[]): string =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;

/** What zod is to say where the schema has no message of its own: zod's messages speak of types, not of what is expected. */
export const saysNothing = (): string => "";

/** `{ blank: … } or { adopt: … }` */
const forms = (types: readonly z.ZodObject[]): string =>
  or(
    types.map(
      (type) =>
        `{ ${requiredKeys(type)
          .map((key) => `${key}: …`)
          .join(", ")} }`,
    ),
  );

const number = (type: z.ZodNumber): string => {
  const [low, high] = [type.minValue, type.maxValue];
  const what = type.isInt ? "a whole number" : "a number";
  const limited = high !== null && high < Number.MAX_SAFE_INTEGER;
  if (low === null || low === Number.MIN_SAFE_INTEGER) return limited ? `${what} up to ${high}` : what;
  return limited ? `${what} from ${low} to ${high}` : `${what}, ${low} or more`;
};

/** What should stand there, in words. */
const expectation = (types: readonly Type[]): string => {
  const all = types.flatMap(options);
  const maps = objects(types);
  const words = all.flatMap((type): string[] => {
    if (type instanceof z.ZodObject) return [];
    if (type instanceof z.ZodNumber) return [number(type)];
    if (type instanceof z.ZodBoolean) return ["true or false"];
    if (type instanceof z.ZodEnum) return [`one of ${type.options.join(", ")}`];
    if (type instanceof z.ZodArray) return ["a list"];
    if (type instanceof z.ZodRecord) return ["a map of names and values"];
    return ["a text"];
  });
  const map = maps.length === 1 ? ["a map"] : maps.length > 1 ? [forms(maps)] : [];
  return `expected ${or([...new Set([...words, ...map])])}`;
};

const example = (path: ProfilePath, types: readonly Type[]): string | undefined => {
  const value = types.map(exampleOf).find((each) => each !== undefined);
  const key = path.at(-1);
  if (value === undefined || key === undefined) return undefined;
  return typeof key === "number" ? `for example: - ${inYaml(value)}` : `for example: ${key}: ${inYaml(value)}`;
};

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const where = (path: ProfilePath): string => (path.length === 0 ? "the profile" : spell(path));

/** What other tools call it. */
const otherNames: ReadonlyMap<string, string> = new Map([
  ["arm64", "aarch64"],
  ["amd64", "x86_64"],
  ["x86", "x86_64"],
  ["x64", "x86_64"],
  ["x86-64", "x86_64"],
  ["arm", "aarch64"],
  ["arm64v8", "aarch64"],
  ["kunpeng", "aarch64"],
  ["nvme0n1", "nvme"],
  ["ssd", "nvme"],
  ["all", "any"],
  ["ext3", "ext4"],
  ["dsa", "ed25519"],
  ["ssh-dss", "ed25519"],
  ["ecdsa", "ed25519"],
  ["ssh-rsa", "rsa"],
  ["rsa4096", "rsa"],
  ["rsa-4096", "rsa"],
]);

const unknownKeys = (path: ProfilePath, names: readonly string[]): ShapeProblem[] => {
  const types = typesAt(path);
  const allowed = path.length === 0 ? [...keysOf(types), "extends"] : keysOf(types);
  return names.map((name) => {
    const problem = { path: [...path, name], at: "key", code: "BK103" } as const;
    const message = `unknown key ${JSON.stringify(name)} in ${where(path)}`;
    if (name === "<<") {
      return {
        ...problem,
        message,
        label: "YAML 1.2 has no merge keys",
        help: "share values by extends: docs/profile.md",
      };
    }
    if (keysOf(types).includes(name)) {
      const form = objects(types).find((type) => Object.hasOwn(type.shape, name));
      return {
        ...problem,
        message: `${spell([...path, name])} does not go with the keys beside it`,
        label: form === undefined ? "of another form" : `only with ${requiredKeys(form).join(", ")}`,
        help: `remove it, or write ${forms(objects(types))}`,
      };
    }
    if (/[^\S ]|[\u200b\ufeff]/.test(name)) {
      const help = "replace it by a space; copied text often has such";
      return { ...problem, message, label: "holds a blank that YAML does not take for one", help };
    }
    const slip = keySlip(path, name, allowed);
    return {
      ...problem,
      message,
      label: slip.label ?? `not a key of ${where(path)}`,
      ...(slip.meant !== undefined && { meant: slip.meant }),
      ...(slip.help === undefined
        ? allowed.length > 0 && { help: `keys that can stand here: ${keysOf(types).join(", ")}` }
        : { help: slip.help }),
    };
  });
};

const wrong = (path: ProfilePath, input: unknown, label: string, help?: string): ShapeProblem => ({
  path,
  at: "value",
  code: "BK102",
  message: `${where(path)} cannot be`,
  found: input,
  label,
  ...(help !== undefined && { help }),
});

const missing = (path: ProfilePath, help: string): ShapeProblem => ({
  path,
  at: "value",
  code: "BK104",
  message: `${where(path)} is missing`,
  help,
});

/** A map where several forms are possible: the keys in it say which one is meant. */
const choiceProblems = (path: ProfilePath, issue: z.core.$ZodIssueInvalidUnion): ShapeProblem[] => {
  const types = typesAt(path);
  const { input } = issue;
  const all = types.flatMap(options);
  const candidates = all.map((type, index) => ({ type, issues: issue.errors[index] ?? [] }));
  if (!isMap(input)) {
    const single = candidates.filter(({ type }) => !(type instanceof z.ZodObject));
    const only = single[0];
    return single.length === 1 && only !== undefined && typeof input === "string" && only.type instanceof z.ZodString
      ? problemsOf(only.issues, path).map((problem) => ({
          ...problem,
          help: `write ${inYaml(exampleOf(only.type) ?? "a name")}, or ${forms(objects(types))}`,
        }))
      : [wrong(path, input, expectation(types), example(path, types))];
  }
  const maps = candidates.flatMap(({ type, issues }) => (type instanceof z.ZodObject ? [{ type, issues }] : []));
  if (maps.length === 0) return [wrong(path, input, expectation(types), example(path, types))];
  const present = maps.filter(({ type }) =>
    Object.keys(type.shape).some(
      (key) =>
        Object.hasOwn(input, key) &&
        maps.every((other) => other.type === type || !Object.hasOwn(other.type.shape, key)),
    ),
  );
  const allowed = keysOf(types);
  const unknown = Object.keys(input).filter((key) => !allowed.includes(key));
  const [meant, other] = present;
  if (other !== undefined) {
    const excluded = Object.keys(input).filter((key) => Object.hasOwn(other.type.shape, key))[0] ?? "";
    return [
      ...unknownKeys(path, unknown),
      {
        path: [...path, excluded],
        at: "key",
        code: "BK102",
        message: `${where(path)} takes one form, not two`,
        label: `${excluded} is of another form`,
        help: `write ${forms(present.map(({ type }) => type))}`,
      },
    ];
  }
  if (meant !== undefined) return problemsOf(meant.issues, path);
  return unknown.length > 0
    ? unknownKeys(path, unknown)
    : [missing(path, `write ${forms(maps.map(({ type }) => type))}`)];
};

/**
 * zod's issues, in the profile's words. A key that is missing because it is misspelt is named once. Pure.
 * @param prefix Where the value lies that the issues are about.
 */
export const problemsOf = (issues: readonly z.core.$ZodIssue[], prefix: ProfilePath = []): ShapeProblem[] => {
  const found = issues.flatMap((issue): ShapeProblem[] => {
    const path = [...prefix, ...(issue.path as ProfilePath)];
    const types = typesAt(path);
    if (issue.code === "unrecognized_keys") return unknownKeys(path, issue.keys);
    if (issue.code === "invalid_union" && issue.input !== undefined) return choiceProblems(path, issue);
    if (issue.input === undefined) {
      const key = String(path.at(-1));
      const value = types.map(exampleOf).find((each) => each !== undefined);
      const maps = objects(types);
      const what = value === undefined ? (maps.length > 0 ? forms(maps) : undefined) : inYaml(value);
      return [missing(path, `add ${what === undefined ? key : `${key}: ${what}`} to ${where(path.slice(0, -1))}`)];
    }
    if (issue.code === "invalid_key") {
      const reason = issue.issues[0]?.message || "not possible as a key";
      return [{ path, at: "key", code: "BK102", message: `${where(path)} cannot have this name`, label: reason }];
    }
    if (issue.code === "invalid_value") {
      const values = issue.values.map(String);
      const alias = typeof issue.input === "string" ? otherNames.get(issue.input.toLowerCase()) : undefined;
      const meant =
        typeof issue.input !== "string"
          ? undefined
          : (values.find((value) => value === alias) ?? closest(issue.input, values));
      return [
        wrong(
          path,
          issue.input,
          meant === undefined ? expectation(types) : `did you mean ${meant}?`,
          meant === undefined ? undefined : `it takes ${or(values)}`,
        ),
      ];
    }
    if (issue.input === null && path.length > 0) {
      const optional = types.some(isOptional) ? "remove the line, or give it a value" : "give it a value";
      return [wrong(path, null, "nothing stands here", example(path, types) ?? optional)];
    }
    if (isList(types) && isMap(issue.input) && ("append" in issue.input || "remove" in issue.input)) {
      return [
        wrong(
          path,
          issue.input,
          "expected a list, or append and remove alone",
          "for example: { append: […], remove: […] }",
        ),
      ];
    }
    const label = issue.message === saysNothing() ? expectation(types) : issue.message;
    const text = types.flatMap(options).some((type) => type instanceof z.ZodString);
    const scalar = typeof issue.input === "number" || typeof issue.input === "boolean";
    const quote =
      issue.code === "invalid_type" && text && scalar
        ? "a text needs quotes where YAML would read something else"
        : undefined;
    const shown = label.includes("such as") ? undefined : example(path, types);
    const keys = objects(types).length === 1 ? `keys that can stand there: ${keysOf(types).join(", ")}` : undefined;
    return [wrong(path, issue.input, label, shown ?? quote ?? keys)];
  });
  const meant = found.flatMap((problem) => (problem.meant === undefined ? [] : [spell(problem.meant)]));
  // What the extended profile would have said is not missing.
  const extended = meant.includes("extends");
  const seen = new Set<string>();
  return found.filter(({ code, path }) => {
    // One value may break two requirements of one kind: once is enough.
    const place = `${code} ${spell(path)}`;
    if (seen.has(place)) return false;
    seen.add(place);
    if (code !== "BK104") return true;
    const missed = spell(path);
    return !extended && !meant.some((each) => each === missed || each.startsWith(`${missed}.`));
  });
};
