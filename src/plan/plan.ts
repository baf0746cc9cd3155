/** Profile (and lock, when there is one) → NodePlan: the pure value that says what a node is. Everything else renders or checks it. */
import type { Artifact, Architecture, Lock } from "../lock/lock.ts";
import type { Profile } from "../profile/schema.ts";
import { type AgentPlan, planAgents } from "./agents.ts";
import { type Check, planChecks } from "./checks.ts";
import { type DockerPlan, planDocker } from "./docker.ts";
import { type ImagePlan, planImages } from "./images.ts";
import { type NetworkPlan, planNetwork } from "./network.ts";
import { planStorage, type StoragePlan } from "./storage.ts";

export interface NodePlan {
  readonly profile: string;
  /** A trial replaces sources and versions; its output says so everywhere. */
  readonly trial: boolean;
  readonly target: {
    readonly name: "qemu";
    readonly architecture: Architecture;
    readonly memory: number;
    readonly cpus: number;
    readonly diskSize: number;
  };
  readonly storage: StoragePlan;
  readonly docker: DockerPlan;
  readonly buildx: { readonly version: string; readonly plugin: string };
  readonly builders: { readonly image: string; readonly names: readonly string[] };
  readonly agents: AgentPlan;
  readonly network: NetworkPlan;
  readonly images: readonly ImagePlan[];
  readonly goss: { readonly version: string; readonly binary: string };
  readonly checks: readonly Check[];
  /** Units in boot order (design: disk → seed → containerd → Docker → images → builders → ready → agent). */
  readonly units: readonly string[];
  /** From the lock; absent without one. */
  readonly base?: Lock["base"];
  readonly artifacts?: readonly Artifact[];
}

/** Units that bake writes and enables, in boot order. */
const units = [
  "bake-storage.service",
  "containerd.service",
  "docker.socket",
  "docker.service",
  "bake-images.service",
  "bake-builders.service",
  "bake-ready.service",
  "buildkite-agent.service",
] as const;

export interface PlanInput {
  /** Name of the profile: `2cards`. */
  readonly name: string;
  readonly profile: Profile;
  readonly lock?: Lock;
  readonly trial?: boolean;
}

export const planNode = ({ name, profile, lock, trial = false }: PlanInput): NodePlan => {
  const agents = planAgents(profile);
  const parts = {
    profile: name,
    trial,
    target: {
      name: "qemu" as const,
      architecture: profile.targets.qemu.architecture,
      memory: profile.targets.qemu.memory,
      cpus: profile.targets.qemu.cpus,
      diskSize: profile.targets.qemu.diskSize,
    },
    storage: planStorage(profile),
    docker: planDocker(profile),
    buildx: { version: profile.buildx.version, plugin: "/root/.docker/cli-plugins/docker-buildx" },
    builders: { image: profile.builders.image, names: agents.each.map(({ builder }) => builder) },
    agents,
    network: planNetwork(profile),
    images: planImages(profile, lock),
    goss: { version: profile.checks.gossVersion, binary: "/opt/bake/bin/goss" },
    units,
    ...(lock !== undefined && {
      base: lock.base,
      artifacts: lock.artifacts.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    }),
  };
  return { ...parts, checks: planChecks(parts) };
};
