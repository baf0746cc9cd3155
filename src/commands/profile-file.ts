/** Reading the profile that `--profile` names, and telling the user what is wrong with it. */
import { readdir, readFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { BakeError } from "../errors.ts";
import { type Diagnostic, formatDiagnostic } from "../profile/diagnostics.ts";
import { type LoadedProfile, loadProfile } from "../profile/load.ts";
import type { Profile } from "../profile/schema.ts";
import { closest } from "../profile/suggest.ts";
import { root } from "../root.ts";

export interface ProfileFile extends LoadedProfile {
  /** `2cards` */
  readonly name: string;
  /** As shown to the user. */
  readonly file: string;
  readonly text: string;
}

const readIfThere = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new BakeError("BK105", `${path} cannot be read: ${(error as Error).message}`);
  }
};

/**
 * `2cards` is profiles/2cards.yaml below the current folder, else bake's own; anything with a `/` or an ending is a path.
 * @throws BakeError BK100 when there is no such file, BK105 when it cannot be read.
 */
export const readProfileFile = async (asked: string): Promise<ProfileFile> => {
  const isPath = asked.includes("/") || /\.ya?ml$/.test(asked);
  const folders = [...new Set([join(process.cwd(), "profiles"), join(root, "profiles")])];
  const places = isPath ? [asked] : folders.map((folder) => join(folder, `${asked}.yaml`));
  for (const place of places) {
    const text = await readIfThere(place);
    if (text === undefined) continue;
    const nearer = relative(process.cwd(), place);
    const file = nearer.startsWith("..") ? place : nearer;
    return { name: basename(place).replace(/\.ya?ml$/, ""), file, text, ...loadProfile(text, file) };
  }
  const known = isPath
    ? []
    : (await Promise.all(folders.map((folder) => readdir(folder).catch(() => []))))
        .flat()
        .filter((name) => name.endsWith(".yaml"))
        .map((name) => name.slice(0, -".yaml".length));
  const meant = closest(asked, known);
  throw new BakeError(
    "BK100",
    `no profile ${asked}: looked at ${places.join(", ")}`,
    meant === undefined
      ? known.length > 0
        ? `profiles here: ${[...new Set(known)].toSorted().join(", ")}`
        : isPath
          ? "write one there, or give a name: --profile 2cards"
          : "give the path of a profile, or write one into profiles/"
      : `did you mean ${meant}?`,
  );
};

const useColor = (): boolean => process.stderr.isTTY === true && !process.env["NO_COLOR"];

/** Prints diagnostics to standard error. */
export const printDiagnostics = (diagnostics: readonly Diagnostic[], text: string): void => {
  for (const diagnostic of diagnostics) process.stderr.write(`${formatDiagnostic(diagnostic, text, useColor())}\n\n`);
  const errors = diagnostics.filter(({ severity }) => severity === "error").length;
  if (errors > 0) process.stderr.write(`${errors} ${errors === 1 ? "error" : "errors"}\n`);
};

/** The profile, or nothing after its problems were printed. */
export const requireProfile = (file: ProfileFile): Profile | undefined => {
  printDiagnostics(file.diagnostics, file.text);
  return file.profile;
};

/** Prints a failure that is no diagnostic. @returns the exit code. */
export const reportFailure = (error: unknown): number => {
  if (!(error instanceof BakeError)) throw error;
  process.stderr.write(`error[${error.code}]: ${error.message}\n`);
  for (const line of error.help?.split("\n") ?? []) process.stderr.write(`  ${line}\n`);
  return 2;
};
