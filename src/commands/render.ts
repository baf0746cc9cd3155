import { join } from "node:path";
import { readLock } from "../lock/read.ts";
import { planFor } from "./plan.ts";
import { targetsOf } from "../targets/index.ts";
import { renderTree, templateNames } from "../render/tree.ts";
import { userDataOrigins } from "../render/user-data.ts";
import { differences, writeTree } from "../render/write.ts";
import { readTemplates } from "../host/root.ts";
import { outFolder, reportReview, reportStaleness } from "./planned.ts";
import { readProfileFile, reportFailure, requireProfile } from "./profile-file.ts";

/** `bake render`: a folder for each target of the profile. @returns the exit code. */
export const render = async (options: { profile: string; check?: boolean }): Promise<number> => {
  try {
    const file = await readProfileFile(options.profile);
    const profile = requireProfile(file);
    if (profile === undefined) return 1;
    const lock = await readLock(file.lockFile);
    if (lock !== undefined && reportStaleness(file, profile, lock)) return 1;
    let code = 0;
    for (const target of targetsOf(profile)) {
      const plan = planFor({ name: file.name, profile, target, ...(lock !== undefined && { lock }) });
      const { files, leftOut, bakeId } = renderTree(plan, await readTemplates(templateNames(plan)));
      const golden = files.find(({ path }) => path === "user-data/golden.yaml")?.content ?? "";
      if (await reportReview(file, golden, userDataOrigins(plan, { authorizedKeys: [], environment: {} }))) return 1;
      const folder = outFolder(file.name, target);
      if (options.check === true) {
        const different = await differences(folder, files);
        for (const path of different) process.stdout.write(`differs: ${join(folder, path)}\n`);
        if (different.length > 0) code = 1;
        continue;
      }
      const changed = await writeTree(folder, files, (path) => {
        process.stdout.write(`not made by bake, moved out of what is baked: ${join(folder, path)}\n`);
      });
      process.stdout.write(`${folder}: ${files.length} files, ${changed.length} changed\n`);
      if (bakeId !== undefined) process.stdout.write(`bake id ${bakeId}\n`);
      if (leftOut.length > 0) {
        process.stdout.write(`left out, because ${file.lockFile} is not there:\n`);
        for (const item of leftOut) process.stdout.write(`  ${item}\n`);
      }
    }
    return code;
  } catch (error) {
    return reportFailure(error);
  }
};
