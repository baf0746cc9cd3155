/** The schema as something to ask, and what zod finds wrong as problems that a user can act on. Pure. */
import * as z from "zod";
import { Profile } from "./schema.ts";
import { type ProfilePath, spell } from "./source.ts";
import { closest } from "./suggest.ts";

export type Type = z.ZodType;

export interface ShapeProblem {
  readonly path: ProfilePath;
  /** Whether the key at the end of `path` is meant, or its value. */
  readonly at: "key" | "value";
  readonly code: "BK102" | "BK103" | "BK104";
  /** Without what stands there: `agents.spawn cannot be`. */
  readonly message: string;
  /** The wrong value is shown at the end of the message, unless it may be a secret. */
  readonly found?: unknown;
  readonly label?: string;
  readonly help?: string;
}

/** The one type, without `optional` and `default`. */
const unwrap = (type: Type): Type =>
  type instanceof z.ZodOptional || type instanceof z.ZodDefault ? unwrap(type.unwrap() as Type) : type;

/** What may stand there: a union's options. */
const options = (type: Type): Type[] => {
  const inner = unwrap(type);
  return inner instanceof z.ZodUnion ? (inner.options as Type[]).flatMap(options) : [inner];
};

export const rootTypes: readonly Type[] = [Profile];

/** The types of what lies below a key or an index. */
export const childTypes = (types: readonly Type[], step: string | number): Type[] =>
  types.flatMap(options).flatMap((type) => {
    if (type instanceof z.ZodObject) {
      const shape = type.shape as Record<string, Type>;
      const child = Object.hasOwn(shape, step) ? shape[String(step)] : undefined;
      return child === undefined ? [] : [child];
    }
    if (type instanceof z.ZodRecord) return [type.valueType as Type];
    return type instanceof z.ZodArray ? [type.element as Type] : [];
  });

const typesAt = (path: ProfilePath): Type[] => path.reduce<Type[]>(childTypes, [...rootTypes]);

export const isList = (types: readonly Type[]): boolean =>
  types.flatMap(options).some((type) => type instanceof z.ZodArray);

const objects = (types: readonly Type[]): z.ZodObject[] =>
  types.flatMap(options).filter((type) => type instanceof z.ZodObject);

/** Whether several forms exclude each other there, such as `{ blank: … }` and `{ adopt: … }`. */
export const isChoice = (types: readonly Type[]): boolean =>
  types.flatMap(options).length > 1 && objects(types).length > 0;

/** Whether a path there is meant relative to the profile that names it. */
export const isProfileRelative = (types: readonly Type[]): boolean =>
  types.flatMap(options).some((type) => type.meta()?.["profileRelative"] === true);

const descriptionOf = (type: Type): string | undefined =>
  type.description ??
  (type instanceof z.ZodOptional || type instanceof z.ZodDefault ? descriptionOf(type.unwrap() as Type) : undefined);

/** What the schema says of a setting; an item of a list has its list's words. */
export const descriptionAt = (path: ProfilePath): string | undefined => {
  for (let length = path.length; length > 0; length--) {
    const described = typesAt(path.slice(0, length))
      .map(descriptionOf)
      .find((text) => text !== undefined);
    if (described !== undefined) return described;
    if (typeof path[length - 1] !== "number") return undefined;
  }
  return undefined;
};

const isOptional = (type: Type): boolean => type instanceof z.ZodOptional || type instanceof z.ZodDefault;

const requiredKeys = (type: z.ZodObject): string[] =>
  Object.entries(type.shape as Record<string, Type>).flatMap(([key, child]) => (isOptional(child) ? [] : [key]));

const keysOf = (types: readonly Type[]): string[] => [
  ...new Set(objects(types).flatMap((type) => Object.keys(type.shape))),
];

/** An example from the schema; undefined when it has none. */
const exampleOf = (type: Type): unknown => {
  const own = (type.meta()?.["examples"] as readonly unknown[] | undefined)?.[0];
  if (own !== undefined) return own;
  return type instanceof z.ZodOptional || type instanceof z.ZodDefault ? exampleOf(type.unwrap() as Type) : undefined;
};

