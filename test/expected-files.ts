/** Folders of expected files, for tests that compare whole trees. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";

/** Files below a folder, as paths in it, sorted; none when it is not there. */
const filesBelow = (folder: string): string[] => {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
      .toSorted();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
};

/** Fails when a folder holds anything but these files; with -u it removes what is left over. */
export const expectNothingElse = (folder: string, paths: readonly string[]): void => {
  const leftOver = filesBelow(folder).filter((path) => !paths.includes(path));
  if (expect.getState().snapshotState.snapshotUpdateState === "all") {
    for (const path of leftOver) rmSync(join(folder, path));
    return;
  }
  expect(leftOver, `expected in ${folder}, but no longer made; npm test -- -u removes it`).toEqual([]);
};
