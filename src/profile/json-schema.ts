/**
 * schema/profile.schema.json: the profile as editors know it. Pure. What is required is left to `bake validate`: a profile
 * may leave everything to the one that it extends.
 */
import * as z from "zod";
import { Profile } from "./schema.ts";

interface Schema {
  [key: string]: unknown;
  properties?: Record<string, Schema>;
  items?: Schema;
  anyOf?: Schema[];
  additionalProperties?: boolean | Schema;
}

/** Words of the whole are shown for each of its forms: an editor shows those of the form that it chose. */
const outer = ["description", "default", "examples"] as const;

/** A list may also be changed: `{ append: […], remove: […] }`. */
const orEdit = (list: Schema): Schema => {
  const words = Object.fromEntries(outer.flatMap((word) => (word in list ? [[word, list[word]]] : [])));
  const items = list.items ?? {};
  const edit: Schema = {
    type: "object",
    description: "Changes the list of the extended profile.",
    properties: {
      append: { type: "array", items, description: "Added at its end." },
      remove: { type: "array", items, description: "Taken out of it." },
    },
    additionalProperties: false,
    minProperties: 1,
  };
  return { ...words, anyOf: [list, edit] };
};

/** A key without a value takes away what the extended profile says. */
const nullable = (schema: Schema): Schema =>
  typeof schema["type"] === "string" && schema["enum"] === undefined
    ? { ...schema, type: [schema["type"], "null"] }
    : Array.isArray(schema.anyOf)
      ? { ...schema, anyOf: [...schema.anyOf, { type: "null" }] }
      : {
          ...schema,
          ...(Array.isArray(schema["enum"]) && { enum: [...schema["enum"], null], type: [schema["type"], "null"] }),
        };

const forEditors = (schema: Schema): Schema => {
  const { required: _required, profileRelative: _relative, ...rest } = schema;
  const inner: Schema = {
    ...rest,
    ...(rest.properties !== undefined && {
      properties: Object.fromEntries(
        Object.entries(rest.properties).map(([key, value]) => [key, nullable(forEditors(value))]),
      ),
    }),
    ...(rest.items !== undefined && { items: forEditors(rest.items) }),
    ...(rest.anyOf !== undefined && { anyOf: rest.anyOf.map(forEditors) }),
    ...(typeof rest.additionalProperties === "object" && {
      additionalProperties: nullable(forEditors(rest.additionalProperties)),
    }),
  };
  return inner["type"] === "array" ? orEdit(inner) : inner;
};

/** The whole schema, as plain data in draft 7 of JSON Schema. Pure. */
export const profileSchema = (): Schema => {
  const { $schema, properties, ...rest } = forEditors(
    z.toJSONSchema(Profile, {
      target: "draft-7",
      io: "input",
      // All that stands where nothing is said, not the empty map that it is made from.
      override: ({ zodSchema, jsonSchema }) => {
        if (zodSchema instanceof z.ZodPrefault) jsonSchema.default = zodSchema.parse(undefined);
      },
    }) as Schema,
  );
  return {
    $schema,
    title: "bake profile",
    description: "What a node is: docs/profile.md.",
    ...rest,
    properties: {
      extends: {
        type: "string",
        description:
          "Another profile, relative to this one, or one of bake's own by name: what this one does not say comes from there.",
        examples: ["./ascend.yaml"],
      },
      ...properties,
    },
  };
};
