/** Every value that a profile has in the end, and where it was set. Pure. */
import type { Note } from "./diagnostics.ts";
import { Profile } from "./schema.ts";
import { descriptionAt } from "./schema-questions.ts";
import { isWritten, placeOf, type ProfilePath, rangeOf, scalarAt, spell, type Tree } from "./source.ts";

export interface Effective {
  /** `agents.spawn`, `images[0]` */
  readonly path: string;
  readonly value: unknown;
  /** Absent: the schema's default. */
  readonly from?: Pick<Note, "file" | "line" | "column">;
  readonly description?: string;
}

const leaves = (tree: Tree, value: unknown, path: ProfilePath): { path: ProfilePath; value: unknown }[] => {
  if (typeof value !== "object" || value === null) return [{ path, value }];
  // A short form, such as an image by its name alone.
  const written = scalarAt(tree, path);
  if (written !== undefined) return [{ path, value: written }];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return entries.length === 0
    ? [{ path, value }]
    : entries.flatMap(([key, each]) => leaves(tree, each, [...path, key]));
};

/**
 * Every single value, and empty maps and lists, in the order of the schema. Pure.
 * @param tree What is written, merged: where values were set.
 */
export const effectiveValues = (profile: Profile, tree: Tree): Effective[] =>
  Object.keys(Profile.shape)
    .flatMap((key) => leaves(tree, profile[key as keyof Profile], [key]))
    .map(({ path, value }): Effective => {
      const description = descriptionAt(path);
      const { file, line, column } = rangeOf(placeOf(tree, path));
      return {
        path: spell(path),
        value,
        ...(isWritten(tree, path) && { from: { file, line, column } }),
        ...(description !== undefined && { description }),
      };
    });
