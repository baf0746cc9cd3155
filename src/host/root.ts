/** Where bake's own files are: templates/, packer/, profiles/, toolchain/. */
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the checkout, from the bundle in dist/, or from src/. */
export const root = ((): string => {
  const own = fileURLToPath(import.meta.url);
  let folder = dirname(own);
  while (!["dist", "src"].includes(basename(folder))) {
    if (folder === dirname(folder)) throw new Error(`${own} lies neither in dist/ nor in src/ of a checkout of bake`);
    folder = dirname(folder);
  }
  return dirname(folder);
})();

/**
 * Reads files of bake's own.
 * @param names Paths below the root.
 * @returns their texts, by those paths.
 * @throws NodeJS.ErrnoException when one cannot be read.
 */
export const readTemplates = (names: readonly string[]): Readonly<Record<string, string>> =>
  // One after the other: that takes a fifth of the time that promises take.
  Object.fromEntries(names.map((name) => [name, readFileSync(join(root, name), "utf8")] as const));
