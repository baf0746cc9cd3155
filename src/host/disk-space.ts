import { statfs } from "node:fs/promises";

/**
 * Room on a disk, for a user without special rights.
 * @param path Something that is there.
 * @returns bytes free where it is.
 * @throws NodeJS.ErrnoException when it is not there, or cannot be looked at.
 */
export const freeBytes = async (path: string): Promise<number> => {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
};
