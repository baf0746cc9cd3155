/** The schema as something to ask: what can stand at a path, and what is said of it. Pure. */
import * as z from "zod";
import { Profile } from "./schema.ts";
import type { ProfilePath } from "./source.ts";

export type Type = z.ZodType;

/** Around the one type that may be left out. */
const isWrapper = (type: Type): type is z.ZodOptional | z.ZodDefault | z.ZodPrefault =>
  type instanceof z.ZodOptional || type instanceof z.ZodDefault || type instanceof z.ZodPrefault;

/** Whether a profile may say nothing there. Pure. */
export const isOptional = (type: Type): boolean => isWrapper(type);

/** The one type that is written, without `optional`, its default, and what is made of it. */
const unwrap = (type: Type): Type => {
  if (type instanceof z.ZodPipe) return unwrap(type.in as Type);
  return isWrapper(type) ? unwrap(type.unwrap() as Type) : type;
};

/** What may stand there: the options of unions, without what makes them optional. Pure. */
export const options = (type: Type): Type[] => {
  const inner = unwrap(type);
  return inner instanceof z.ZodUnion ? (inner.options as Type[]).flatMap(options) : [inner];
};

/** The type of a whole profile. */
export const rootTypes: readonly Type[] = [Profile];

/** The types of what lies below a key or an index; none where nothing can. Pure. */
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

/** The types of what can stand at a path. Pure. */
export const typesAt = (path: ProfilePath): Type[] => path.reduce<Type[]>(childTypes, [...rootTypes]);

/** Whether a list can stand there. Pure. */
export const isList = (types: readonly Type[]): boolean =>
  types.flatMap(options).some((type) => type instanceof z.ZodArray);

/** The maps with known keys that can stand there. Pure. */
export const objects = (types: readonly Type[]): z.ZodObject[] =>
  types.flatMap(options).filter((type) => type instanceof z.ZodObject);

/** Whether several forms exclude each other there, such as `{ blank: … }` and `{ adopt: … }`. Pure. */
export const isChoice = (types: readonly Type[]): boolean =>
  types.flatMap(options).length > 1 && objects(types).length > 0;

/** Whether a path there is meant relative to the profile that names it. Pure. */
export const isProfileRelative = (types: readonly Type[]): boolean =>
  types.flatMap(options).some((type) => type.meta()?.["profileRelative"] === true);

const descriptionOf = (type: Type): string | undefined =>
  type.description ?? (isWrapper(type) ? descriptionOf(type.unwrap() as Type) : undefined);

/** What the schema says of a setting; an item of a list has its list's words. Pure. */
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

/** Keys that a map cannot do without. Pure. */
export const requiredKeys = (type: z.ZodObject): string[] =>
  Object.entries(type.shape as Record<string, Type>).flatMap(([key, child]) => (isOptional(child) ? [] : [key]));

/** Keys that can stand there, whichever form is meant. Pure. */
export const keysOf = (types: readonly Type[]): string[] => [
  ...new Set(objects(types).flatMap((type) => Object.keys(type.shape))),
];

/** An example from the schema; undefined when it has none. Pure. */
export const exampleOf = (type: Type): unknown => {
  const own = (type.meta()?.["examples"] as readonly unknown[] | undefined)?.[0];
  if (own !== undefined) return own;
  if (type instanceof z.ZodPipe) return exampleOf(type.in as Type);
  return isWrapper(type) ? exampleOf(type.unwrap() as Type) : undefined;
};

/** An example of a setting; undefined when it has none. Pure. */
export const exampleAt = (path: ProfilePath): unknown =>
  typesAt(path)
    .map(exampleOf)
    .find((example) => example !== undefined);

/** Keys that can stand below a path. Pure. */
export const keysAt = (path: ProfilePath): string[] => keysOf(typesAt(path));

/** A value of the right shape, to go on with in the place of a wrong one. Pure. */
export const sampleOf = (type: Type): unknown => {
  const example = exampleOf(type);
  if (example !== undefined) return example;
  const [inner] = options(type);
  if (inner === undefined) return null;
  if (inner instanceof z.ZodObject) {
    const shape = inner.shape as Record<string, Type>;
    return Object.fromEntries(requiredKeys(inner).map((key) => [key, sampleOf(shape[key] as Type)]));
  }
  // One that must not be empty has one.
  if (inner instanceof z.ZodArray) return inner.safeParse([]).success ? [] : [sampleOf(inner.element as Type)];
  if (inner instanceof z.ZodRecord) return {};
  if (inner instanceof z.ZodEnum) return inner.options[0];
  if (inner instanceof z.ZodNumber) return Math.max(1, inner.minValue ?? 1);
  return inner instanceof z.ZodBoolean ? true : "text";
};
