/** Files of this machine that a profile takes bytes from. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { largestLocalFile, type ReadLocal } from "../profile/local-files.ts";
import { fromHome } from "../profile/secret-values.ts";
import { closest } from "../profile/suggest.ts";

const beside = (place: string): string | undefined => {
  try {
    return closest(basename(place), readdirSync(dirname(place)));
  } catch {
    return undefined;
  }
};

/** Reads a plain file, small enough to be rendered. What it is, is looked at first: a pipe would be waited for, a device has no end. */
export const readLocalFile: ReadLocal = (path) => {
  const place = fromHome(path, process.env);
  try {
    const stat = statSync(place);
    if (stat.isDirectory()) return { why: "is a folder", help: "name a file; of a folder, each file that is wanted" };
    if (!stat.isFile()) return { why: "is no plain file", help: "name a file: nothing else has bytes that stay" };
    if (stat.size > largestLocalFile) {
      return {
        why: `has ${stat.size} bytes: ${largestLocalFile} are the most`,
        help: "serve it, and name it by url: the lock pins its digest",
      };
    }
    return readFileSync(place);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EACCES" || code === "EPERM") return { why: "may not be read by this user" };
    if (code !== "ENOENT" && code !== "ENOTDIR") return { why: `cannot be read: ${message}` };
    const meant = beside(place);
    return {
      why: "is not there",
      help:
        meant === undefined
          ? "it is meant from the profile that names it"
          : `did you mean ${join(dirname(path), meant)}?`,
    };
  }
};
