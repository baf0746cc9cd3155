/** Two profiles of a site, as docs/pipeline.md shows their pipeline. */
import { makePipeline, type PipelineFile, type PipelineOptions } from "../../src/buildkite/pipeline.ts";
import { readTargets } from "../../src/buildkite/pipeline-targets.ts";

const profile = (name: string, architecture: string, bakeId: string) => ({
  name,
  file: name,
  record: `out/${name}-huaweicloud/image.json`,
  architecture,
  bakeId,
  queue: "ascend",
});

export const exampleProfiles = [
  profile("2cards", "aarch64", "hU3vK2xq0Yb7sN1dPzRj4mWcT8eLfQoA9gXi6yVtB5E"),
  profile("8cards", "aarch64", "Qm4tZ8wLc1RfKx7nVb2yJg5sHd0pTe9uAi3oXq6ErYM"),
];

export const exampleTargets = [
  "2cards:bake-profile=2cards",
  "8cards:npu-0001,npu-0002,npu-0003,npu-0004,npu-0005,npu-0006",
];

/** @param options Besides the example's. */
export const examplePipeline = (
  options: Partial<PipelineOptions> = {},
  to: readonly string[] = exampleTargets,
): PipelineFile => {
  const profiles = options.profiles ?? exampleProfiles.map((each) => ({ ...each, to: undefined }));
  const targets = readTargets(
    to,
    profiles.map(({ name }) => name),
  );
  return makePipeline({
    queue: "images",
    flavor: "kat1.8xlarge.8",
    wave: 3,
    soak: 10,
    ...options,
    profiles: profiles.map((each) => ({ ...each, to: targets.get(each.name) })),
  });
};
