/** Plans and renderings for tests, through the same functions as the commands. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Lock } from "../src/lock/lock.ts";
import type { NodePlan } from "../src/plan/node-plan.ts";
import { planNode } from "../src/plan/plan.ts";
import { loadProfile } from "../src/profile/load.ts";
import type { Profile } from "../src/profile/schema.ts";
import { renderTree, type Rendered, templateNames, type Templates } from "../src/render/tree.ts";
import { root } from "../src/root.ts";
import { substitute, trialVersions } from "../src/trial/substitutions.ts";

const loadTemplates = (plan: NodePlan): Templates =>
  Object.fromEntries(templateNames(plan).map((name) => [name, readFileSync(join(root, name), "utf8")]));

export const readProfile = (path = join(root, "profiles/2cards.yaml")): Profile => {
  const read = (file: string): string => readFileSync(file, "utf8");
  const { profile, diagnostics } = loadProfile(read(path), path, read);
  if (profile === undefined) throw new Error(JSON.stringify(diagnostics, null, 2));
  return profile;
};

/** A made-up lock of the trial's artifacts: fixed digests, so that what is rendered from it never changes by itself. */
export const trialLock: Lock = {
  lockVersion: 1,
  profile: "2cards",
  architecture: "x86_64",
  base: { name: "stand-in", resolved: "trial", size: 1, sha256: "b".repeat(64) },
  artifacts: [
    {
      kind: "docker-static",
      name: "docker",
      version: trialVersions.docker,
      resolved: "trial",
      size: 1,
      sha256: "1".repeat(64),
    },
    {
      kind: "buildx",
      name: "buildx",
      version: trialVersions.buildx,
      resolved: "trial",
      size: 1,
      sha256: "2".repeat(64),
    },
    {
      kind: "buildkite-agent",
      name: "buildkite-agent",
      version: trialVersions.agent,
      resolved: "trial",
      size: 1,
      sha256: "3".repeat(64),
    },
    { kind: "goss", name: "goss", version: trialVersions.goss, resolved: "trial", size: 1, sha256: "4".repeat(64) },
    {
      kind: "container-image",
      name: trialVersions.buildkitImage,
      version: "v0.26.1",
      resolved: "trial",
      size: 1,
      sha256: "5".repeat(64),
      imageId: `sha256:${"6".repeat(64)}`,
    },
    {
      kind: "container-image",
      name: trialVersions.smallImage,
      version: "1",
      resolved: "trial",
      size: 1,
      sha256: "7".repeat(64),
      imageId: `sha256:${"8".repeat(64)}`,
    },
  ],
};

export const trialPlan = (): NodePlan =>
  planNode({ name: "2cards", profile: substitute(readProfile()).profile, lock: trialLock, trial: true });

export const unlockedPlan = (): NodePlan => planNode({ name: "2cards", profile: readProfile() });

export const render = (plan: NodePlan): Rendered => renderTree(plan, loadTemplates(plan));
