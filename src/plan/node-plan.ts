/** What a node is, as one pure value: the merge of what its concerns contribute. */
import type { Artifact, Base } from "../artifact.ts";
import type { Check } from "../node/check.ts";
import type {
  Consequence,
  Directory,
  Install,
  KernelSetting,
  LoginKey,
  NodeFile,
  Package,
  Page,
  PlannedDestination,
  ProvisionFile,
  Script,
  Unit,
  UserDataFile,
} from "../node/concern.ts";
import type { Facts } from "../node/facts.ts";
import type { TargetPlan } from "../node/target.ts";

export interface NodePlan {
  /** Its name: `2cards`. */
  readonly profile: string;
  /** A trial replaces sources and versions; its output says so everywhere. */
  readonly trial: boolean;
  /** First line of every file that is rendered, without a comment sign. */
  readonly header: string;
  readonly target: TargetPlan;
  readonly facts: Facts;
  readonly files: readonly NodeFile[];
  readonly provision: readonly ProvisionFile[];
  readonly directories: readonly Directory[];
  /** In the order in which they start. */
  readonly units: readonly Unit[];
  readonly scripts: readonly Script[];
  readonly packages: readonly Package[];
  readonly kernelSettings: readonly KernelSetting[];
  /** In the order of what depends on what, so that the first failure is the one to look at. */
  readonly checks: readonly Check[];
  /** Each host, port and time once. */
  readonly destinations: readonly PlannedDestination[];
  readonly installs: readonly Install[];
  readonly userData: readonly UserDataFile[];
  readonly loginKeys: readonly LoginKey[];
  readonly explain: readonly Consequence[];
  readonly page: Required<Page>;
  /** What is left out while there is no lock. */
  readonly needsLock: readonly { readonly what: string; readonly order?: number }[];
  /** From the lock; absent without one. */
  readonly base?: Base;
  readonly artifacts?: readonly Exclude<Artifact, Base>[];
  /** sha256 of the lock, base64url: fits into a tag. */
  readonly lockDigest?: string;
}
