/** Which profiles there are, for `--all` and `bake ls`, and commands that go through several of them. */
import { resolve } from "node:path";
import { BakeError } from "../errors.ts";
import { namedProfiles, type Place } from "./find-profile.ts";
import { type ProfileFile, readProfileFile } from "./profile-file.ts";

/** A profile that can be named. */
export interface Listed {
  readonly name: string;
  readonly place: Place;
  /** Undefined when it cannot even be read. */
  readonly file: ProfileFile | undefined;
  /** Why it cannot be read. */
  readonly failure?: BakeError;
  /** Names of profiles that extend it. */
  readonly extendedBy: readonly string[];
  /** It lacks what those that extend it say, and nothing else is wrong with it. */
  readonly isBase: boolean;
}

/** Reads all profiles that can be named. */
export const listProfiles = async (): Promise<readonly Listed[]> => {
  const read = await Promise.all(
    namedProfiles().map(async ({ name, file: path, place }) => {
      try {
        return { name, place, path, file: await readProfileFile(place.kind === "own" ? name : path) };
      } catch (error) {
        if (error instanceof BakeError) return { name, place, path, file: undefined, failure: error };
        throw error;
      }
    }),
  );
  return read.map(({ path, ...each }) => {
    const extendedBy = read.flatMap(({ name, file }) =>
      file !== undefined && [...file.texts.keys()].slice(1).some((extended) => resolve(extended) === resolve(path))
        ? [name]
        : [],
    );
    const errors = each.file?.diagnostics.filter(({ severity }) => severity === "error") ?? [];
    const isBase = extendedBy.length > 0 && errors.length > 0 && errors.every(({ code }) => code === "BK104");
    return { ...each, extendedBy, isBase };
  });
};

/** Names for `--all`: the project's profiles, or those that were named. @throws BakeError BK100 when there are none. */
export const namesOf = async (named: readonly string[] | undefined): Promise<readonly string[]> => {
  if (named !== undefined) return named;
  const all = (await listProfiles()).filter(({ place, isBase }) => place.kind === "project" && !isBase);
  if (all.length === 0)
    throw new BakeError("BK100", "--all: there are no profiles in profiles/", "Write one: bake init NAME.");
  return all.map(({ name }) => name);
};

/** Does it for each, one after the other. @returns the exit code: 2 when one failed, else 1 when one has findings. */
export const forEachProfile = async (
  names: readonly string[],
  work: (name: string) => Promise<number>,
): Promise<number> => {
  const codes: number[] = [];
  for (const name of names) {
    const code = await work(name);
    codes.push(code);
    // Somebody stopped it.
    if (code > 2) return code;
  }
  return Math.max(0, ...codes);
};
