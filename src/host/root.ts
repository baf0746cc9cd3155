/** Where bake's own files are: templates/, packer/, profiles/, toolchain/. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the checkout, from the bundle in dist/, or from src/. */
export const root = ((): string => {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!["dist", "src"].includes(folder.split("/").at(-1) ?? "")) folder = dirname(folder);
  return dirname(folder);
})();

/**
 * Reads files of bake's own.
 * @param names Paths below the root.
 * @returns their texts, by those paths.
 * @throws NodeJS.ErrnoException when one cannot be read.
 */
export const readTemplates = async (names: readonly string[]): Promise<Readonly<Record<string, string>>> =>
  Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(root, name), "utf8")] as const)),
  );
