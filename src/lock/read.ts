/** Reads and writes `<profile>.lock.json`. */
import { readFile } from "node:fs/promises";
import { BakeError, listed } from "../errors.ts";
import { parseSource, placeOf, rangeOf, spell } from "../profile/source.ts";
import { formatLock, Lock, lockVersion } from "./lock.ts";
import { writeFileAtomic } from "../host/write-file-atomic.ts";

/** Where the lock of a profile lies: beside it. */
export const lockPath = (profileFile: string): string => profileFile.replace(/\.ya?ml$/, "") + ".lock.json";

/** `line:column`, from 1. */
const positionIn = (text: string, offset: number): string => {
  const before = text.slice(0, offset).split("\n");
  return `${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
};

const remake = "Take one whole side of a merge, or remove the lock and make it again: bake lock.";

/** Problems that a message lists. */
const mostListed = 12;

/**
 * @param file As shown to the user.
 * @throws BakeError BK203 when it is no lock, BK206 when a newer bake wrote it, BK207 for the marks of a merge conflict.
 */
export const parseLock = (text: string, file: string): Lock => {
  const conflict = /^(?:<{7}|={7}|>{7}|\|{7})/m.exec(text);
  if (conflict !== null) {
    throw new BakeError("BK207", `${file}:${positionIn(text, conflict.index)}: marks of a merge conflict`, remake);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const at = /position (\d+)/.exec((error as Error).message)?.[1];
    const where = positionIn(text, at === undefined ? text.length : Number(at));
    throw new BakeError(
      "BK203",
      `${file}:${where}: not JSON${text.trim() === "" ? ": the file is empty" : at === undefined ? ": it ends too early" : ""}`,
      remake,
    );
  }
  const version = (value as { lockVersion?: unknown } | null)?.lockVersion;
  if (typeof version === "number" && version > lockVersion) {
    throw new BakeError(
      "BK206",
      `${file} has lock version ${version}; this bake reads ${lockVersion}`,
      "A newer bake wrote it: take that one.",
    );
  }
  const parsed = Lock.safeParse(value);
  if (parsed.success) return parsed.data;
  const { tree } = parseSource(file, text);
  const problems = parsed.error.issues.map(({ path, message }) => {
    const steps = path.map((step) => (typeof step === "number" ? step : String(step)));
    const range = tree === undefined ? undefined : rangeOf(placeOf(tree, steps));
    return `${file}:${range?.line ?? 1}:${range?.column ?? 1}: ${spell(steps) || "the lock"}: ${message}`;
  });
  throw new BakeError("BK203", `not a lock:\n${listed(problems, mostListed)}`, remake);
};

/** Undefined when there is none. @throws BakeError as `parseLock`, and BK203 when it cannot be read. */
export const readLock = async (path: string): Promise<Lock | undefined> => {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new BakeError("BK203", `${path} cannot be read: ${(error as Error).message}`);
  }
  return parseLock(text, path);
};

/** Whole or not at all. @throws BakeError BK518 */
export const writeLock = async (path: string, lock: Lock): Promise<void> => {
  try {
    await writeFileAtomic(path, formatLock(lock));
  } catch (error) {
    throw new BakeError("BK518", `${path} cannot be written: ${(error as Error).message}`);
  }
};