/** A value of the right shape, to go on with in the place of a wrong one. */
const sampleOf = (type: Type): unknown => {
  const example = exampleOf(type);
  if (example !== undefined) return example;
  const [inner] = options(type);
  if (inner === undefined) return null;
  if (inner instanceof z.ZodObject) {
    const shape = inner.shape as Record<string, Type>;
    return Object.fromEntries(requiredKeys(inner).map((key) => [key, sampleOf(shape[key] as Type)]));
  }
  if (inner instanceof z.ZodArray) return [];
  if (inner instanceof z.ZodRecord) return {};
  if (inner instanceof z.ZodEnum) return inner.options[0];
  if (inner instanceof z.ZodNumber) return Math.max(1, inner.minValue ?? 1);
  return inner instanceof z.ZodBoolean ? true : "text";
};

const or = (words: readonly string[]): string =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;

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

/** What YAML reads as itself without quotes. */
const isPlain = (text: string): boolean =>
  /^[A-Za-z0-9/][A-Za-z0-9._:/-]*$/.test(text) &&
  Number.isNaN(Number(text)) &&
  !/^(true|false|null|yes|no|on|off)$/i.test(text) &&
  !text.endsWith(":");

/** One line as YAML would have it. */
const inYaml = (value: unknown): string => {
  if (typeof value === "string") return isPlain(value) ? value : JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(inYaml).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, each]) => `${key}: ${inYaml(each)}`);
  return `{ ${entries.join(", ")} }`;
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
]);

const unknownKeys = (path: ProfilePath, names: readonly string[]): ShapeProblem[] => {
  const types = typesAt(path);
  const allowed = keysOf(types);
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
    if (allowed.includes(name)) {
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
    const meant = closest(name, allowed);
    return {
      ...problem,
      message,
      label: meant === undefined ? `not a key of ${where(path)}` : `did you mean ${meant}?`,
      ...(allowed.length > 0 && { help: `keys that can stand here: ${allowed.join(", ")}` }),
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

/** zod's issues, in the profile's words. A key that is missing because it is misspelt is named once. */
const problemsOf = (issues: readonly z.core.$ZodIssue[], prefix: ProfilePath = []): ShapeProblem[] => {
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
      const reason = issue.issues[0]?.message ?? "not possible as a key";
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
    // Messages of our own schema begin so; zod's own speak of types.
    const label = issue.message.startsWith("expected ") ? issue.message : expectation(types);
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
  const misspelt = found.flatMap(({ code, path, label }) => {
    const meant = code === "BK103" ? /^did you mean (.*)\?$/.exec(label ?? "")?.[1] : undefined;
    return meant === undefined ? [] : [spell([...path.slice(0, -1), meant])];
  });
  const seen = new Set<string>();
  return found.filter(({ code, path }) => {
    // One value may break two requirements of one kind: once is enough.
    const place = `${code} ${spell(path)}`;
    if (seen.has(place)) return false;
    seen.add(place);
    return code !== "BK104" || !misspelt.includes(spell(path));
  });
};

export interface Shape {
  /** Right, or made right. */
  readonly profile?: Profile;
  readonly problems: readonly ShapeProblem[];
  /** Where `profile` holds samples, or nothing, in the place of what is written. */
  readonly mended: readonly ProfilePath[];
}

/** Puts samples in the places of wrong values, so that rules can look at everything else. */
const mend = (value: unknown, problems: readonly ShapeProblem[]): unknown => {
  const mended: unknown = structuredClone(value);
  for (const { path, at } of problems) {
    const last = path.at(-1);
    if (last === undefined) return undefined;
    let holder: unknown = mended;
    for (const step of path.slice(0, -1))
      holder = (holder as Record<string | number, unknown> | undefined | null)?.[step];
    if (typeof holder !== "object" || holder === null) continue;
    const [type] = typesAt(path);
    const slot = holder as Record<string | number, unknown>;
    if (at === "key" || type === undefined || (isOptional(type) && !Array.isArray(holder))) delete slot[last];
    else slot[last] = sampleOf(type);
  }
  return mended;
};

/** What is wrong below a misspelt key only shows when that is gone. */
const mostRounds = 4;

/** Checks the shape; with problems, goes on with samples in their places. `profile` is absent when that cannot be done. */
export const checkShape = (value: unknown): Shape => {
  let current = value;
  let problems: readonly ShapeProblem[] | undefined;
  const mended: ProfilePath[] = [];
  for (let round = 0; round < mostRounds; round++) {
    const parsed = Profile.safeParse(current, { reportInput: true });
    if (parsed.success) return { profile: parsed.data, problems: problems ?? [], mended };
    const found = problemsOf(parsed.error.issues);
    problems ??= found;
    mended.push(...found.map(({ path }) => path));
    current = mend(current, found);
  }
  return { problems: problems ?? [], mended };
};
