/** Plans and renderings for tests, through the same functions as the commands. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Base, ContainerImage, Model, Release } from "../src/artifact.ts";
import type { Lock } from "../src/lock/lock.ts";
import type { NodePlan } from "../src/plan/node-plan.ts";
import { planFor } from "../src/commands/plan.ts";
import { loadProfile } from "../src/profile/load.ts";
import { readLocalFile } from "../src/commands/local-file.ts";
import { rules } from "../src/commands/rules.ts";
import type { Profile } from "../src/profile/schema.ts";
import { renderTree, type Rendered, templateNames } from "../src/render/tree.ts";
import { type Templates } from "../src/render/templates.ts";
import { root } from "../src/host/root.ts";
import { substitute, trialVersions } from "../src/trial/substitutions.ts";

export const loadTemplates = (plan: NodePlan): Templates =>
  Object.fromEntries(templateNames(plan).map((name) => [name, readFileSync(join(root, name), "utf8")]));

export const readProfile = (path = join(root, "profiles/2cards.yaml")): Profile => {
  const read = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, "utf8") : undefined);
  const { profile, diagnostics } = loadProfile(read(path) ?? "", path, {
    rules,
    read,
    own: join(root, "profiles"),
    readLocal: readLocalFile,
  });
  if (profile === undefined) throw new Error(JSON.stringify(diagnostics, null, 2));
  return profile;
};

const architecture = "x86_64";
const release = (kind: Release["kind"], name: string, version: string, digit: string): Release => ({
  kind,
  name,
  architecture,
  version,
  asked: version,
  url: `http://trial.bake.invalid/${name}/${version}`,
  size: 1,
  sha256: digit.repeat(64),
  trust: "first-use",
});

const image = (name: string, digits: readonly string[]): ContainerImage => {
  const [manifest = "", config = "", ...layers] = digits.map((digit) => ({
    digest: `sha256:${digit.repeat(64)}`,
    size: 1,
    mediaType: "application/vnd.oci.image.layer.v1.tar",
  }));
  if (manifest === "" || config === "") throw new Error("an image has a manifest and a configuration");
  return {
    kind: "container-image",
    name,
    architecture,
    version: name.slice(name.lastIndexOf(":") + 1),
    asked: name,
    registry: "trial.bake.invalid",
    repository: name.slice(0, name.lastIndexOf(":")),
    tagDigest: manifest.digest,
    manifest,
    config,
    layers,
  };
};

const model = (hub: Model["hub"], name: string): Model => ({
  kind: "model",
  hub,
  name,
  version: "c".repeat(40),
  asked: hub === "modelscope" ? "master" : "main",
  // The two share a file.
  files: [
    { path: "config.json", digit: "9" },
    { path: "model.safetensors", digit: hub === "modelscope" ? "0" : "f" },
  ].map(({ path, digit }) => ({
    path,
    url: `http://trial.bake.invalid/${name}/${path}`,
    size: 1,
    sha256: digit.repeat(64),
    ...(hub === "modelscope" && { revision: "c".repeat(40) }),
  })),
});

export const trialBase: Base = {
  kind: "base",
  name: "stand-in",
  architecture,
  version: "stand-in",
  asked: "stand-in",
  url: "trial:made",
  size: 1,
  sha256: "b".repeat(64),
  trust: "first-use",
  format: "qcow2",
};

/** A made-up lock of the trial's artifacts: fixed digests, so that what is rendered from it never changes by itself. */
export const trialLock: Lock = {
  lockVersion: 1,
  profile: "2cards",
  artifacts: [
    trialBase,
    release("docker-static", "docker", trialVersions.docker, "1"),
    release("buildx", "buildx", trialVersions.buildx, "2"),
    release("buildkite-agent", "buildkite-agent", trialVersions.agent, "3"),
    release("goss", "goss", trialVersions.goss, "4"),
    // The two share a layer.
    image(trialVersions.buildkitImage, ["5", "6", "d", "e"]),
    image(trialVersions.smallImage, ["7", "8", "d"]),
    model("modelscope", trialVersions.modelscopeModel),
    model("huggingface", trialVersions.huggingfaceModel),
    {
      kind: "build-cache",
      name: trialVersions.buildCache,
      version: "a".repeat(12),
      asked: `caches/${trialVersions.buildCache}`,
      manifest: { digest: `sha256:${"a".repeat(64)}`, size: 1, mediaType: "application/vnd.oci.image.index.v1+json" },
      blobs: ["ab", "ac"].map((digits) => ({
        digest: `sha256:${digits.repeat(32)}`,
        size: 1,
        mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      })),
    },
  ],
};

export const trialPlan = (): NodePlan =>
  planFor({ name: "2cards", profile: substitute(readProfile()).profile, lock: trialLock, trial: true });

export const unlockedPlan = (): NodePlan => planFor({ name: "2cards", profile: readProfile() });

export const render = (plan: NodePlan): Rendered => renderTree(plan, loadTemplates(plan));
