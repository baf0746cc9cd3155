import { rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolder } from "./make-folder.ts";
import { currentProcess } from "./process-identity.ts";

/**
 * Writes a file whole or not at all: nobody reads half of it. Its folder is made where there is none.
 * @throws NodeJS.ErrnoException
 */
export const writeFileAtomic = async (path: string, content: string): Promise<void> => {
  const fresh = `${path}.new-${currentProcess()}`;
  await makeFolder(dirname(path));
  try {
    await writeFile(fresh, content);
    await rename(fresh, path);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
};
