/** What is said when the store cannot be written to. Pure. */
import { BakeError } from "../errors.ts";

/** Whether an error says that there is no room on the disk, or for this user. Pure. */
export const isFull = (error: unknown): boolean =>
  ["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "");

/** BK212 for a disk that is full, BK213 for a store that takes nothing. Pure. @param folder Of the store. */
export const cannotWrite = (folder: string, error: unknown): BakeError => {
  const { code, message, syscall } = error as NodeJS.ErrnoException;
  // mkdir of a whole path says ENOENT where the file system is read-only.
  const readOnly = code === "EROFS" || code === "EACCES" || (code === "ENOENT" && syscall === "mkdir");
  return isFull(error)
    ? new BakeError(
        "BK212",
        `the disk of ${folder} is full`,
        "What was fetched so far is kept. Free some space, or move XDG_CACHE_HOME; bake store prune says what could go.",
      )
    : new BakeError(
        "BK213",
        `the store cannot be written: ${readOnly ? `${folder} is read-only` : message}`,
        "XDG_CACHE_HOME moves it elsewhere.",
      );
};
