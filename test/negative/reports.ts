/** The cases of this folder and what bake says about them now. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readLocalFile } from "../../src/commands/local-file.ts";
import { rules } from "../../src/commands/rules.ts";
import { loadProfile } from "../../src/profile/load.ts";
import { formatText } from "../../src/profile/report/text.ts";

export interface CaseReport {
  /** Nothing in it was an error. */
  readonly accepted: boolean;
  /** A profile came out of it. */
  readonly loaded: boolean;
  /** In the order of the report. */
  readonly codes: readonly string[];
  /** As `bake validate` prints it, problem by problem. */
  readonly problems: readonly string[];
}

/** Names of the folders. */
export const negativeCases = readdirSync(import.meta.dirname, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .toSorted();

/** Loads a case's `profile.yaml`. @throws ENOENT without one. */
export const reportOf = (name: string): CaseReport => {
  const folder = join(import.meta.dirname, name);
  const read = (file: string): Buffer | undefined =>
    existsSync(join(folder, file)) ? readFileSync(join(folder, file)) : undefined;
  const list = (within: string): string[] =>
    existsSync(join(folder, within)) ? readdirSync(join(folder, within)).toSorted() : [];
  const { profile, diagnostics, texts } = loadProfile(readFileSync(join(folder, "profile.yaml")), "profile.yaml", {
    rules,
    read,
    list,
    readLocal: (path) => {
      const found = readLocalFile(join(folder, path));
      return "help" in found && found.help !== undefined
        ? { ...found, help: found.help.replace(`${folder}/`, "") }
        : found;
    },
  });
  return {
    accepted: !diagnostics.some(({ severity }) => severity === "error"),
    loaded: profile !== undefined,
    codes: diagnostics.map(({ code }) => code),
    problems: diagnostics.map((each) => `${formatText(each, texts.get(each.file), false)}\n`),
  };
};
