import { readFile } from "node:fs/promises";
import { BakeError } from "../errors.ts";
import { Lock } from "./lock.ts";

/**
 * Reads `<profile>.lock.json`; undefined when there is none.
 * @throws BakeError BK203 when it is not a lock that this bake can read.
 */
export const readLock = async (path: string): Promise<Lock | undefined> => {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new BakeError("BK203", `${path} cannot be read: ${(error as Error).message}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new BakeError("BK203", `${path} is not JSON: ${(error as Error).message}`);
  }
  const parsed = Lock.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new BakeError(
    "BK203",
    `${path} is not a lock:\n${parsed.error.issues.map(({ path: at, message }) => `  ${at.join(".")}: ${message}`).join("\n")}`,
  );
};

/**
 * A lock that was made for another architecture, or before the profile named another image, would bake something else.
 * @throws BakeError BK205
 */
export const requireLockFor = (
  lock: Lock,
  wanted: { readonly architecture: string; readonly images: readonly string[] },
  path: string,
): void => {
  const named = new Set(lock.artifacts.flatMap(({ kind, name }) => (kind === "container-image" ? [name] : [])));
  const problems = [
    ...(lock.architecture === wanted.architecture
      ? []
      : [`it is for ${lock.architecture}, the target for ${wanted.architecture}`]),
    ...wanted.images.filter((image) => !named.has(image)).map((image) => `it does not name image ${image}`),
  ];
  if (problems.length > 0) {
    throw new BakeError(
      "BK205",
      `${path} does not go with its profile:\n  ${problems.join("\n  ")}`,
      "Make the lock again.",
    );
  }
};

/** Where the lock of a profile lies: beside it. */
export const lockPath = (profileFile: string): string => profileFile.replace(/\.ya?ml$/, "") + ".lock.json";
