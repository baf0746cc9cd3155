/** What a rollout asks of the world, and does in it: the cloud that holds the nodes, and Buildkite, which knows their agents. */
import type { JobState } from "../huaweicloud/change-os.ts";

/** How a node gets another image: each kind has an API of its own. */
export const moverKinds = ["ecs", "as", "lite-server", "bms"] as const;
export type MoverKind = (typeof moverKinds)[number];

/** A node as the cloud shows it. */
export interface SeenNode {
  /** The server's ID. */
  readonly id: string;
  readonly name: string;
  /** As its agents say it: the first label, in small letters. */
  readonly hostname: string;
  readonly kind: MoverKind;
  /** The ID of the image that its system disk was made from; undefined where the cloud does not say it. */
  readonly image: string | undefined;
  readonly power: "active" | "building" | "stopped" | "error" | "unknown";
  /** What the cloud is doing to it right now (`task_state`); undefined when it is left alone. */
  readonly task: string | undefined;
  /** None where the service's are not known. */
  readonly tags: Readonly<Record<string, string>>;
  /** Value of its tag `bake-rollout`: the rollout that holds it. */
  readonly heldBy: string | undefined;
  /** The AS group that it is a member of: it must never be given another OS. */
  readonly group: { readonly id: string; readonly name: string } | undefined;
}

/** A new system for a node. */
interface WantedSystem {
  /** ID of the image. */
  readonly image: string;
  /** Plain; undefined to leave it as it is. Secret: in no journal, message or command line. */
  readonly userData: string | undefined;
}

/** Nodes of one kind. All calls throw CloudError, or the signal's reason. */
export interface Mover {
  readonly kind: MoverKind;
  /** All nodes of this kind in the project, by two list calls at most for a thousand nodes. */
  readonly look: () => Promise<readonly SeenNode[]>;
  /** Writes the tag `bake-rollout`. Done twice it is as if done once. */
  readonly hold: (node: string, rollout: string) => Promise<void>;
  /** Takes that tag off. Done twice it is as if done once. */
  readonly release: (node: string, rollout: string) => Promise<void>;
  /**
   * Sends the change of system, once: it has no client token, so it is never sent again without a look.
   * @returns the cloud's job, where there is one.
   */
  readonly change: (node: string, system: WantedSystem) => Promise<{ readonly job: string | undefined }>;
  /** What became of it; asked only when something takes too long or looks wrong. */
  readonly changeState: (node: string, job: string | undefined) => Promise<JobState>;
}

/** A member of an AS group. */
export interface SeenMember {
  /** The server's ID. */
  readonly id: string;
  /** The configuration that it was made from; undefined for one that was added by hand. */
  readonly configuration: string | undefined;
  readonly state: "coming" | "in service" | "leaving" | "standby" | "unknown";
  readonly health: "good" | "bad" | "starting";
  /** AS takes others first when the group shrinks by itself. */
  readonly isProtected: boolean;
}

/** How many members a group has: AS keeps `desired` of them. */
export interface GroupSizes {
  readonly min: number;
  readonly max: number;
  readonly desired: number;
}

/** An AS group as the cloud shows it. */
export interface SeenGroup {
  readonly id: string;
  readonly name: string;
  readonly sizes: GroupSizes;
  /** What new members are made from. */
  readonly configuration: string;
  /** It adds or removes members right now: it takes no change of them. */
  readonly isScaling: boolean;
  /** Paused by a person, it makes no members. */
  readonly isPaused: boolean;
  readonly members: readonly SeenMember[];
}

/** What scales a group by itself. */
export interface ScalingPolicy {
  readonly id: string;
  readonly name: string;
  readonly isOn: boolean;
}

/** One AS group. All calls throw CloudError or BakeError, or the signal's reason; a busy group is waited for. */
export interface ScalingGroup {
  readonly look: () => Promise<SeenGroup>;
  /**
   * A configuration as the group's own, with another system. It has a name of its own: done twice it is as if done once.
   * @returns its ID.
   */
  readonly configure: (system: WantedSystem, name: string) => Promise<string>;
  /** New members are made from it. */
  readonly use: (configuration: string) => Promise<void>;
  readonly resize: (sizes: GroupSizes) => Promise<void>;
  /** Members in service alone; the others, and those that have gone, are left out. */
  readonly protect: (members: readonly string[], isProtected: boolean) => Promise<void>;
  /** Takes members out and deletes their servers, and wants as many fewer. Ten at most; those that have gone are no mistake. */
  readonly remove: (members: readonly string[]) => Promise<void>;
  readonly policies: () => Promise<readonly ScalingPolicy[]>;
  readonly switchPolicies: (policies: readonly string[], on: boolean) => Promise<void>;
}

/** The agents of one organisation, as its client gives them. */
export type { BuildkiteAgents as Agents } from "../buildkite/client.ts";
export type { Agent as SeenAgent } from "../buildkite/agent.ts";
