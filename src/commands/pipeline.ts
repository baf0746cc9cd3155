/** `bake pipeline`: prints a Buildkite pipeline for `buildkite-agent pipeline upload`. Touches no network. */
import { relative } from "node:path";
import { makePipeline } from "../buildkite/pipeline.ts";
import { readTargets } from "../buildkite/pipeline-targets.ts";
import { BakeError } from "../errors.ts";
import { toYaml } from "../formats/yaml.ts";
import { readTemplates } from "../host/root.ts";
import { readLock } from "../lock/read.ts";
import { renderTree, templateNames } from "../render/tree.ts";
import { planFor } from "./plan.ts";
import { outFolder, reportStaleness } from "./planned.ts";
import { cloudTarget, requireCloudTarget } from "../targets/huaweicloud.ts";
import { readProfileFile, reportFailure, requireProfile } from "./profile-file.ts";
import { namesOf } from "./profiles.ts";

export interface PipelineCommandOptions {
  readonly queue: string;
  readonly to: readonly string[];
  readonly verifyPipeline?: string;
  readonly flavor: string;
  readonly keyPair?: string;
  readonly keyUser?: string;
  readonly dataDisk: readonly string[];
  readonly npus: boolean;
  readonly kind?: "ecs" | "lite-server" | "bms";
  readonly wave: number;
  readonly soak: number;
  readonly json?: boolean;
}

/** @returns undefined after problems were printed. */
const readOne = async (asked: string) => {
  const file = await readProfileFile(asked);
  const profile = requireProfile(file);
  if (profile === undefined) return undefined;
  const target = cloudTarget;
  const settings = requireCloudTarget(profile, file.file, "A pipeline bakes in the cloud.");
  const lock = await readLock(file.lockFile);
  if (lock === undefined) {
    throw new BakeError(
      "BK463",
      `${file.file} has no lock: nobody knows what its image will be`,
      `Run bake lock ${asked}, and commit ${file.lockFile}.`,
    );
  }
  if (reportStaleness(file, profile, lock)) return undefined;
  const plan = planFor({ name: file.name, profile, target, lock });
  const { bakeId } = renderTree(plan, readTemplates(templateNames(plan)));
  if (bakeId === undefined) throw new Error("a plan with a lock has a bake id");
  return {
    name: file.name,
    file: asked,
    record: `${relative("", outFolder(file, target))}/image.json`,
    architecture: settings.architecture,
    bakeId,
    queue: profile.agents.queue,
  };
};

/** `bake pipeline`. @returns the exit code. */
export const pipeline = async (
  { to, json, ...options }: PipelineCommandOptions,
  named: readonly string[] | undefined,
): Promise<number> => {
  try {
    const read = [];
    for (const asked of await namesOf(named)) {
      const one = await readOne(asked);
      if (one === undefined) return 2;
      read.push(one);
    }
    const targets = readTargets(
      to,
      read.map(({ name }) => name),
    );
    const made = makePipeline({
      ...options,
      profiles: read.map((profile) => ({ ...profile, to: targets.get(profile.name) })),
    });
    process.stdout.write(json === true ? `${JSON.stringify(made, null, 2)}\n` : toYaml(made));
    return 0;
  } catch (error) {
    return reportFailure(error);
  }
};
