import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { say } from "../host/verbosity.ts";
import { readLock } from "../lock/read.ts";
import { planFor } from "./plan.ts";
import { targetsOf } from "../targets/index.ts";
import { type Rendered, renderTree, templateNames } from "../render/tree.ts";
import { userDataOrigins } from "../render/user-data.ts";
import { differences, writeTree } from "../render/write.ts";
import { readTemplates } from "../host/root.ts";
import { shownHunks } from "./hunks.ts";
import { outFolder, reportReview, reportStaleness } from "./planned.ts";
import { readProfileFile, reportFailure, requireProfile } from "./profile-file.ts";
import { forEachProfile, namesOf } from "./profiles.ts";
import { printJson } from "./print-json.ts";

export interface RenderOptions {
  readonly check?: boolean;
  /** Instead of `out`. */
  readonly output?: string;
  readonly json?: boolean;
}

/** What is not up to date: what is there against what would be rendered. */
const differencesOf = async (folder: string, files: Rendered["files"]) => {
  const found: { path: string; change: "changed" | "missing" | "left over"; diff?: string }[] = [];
  for (const path of await differences(folder, files)) {
    const { content: wanted, encoding } = files.find((file) => file.path === path) ?? {};
    const there = await readFile(join(folder, path), "utf8").catch(() => undefined);
    if (wanted === undefined) found.push({ path, change: "left over" });
    else if (there === undefined) found.push({ path, change: "missing" });
    // Of what is no text there are no lines.
    else if (encoding !== undefined) found.push({ path, change: "changed" });
    else found.push({ path, change: "changed", diff: shownHunks(there, wanted) });
  }
  return found;
};

const renderOne = async (name: string, { check, output, json }: RenderOptions, told: object[]): Promise<number> => {
  const print = (text: string): void => {
    if (json !== true) process.stdout.write(`${text}\n`);
  };
  const file = await readProfileFile(name);
  const profile = requireProfile(file);
  if (profile === undefined) return 1;
  const lock = await readLock(file.lockFile);
  if (lock !== undefined && reportStaleness(file, profile, lock)) return 1;
  let code = 0;
  for (const target of targetsOf(profile)) {
    const plan = planFor({ name: file.name, profile, target, ...(lock !== undefined && { lock }) });
    const { files, leftOut, bakeId } = renderTree(plan, readTemplates(templateNames(plan)));
    const golden = files.find(({ path }) => path === "user-data/golden.yaml")?.content ?? "";
    if (await reportReview(file, golden, userDataOrigins(plan, { authorizedKeys: [], environment: {} }))) return 1;
    const folder = outFolder(file, target, output);
    const about = { profile: file.name, target, folder, files: files.length, bakeId: bakeId ?? null, leftOut };
    if (check === true) {
      const different = await differencesOf(folder, files);
      for (const { path, change, diff } of different) {
        if (diff === undefined) print(`${change}: ${join(folder, path)}`);
        else print(`differs: ${join(folder, path)}\n--- ${join(folder, path)}\n+++ as it is rendered now\n${diff}`);
      }
      if (different.length > 0) {
        print(`${folder}: ${different.length} of ${files.length} files are not up to date: bake render ${name}`);
        code = 1;
      }
      told.push({ ...about, upToDate: different.length === 0, differences: different });
      continue;
    }
    const aside: string[] = [];
    const changed = await writeTree(folder, files, (path) => {
      aside.push(path);
      print(`not made by bake, moved out of what is baked: ${join(folder, path)}`);
    });
    told.push({ ...about, changed, movedAside: aside });
    if (json === true) continue;
    say(`${folder}: ${files.length} files, ${changed.length} changed`);
    if (bakeId !== undefined) say(`bake id ${bakeId}`);
    if (leftOut.length > 0) {
      say(`left out, because ${file.lockFile} is not there:`);
      for (const item of leftOut) say(`  ${item}`);
    }
  }
  return code;
};

/**
 * `bake render`: a folder for each target of each profile.
 * @param named Undefined for all.
 * @returns the exit code: 0 ok, 1 for a profile with problems or, with `check`, what is not up to date; 2 failure.
 */
export const render = async (options: RenderOptions, named: readonly string[] | undefined): Promise<number> => {
  try {
    const told: object[] = [];
    const code = await forEachProfile(await namesOf(named), async (name) => {
      try {
        return await renderOne(name, options, told);
      } catch (error) {
        return reportFailure(error);
      }
    });
    if (options.json === true && (code === 0 || told.length > 0)) printJson({ ok: code === 0, rendered: told });
    return code;
  } catch (error) {
    return reportFailure(error);
  }
};
