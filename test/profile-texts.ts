/** Where the schema of a profile takes a text. */
import * as z from "zod";
import { Profile } from "../src/profile/schema.ts";

export type Path = readonly (string | number)[];

/** Values, items of lists, and names in maps (with `name` in place of the key). */
const texts = (type: z.core.$ZodType, path: Path = []): { path: Path; key: boolean }[] => {
  if (type instanceof z.ZodOptional || type instanceof z.ZodDefault || type instanceof z.ZodPrefault)
    return texts(type.unwrap(), path);
  if (type instanceof z.ZodUnion) return type.options.flatMap((option) => texts(option, path));
  if (type instanceof z.ZodObject)
    return Object.entries(type.shape as Record<string, z.core.$ZodType>).flatMap(([key, child]) =>
      texts(child, [...path, key]),
    );
  if (type instanceof z.ZodArray) return texts(type.element, [...path, 0]);
  if (type instanceof z.ZodRecord)
    return [{ path: [...path, "name"], key: true }, ...texts(type.valueType, [...path, "NAME"])];
  return type instanceof z.ZodString ||
    type instanceof z.ZodURL ||
    type instanceof z.ZodUUID ||
    type instanceof z.ZodEnum
    ? [{ path, key: false }]
    : [];
};

export const profileTexts = texts(Profile);

type Data = { [key: string | number]: Data } & object;

const forms = ["disk", "base", "agentToken", "gitToken", "proxyCredentials", "nodeKey"];

/** A profile with a value (or a key) at a path; forms that exclude what the path is in are left out. */
export const withAt = (profile: object, { path, key }: { path: Path; key: boolean }, value: unknown): unknown => {
  const copy = structuredClone(profile) as unknown as Data;
  let holder = copy;
  for (const [index, step] of path.slice(0, -1).entries()) {
    const next = path[index + 1];
    const inner = holder[step];
    const isForm = forms.includes(String(step)) && typeof next === "string";
    if (typeof inner !== "object" || isForm) holder[step] = (typeof next === "number" ? [] : {}) as Data;
    holder = holder[step] as Data;
  }
  if (key) Object.defineProperty(holder, String(value), { value: "value", enumerable: true });
  else holder[path.at(-1) ?? ""] = value as Data;
  return copy;
};
