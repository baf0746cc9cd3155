/** What bake wrote to out/<profile>/, as it rendered it. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { RenderedFile } from "../../src/render/tree.ts";

export const renderedFiles = (folder: string): RenderedFile[] =>
  ["node", "provision"]
    .flatMap((part) => readdirSync(join(folder, part), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path: relative(folder, path), content: readFileSync(path, "utf8") }))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
