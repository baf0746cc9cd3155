/** What a node is, as one pure value. */
import type { Architecture, Artifact, Lock } from "../lock/lock.ts";
import type { AgentPlan } from "./agents.ts";
import type { Check } from "./check.ts";
import type { DockerPlan } from "./docker.ts";
import type { ImagePlan } from "./images.ts";
import type { NetworkPlan } from "./network.ts";
import type { StoragePlan } from "./storage.ts";

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
