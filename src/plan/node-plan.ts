/** What a node is, as one pure value. */
import type { Artifact, Base } from "../artifact.ts";
import type { AgentPlan } from "./agents.ts";
import type { BuildersPlan } from "./builders.ts";
import type { Check } from "./check.ts";
import type { DockerPlan } from "./docker.ts";
import type { ImagePlan } from "./images.ts";
import type { NetworkPlan } from "./network.ts";
import type { PackagePlan } from "./packages.ts";
import type { StoragePlan } from "./storage.ts";
import type { HuaweiCloudTarget, QemuTarget } from "./target.ts";

export interface NodePlan {
  readonly profile: string;
  /** A trial replaces sources and versions; its output says so everywhere. */
  readonly trial: boolean;
  readonly target: QemuTarget | HuaweiCloudTarget;
  readonly storage: StoragePlan;
  readonly docker: DockerPlan;
  readonly buildx: { readonly version: string; readonly plugin: string };
  readonly builders: BuildersPlan;
  readonly agents: AgentPlan;
  readonly network: NetworkPlan;
  readonly packages: PackagePlan;
  readonly ssh: {
    readonly operatorKeys: readonly string[];
    /** How the node comes to its key pair; `delivered`: as a secret. */
    readonly nodeKey: "ed25519" | "rsa" | "none" | "delivered";
  };
  /** `ID=` in /etc/os-release. */
  readonly systems: readonly string[];
  /** Seconds between two looks at the node's health. */
  readonly healthInterval: number;
  /** Seconds after which a kernel that panicked starts again. */
  readonly panicReboot: number;
  readonly images: readonly ImagePlan[];
  readonly goss: { readonly version: string; readonly binary: string };
  readonly checks: readonly Check[];
  /** Units in boot order (design: disk → seed → containerd → Docker → images → builders → ready → agent). */
  readonly units: readonly string[];
  /** Those of them that nothing else starts. */
  readonly enabledUnits: readonly string[];
  /** From the lock; absent without one. */
  readonly base?: Base;
  readonly artifacts?: readonly Exclude<Artifact, Base>[];
  /** Further files by URL: where they lie on the node. */
  readonly files: readonly { readonly name: string; readonly path: string; readonly mode: string }[];
  /** sha256 of the lock, base64url: fits into a tag. */
  readonly lockDigest?: string;
}
