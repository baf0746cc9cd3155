/** Reading the profile that `--profile` names, and telling the user what is wrong with it. */
import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { bakeTargets } from "../bake/targets.ts";
import { BakeError } from "../errors.ts";
import { isOpenVersion } from "../formats/version.ts";
import { lockPath, parseLock } from "../lock/read.ts";
import { requirementsOf } from "../lock/requirements.ts";
import { withLockedVersions } from "../plan/locked-versions.ts";
import { targetsOf } from "../targets/index.ts";
import type { Diagnostic } from "../profile/diagnostics.ts";
import { type LoadedProfile, loadProfile } from "../profile/load.ts";
import { noteDiagnostics, noteFailure } from "./json-failure.ts";
import { readLocalFile } from "./local-file.ts";
import { rules } from "./rules.ts";
import { type Profile, targetNames } from "../profile/schema.ts";
import { formatText } from "../profile/report/text.ts";
import { closest } from "../profile/suggest.ts";
import { candidates, isPath, meantPath, namedProfiles, ownProfiles, places, profilesIn } from "./find-profile.ts";
import { nameOf } from "../profile/file-names.ts";

export interface ProfileFile extends LoadedProfile {
  /** `2cards` */
  readonly name: string;
  /** As shown to the user. */
  readonly file: string;
  /** Where its `out/` is, relative to the current folder: the project's folder when it was found from a folder below. */
  readonly home: string;
  /** Beside the profile; of bake's own profiles in `profiles/` of the current folder: they belong to whoever bakes. */
  readonly lockFile: string;
}

/** As bytes: a profile says by name what other encoding it has. */
const readIfThere = (path: string): Buffer | undefined => {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    if (code === "EISDIR") {
      const [first, ...others] = profilesIn(path);
      throw new BakeError(
        "BK105",
        `${path} is a folder, and a profile is a file`,
        first === undefined
          ? "Name a file that ends in .yaml; there is none in it."
          : `Name one of its files: ${[first, ...others]
              .map((name) => join(path, name))
              .slice(0, 8)
              .join(", ")}`,
      );
    }
    throw new BakeError("BK105", `${path} cannot be read: ${(error as Error).message}`);
  }
};

/** With what the lock has for versions such as `27.5.x`. A lock that cannot be read is told by whoever needs it. */
const withVersionsOf = (lockFile: string, profile: Profile): Profile => {
  const requirements = targetsOf(profile).length === 0 ? [] : requirementsOf(profile);
  if (!requirements.some(({ asked }) => isOpenVersion(asked))) return profile;
  try {
    const { artifacts } = parseLock(readIfThere(lockFile)?.toString("utf8") ?? "", lockFile);
    const current = artifacts.filter(({ kind, asked }) =>
      requirements.some((requirement) => requirement.kind === kind && requirement.asked === asked),
    );
    return withLockedVersions(profile, requirements, current);
  } catch (error) {
    if (error instanceof BakeError) return profile;
    throw error;
  }
};

/** What the folders below out/ of a trial, and of targets besides the local one, end in. */
const reservedEndings: readonly string[] = [
  "-trial",
  ...targetNames.map((name) => bakeTargets[name].folderName("")).filter((ending) => ending !== ""),
];

const requireFreeName = (name: string, file: string): void => {
  const taken = reservedEndings.find((ending) => name.endsWith(ending));
  if (taken === undefined) return;
  throw new BakeError(
    "BK109",
    `a profile cannot be called ${name}: out/${name} is the folder of another one`,
    `Rename ${file}: names that end in ${taken} are bake's own.`,
  );
};

const notThere = (asked: string): BakeError => {
  const known = [...new Set(namedProfiles().map(({ name }) => name))].toSorted();
  const meant = isPath(asked) ? meantPath(asked) : closest(asked, known);
  const where = isPath(asked)
    ? asked
    : `${asked}.yaml and ${asked}.yml in ${places()
        .map(({ folder, kind }) => (kind === "beside" ? "./" : kind === "own" ? `${folder} (bake's own)` : folder))
        .join(", ")}`;
  return new BakeError(
    "BK100",
    `no profile ${asked}: looked at ${where}`,
    meant !== undefined
      ? `did you mean ${meant}?`
      : known.length > 0
        ? `profiles here: ${known.join(", ")}`
        : "give the path of a profile, or write one: bake init NAME",
  );
};

/**
 * `2cards` is 2cards.yaml or .yml in `profiles/` of the current folder, in the current folder, in `profiles/` of a folder above, else
 * bake's own; anything with a `/` or an ending is a path.
 * @param onRead Called with each file that says something about it, also those that are not there.
 * @throws BakeError BK100 when there is no such file, BK105 when it cannot be read, BK109 for a name that is bake's own.
 */
export const readProfileFile = async (
  asked: string,
  onRead: (path: string) => void = () => undefined,
): Promise<ProfileFile> => {
  const own = ownProfiles;
  const read = (path: string): Buffer | undefined => {
    onRead(path);
    return readIfThere(path);
  };
  const looked = isPath(asked) ? [{ file: asked, home: "", kind: "beside" as const }] : candidates(asked);
  for (const { file: place, home, kind } of looked) {
    const text = read(place);
    if (text === undefined) continue;
    const name = nameOf(place);
    requireFreeName(name, place);
    const nearer = relative(process.cwd(), place);
    const file = kind === "beside" && nearer.startsWith("..") ? place : kind === "own" ? place : nearer;
    const isOwn = nearer.startsWith("..") && dirname(resolve(place)) === own;
    const lockFile = isOwn ? join("profiles", `${name}.lock.json`) : lockPath(file);
    onRead(lockFile);
    return {
      name,
      file,
      home,
      lockFile,
      ...loadProfile(text, file, {
        rules,
        read,
        list: profilesIn,
        own,
        readLocal: (local) => {
          onRead(local);
          return readLocalFile(local);
        },
        exact: (profile) => withVersionsOf(lockFile, profile),
      }),
    };
  }
  throw notThere(asked);
};

const useColor = (): boolean => process.stderr.isTTY === true && !process.env["NO_COLOR"];

const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? "" : "s"}`;

/** Prints diagnostics to standard error, and how many there are. In colour on a terminal, unless NO_COLOR is set. */
export const printDiagnostics = ({ diagnostics, texts }: LoadedProfile): void => {
  noteDiagnostics(diagnostics);
  for (const diagnostic of diagnostics) {
    process.stderr.write(`${formatText(diagnostic, texts.get(diagnostic.file), useColor())}\n\n`);
  }
  const of = (severity: Diagnostic["severity"]): number =>
    diagnostics.filter((each) => each.severity === severity).length;
  const [errors, warnings] = [of("error"), of("warning")];
  const totals = [
    ...(errors > 0 ? [count(errors, "error")] : []),
    ...(warnings > 0 ? [count(warnings, "warning")] : []),
  ];
  if (totals.length > 0) process.stderr.write(`${totals.join(", ")}\n`);
};

/** Prints the problems of a profile, warnings too. @returns the profile; undefined when it has errors. */
export const requireProfile = (file: ProfileFile): Profile | undefined => {
  printDiagnostics(file);
  return file.profile;
};

/** Prints a BakeError to standard error. @returns the exit code, 2. @throws whatever else it is given: a bug. */
export const reportFailure = (error: unknown): number => {
  if (!(error instanceof BakeError)) throw error;
  noteFailure(error);
  process.stderr.write(`error[${error.code}]: ${error.message}\n`);
  for (const line of error.help?.split("\n") ?? []) process.stderr.write(`  ${line}\n`);
  return 2;
};
