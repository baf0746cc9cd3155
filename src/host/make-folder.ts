import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it; one that is there is right. Node's own `recursive` never comes back where a file system
 * takes no folders, as /proc does, and nothing stops it.
 * @throws NodeJS.ErrnoException
 */
export const makeFolder = async (path: string): Promise<void> => {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") {
      const parent = dirname(path);
      // It is there: this folder cannot be made in it.
      if (parent === path || (await stat(parent).catch(() => undefined)) !== undefined) throw error;
      await makeFolder(parent);
      await makeFolder(path);
      return;
    }
    // Of a read-only file system it is said before that it is there.
    if ((await stat(path).catch(() => undefined))?.isDirectory() !== true) throw error;
  }
};
