/**
 * What was meant by a value of the wrong type or form. A repair is believed when the schema takes it; then the exact text to
 * write is told. Pure.
 */
import { inYaml } from "../in-yaml.ts";
import { descriptionAt, isList, objects, requiredKeys, type Type, typesAt } from "../schema-questions.ts";
import type { ProfilePath } from "../source.ts";
import { textMends } from "./texts.ts";
import { numberMends } from "./numbers.ts";

/** What to say in the place of what the shape's check says. */
export interface ValueSlip {
  readonly label: string;
  readonly help: string;
}

/** A value that may have been meant, and what is wrong with the one that is written. */
export interface ValueMend {
  readonly value: unknown;
  readonly label: string;
  /** Behind the text to write: why. */
  readonly because?: string;
}

/** What a repair may look at. */
export interface Wrong {
  readonly path: ProfilePath;
  readonly types: readonly Type[];
  readonly found: unknown;
  /** As the file has it: YAML reads 27.10 as 27.1. */
  readonly written: string;
  /** What the schema says of the setting. */
  readonly description: string;
  /** Whether the schema takes a value here. */
  readonly isRight: (value: unknown) => boolean;
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isScalar = (value: unknown): boolean => typeof value !== "object" && value !== undefined;

/** `A=b` or `a: b`, of lists where a map of names and values is asked. */
const pairOf = (item: unknown): readonly [string, string] | undefined => {
  const [, name, value] = typeof item === "string" ? (/^([^=:\s]+)\s*[=:]\s*(.*)$/.exec(item) ?? []) : [];
  return name === undefined || value === undefined ? undefined : [name, value];
};

/** One value, a list and a map for each other. */
function* formMends({ types, found }: Wrong): Generator<ValueMend> {
  if (isList(types)) {
    if (typeof found === "string") {
      const dash = /^-\s*(\S.*)$/.exec(found.normalize("NFKC"));
      if (dash !== null) yield { value: [dash[1]], label: "no blank after the dash" };
      const many = found.split(/[,，;\s]+/).filter((each) => each !== "");
      if (many.length > 1) yield { value: many, label: "one text, where a list is asked" };
    }
    if (found !== null) {
      const label = isMap(found)
        ? "a map, where a list is asked: a dash is missing"
        : "one value, where a list is asked";
      yield { value: [found], label };
    }
    if (isMap(found)) yield { value: Object.values(found), label: "a map, where a list is asked" };
  }
  if (Array.isArray(found)) {
    const items: readonly unknown[] = found;
    if (items.length === 1 && !isMap(items[0])) yield { value: items[0], label: "a list, where one value is asked" };
    if (items.length > 0 && items.every(isMap))
      yield { value: Object.assign({}, ...items) as unknown, label: "a list, where a map is asked" };
    const pairs = items.map(pairOf);
    if (pairs.length > 0 && pairs.every((pair) => pair !== undefined))
      yield { value: Object.fromEntries(pairs), label: "a list, where a map of names and values is asked" };
  }
  if (typeof found === "string") {
    const pairs = found.split(/[,\s]+/).map(pairOf);
    if (pairs.every((pair) => pair !== undefined))
      yield { value: Object.fromEntries(pairs), label: "one text, where a map of names and values is asked" };
  }
  if (isMap(found)) {
    const [[key, value] = ["", undefined], ...others] = Object.entries(found);
    if (value === null && others.length === 0)
      yield { value: `${key}:`, label: "a text that ends with a colon is a key to YAML: it needs quotes" };
  }
  if (isScalar(found) && found !== null) {
    for (const type of objects(types)) {
      const needed = requiredKeys(type);
      for (const name of needed.length === 1 ? needed : [])
        yield { value: { [name]: found }, label: "one value, where a map is asked" };
    }
  }
}

/** Of `wrong` the first that the schema takes. */
const firstRight = (mends: Iterable<ValueMend>, isRight: Wrong["isRight"]): ValueMend | undefined => {
  for (const mend of mends) if (isRight(mend.value)) return mend;
  return undefined;
};

/** More than one line of a message can hold. */
const longest = 200;

/**
 * The slip behind a wrong value. Not for one that may be a secret: what to write repeats it. Pure.
 * @param written The value as the file has it.
 * @returns undefined when none is known
 */
export const valueSlip = (path: ProfilePath, found: unknown, written: string): ValueSlip | undefined => {
  const types = typesAt(path);
  if (types.length === 0 || found === undefined || path.length === 0) return undefined;
  const accepts = (value: unknown): boolean => types.some((type) => type.safeParse(value).success);
  const wrong: Wrong = {
    path,
    types,
    found,
    written: written.trim(),
    description: descriptionAt(path) ?? "",
    isRight: accepts,
  };
  if (accepts(found)) return undefined;
  const said = [...textMends(wrong), ...numberMends(wrong)];
  const mend = firstRight(said, accepts) ?? firstRight(formMends(wrong), accepts);
  // Known, and no text can be given.
  const told = mend ?? said.find(({ value }) => value === undefined);
  if (told === undefined) return undefined;
  const { value, label, because } = told;
  if (value === undefined) return { label, help: because ?? "" };
  const key = path.at(-1);
  const text = inYaml(value);
  const line = typeof key === "number" ? `- ${text}` : `${key}: ${text}`;
  if (line.length > longest && because === undefined) return undefined;
  return {
    label,
    help: line.length > longest ? (because ?? "") : `write ${line}${because === undefined ? "" : ` (${because})`}`,
  };
};
