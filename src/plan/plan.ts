/** Profile (and lock, when there is one) → NodePlan: the pure value that says what a node is. Everything else renders or checks it. */
import { createHash } from "node:crypto";
import { compareArtifacts } from "../artifact.ts";
import { formatLock, lockedFor, type Lock } from "../lock/lock.ts";
import { fileName, withLockedVersions } from "../lock/requirements.ts";
import type { Profile } from "../profile/schema.ts";
import { planAgents } from "./agents.ts";
import { planBuilders } from "./builders.ts";
import { planChecks } from "./checks.ts";
import { planDocker } from "./docker.ts";
import { planImages } from "./images.ts";
import { planNetwork } from "./network.ts";
import type { NodePlan } from "./node-plan.ts";
import { planPackages } from "./packages.ts";
import { planStorage } from "./storage.ts";
import { planTarget, type TargetName } from "./target.ts";

/** Units that bake writes and enables, in boot order. */
const units = [
  "bake-first-boot.service",
  "bake-storage.service",
  "bake-identity.service",
  "containerd.service",
  "docker.socket",
  "docker.service",
  "bake-images.service",
  "bake-builders.service",
  "bake-first-boot-done.service",
  "bake-ready.service",
  "bake-metadata.service",
  "buildkite-agent.service",
  "bake-health.timer",
  "bake-health.service",
] as const;

/** Started by its timer. */
const startedByOthers: readonly string[] = ["bake-health.service"];

export interface PlanInput {
  /** Name of the profile: `2cards`. */
  readonly name: string;
  readonly profile: Profile;
  readonly lock?: Lock;
  readonly trial?: boolean;
  /** Without it the first that the profile has. */
  readonly target?: TargetName;
}

export const planNode = ({ name, profile: asked, lock, trial = false, target: targetName }: PlanInput): NodePlan => {
  const target = planTarget(name, asked, targetName);
  const locked = lock === undefined ? undefined : lockedFor(lock, target.architecture);
  const profile = locked === undefined ? asked : withLockedVersions(asked, locked.artifacts);
  const agents = planAgents(profile);
  const parts = {
    profile: name,
    trial,
    target,
    storage: planStorage(profile),
    docker: planDocker(profile),
    buildx: { version: profile.buildx.version, plugin: "/root/.docker/cli-plugins/docker-buildx" },
    builders: planBuilders(
      profile,
      agents.each.map(({ builder }) => builder),
    ),
    agents,
    network: planNetwork(profile),
    packages: planPackages(profile),
    ssh: {
      operatorKeys: profile.ssh.operatorKeys,
      nodeKey: profile.secrets.nodeKey === undefined ? profile.ssh.nodeKey : ("delivered" as const),
    },
    // The stand-in base of a trial is a Debian (guide row G1 names the others).
    systems: trial ? ["debian"] : ["euleros", "openEuler"],
    healthInterval: profile.checks.interval,
    // Time for a crash dump, where one is set up, and for the console's last words.
    panicReboot: 10,
    images: planImages(profile, locked?.artifacts),
    goss: { version: profile.checks.gossVersion, binary: "/opt/bake/bin/goss" },
    units,
    enabledUnits: units.filter((unit) => !startedByOthers.includes(unit)),
    files: profile.files.map(({ path, mode }) => ({ name: fileName(path), path, mode })),
    ...(lock !== undefined &&
      locked !== undefined && {
        ...(locked.base !== undefined && { base: locked.base }),
        artifacts: locked.artifacts.toSorted(compareArtifacts),
        lockDigest: createHash("sha256").update(formatLock(lock)).digest("base64url"),
      }),
  };
  return { ...parts, checks: planChecks(parts) };
};
