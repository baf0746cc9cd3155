/** Where bake's own files are: templates/, packer/, profiles/, toolchain/. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Templates } from "../render/templates.ts";

/** The root of the checkout, from the bundle in dist/, or from src/. */
export const root = ((): string => {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!["dist", "src"].includes(folder.split("/").at(-1) ?? "")) folder = dirname(folder);
  return dirname(folder);
})();

export const readTemplates = async (names: readonly string[]): Promise<Templates> =>
  Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(root, name), "utf8")] as const)),
  );
