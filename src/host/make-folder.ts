import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** Others make and remove folders meanwhile; a file system that takes none refuses each time. */
const mostAttempts = 20;

/**
 * Makes a folder and those above it; one that is there is right. Node's own `recursive` never comes back where a file system
 * takes no folders, as /proc does, and nothing stops it.
 * @throws NodeJS.ErrnoException
 */
export const makeFolder = async (path: string): Promise<void> => {
  for (let attempt = 1; ; attempt++) {
    try {
      await mkdir(path);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const there = await stat(path).catch(() => undefined);
      // Of a read-only file system it may be said before that it is there.
      if (there?.isDirectory() === true) return;
      const mayChange = code === "ENOENT" || (code === "EEXIST" && there === undefined);
      if (!mayChange || attempt === mostAttempts || path === dirname(path)) throw error;
      if (code === "ENOENT" && (await stat(dirname(path)).catch(() => undefined)) === undefined) {
        await makeFolder(dirname(path));
      }
    }
  }
};
