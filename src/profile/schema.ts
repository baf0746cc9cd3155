/**
 * The shape of a profile: its sections, each with a file of its own in schema/. There alone stand types, defaults and their
 * descriptions.
 */
import * as z from "zod";
import { Agents } from "./schema/agents.ts";
import { Cache, File, Image, Model, Pin } from "./schema/artifacts.ts";
import { Builders } from "./schema/builders.ts";
import { Checks } from "./schema/checks.ts";
import { Buildx, Docker } from "./schema/docker.ts";
import { Network } from "./schema/network.ts";
import { Rollout } from "./schema/rollout.ts";
import { Secrets } from "./schema/secrets.ts";
import { Sources } from "./schema/sources.ts";
import { Ssh } from "./schema/ssh.ts";
import { Storage } from "./schema/storage.ts";
import { Targets } from "./schema/targets.ts";

export type { Rollout } from "./schema/rollout.ts";
export { hubOf } from "./schema/artifacts.ts";
export { isPublicKey } from "./schema/ssh.ts";
export { type TargetName, targetNames } from "./schema/targets.ts";

/** All of it. The order of sections is the order in which everything tells of them. */
export const Profile = z.strictObject({
  agents: Agents.describe("The Buildkite agents of the node."),
  docker: Docker.describe("The Docker engine of the node."),
  buildx: Buildx.describe("The build plugin of Docker's command line."),
  builders: Builders.describe("The BuildKit builders of the agents."),
  storage: Storage.describe("The data disk."),
  network: Network.prefault({}).describe("What the node reaches by way of what, and what it must not reach."),
  ssh: Ssh.prefault({}).describe("Who may log in, and the node's own key pair."),
  images: z
    .array(Image)
    .prefault([])
    .describe(
      "Images that are in Docker's store before the first job. One that is too large for the golden image has from: mirror.",
    ),
  models: z
    .array(Model)
    .default([])
    .describe(
      "Models that are on the data disk before the first job, each once; every agent sees them in a folder that its jobs may write to.",
    ),
  caches: z
    .array(Cache)
    .default([])
    .describe("Build caches that each agent's builds find before the first job, each blob once on the data disk."),
  files: z.array(File).default([]).describe("Further files of the node: from this machine, or by URL."),
  pins: z
    .record(z.string().min(1), Pin)
    .default({})
    .describe(
      "Why a version stays, by the name of the artifact: docker, buildx, buildkite-agent, goss, an image, a model, a build cache.",
    ),
  sources: Sources.prefault({}).describe("Where artifacts are asked for when the lock is made."),
  checks: Checks.prefault({}).describe("How the node is checked."),
  rollout: Rollout.prefault({}).describe("How nodes are brought to an image, in waves. Nothing of it is in the image."),
  secrets: Secrets.describe("Where secrets come from; never their values."),
  targets: Targets.describe("Where the image is baked; at least one."),
});
export type Profile = z.infer<typeof Profile> & {
  /** Bytes of the files of this machine that it names, by their paths: read with it (local-files.ts). */
  readonly localFiles?: ReadonlyMap<string, Uint8Array>;
};
