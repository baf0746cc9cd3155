import { utimes } from "node:fs/promises";

/**
 * Sets a file's times to now. Times of files are compared among processes and machines, so the system's clock is meant, and no
 * other one.
 * @throws NodeJS.ErrnoException when it is not there, or belongs to somebody else.
 */
export const touch = async (path: string): Promise<void> => {
  const now = new Date();
  await utimes(path, now, now);
};
