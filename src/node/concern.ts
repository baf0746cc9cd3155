/**
 * A concern of a node is a module: what it takes from the profile and all that it adds to a node, in one place. The plan is the
 * merge of what concerns contribute (src/plan/), in the order of index.ts; whatever is rendered is rendered from that merge and
 * knows no concern by name.
 */
import type { Architecture, Artifact, Locked } from "../artifact.ts";
import type { Rule } from "../profile/rules/rule.ts";
import type { Profile } from "../profile/schema.ts";
import type { ProfilePath } from "../profile/source.ts";
import type { Check } from "./check.ts";
import type { Facts } from "./facts.ts";
import type { Requirement } from "./requirement.ts";
import type { TargetPlan } from "./target.ts";

/**
 * Where something stands among its like: lower first, things of the same order as their concerns stand in index.ts. Only what
 * is read in an order has one: units start in theirs, files lie in the archive of the node in theirs.
 */
export interface Ordered {
  /** Default 500. */
  readonly order?: number;
}

/**
 * When in a bake something is laid. A local bake keeps the disk as a layer behind each stage but the last, so a stage is made
 * anew when anything of it or before it changes (src/render/stages.ts). What a stage reads has to be of it, or of one before.
 */
export const stageNames = ["base", "runtime", "payload", "node"] as const;
export type StageName = (typeof stageNames)[number];

/** What belongs to a stage. */
interface Staged {
  /** Default `node`, the last. */
  readonly stage?: Exclude<StageName, "node">;
}

export interface NodeFile extends Ordered, Staged {
  /** On the node. */
  readonly path: string;
  /** Default `0644`. */
  readonly mode?: string;
  /** A function where the bake id stands in it; that is undefined without a lock. Called more than once: it must be pure. */
  readonly content: string | ((bakeId: string | undefined) => string);
  /** What makes bytes of it, where they are no text: `latin1`, a character a byte. */
  readonly encoding?: "latin1";
  /** Only there once a bake has an id: with a lock. */
  readonly ofBake?: true;
  /** Not laid on a host with a stock image. */
  readonly bakeOnly?: true;
}

/** A list or a text that provision.sh reads while the image is made; it does not stay on the node. */
export interface ProvisionFile extends Staged {
  /** Name below provision/. */
  readonly name: string;
  readonly content: string;
}

export interface Directory extends Ordered {
  readonly path: string;
  /** Default `0755`. */
  readonly mode?: string;
}

export interface Unit extends Ordered, Staged {
  /** A template of this name lies in templates/systemd/. */
  readonly name: string;
  /** Values of that template, besides `header`. */
  readonly values?: Readonly<Record<string, string | number | boolean>>;
  /** Another unit starts it: it is not enabled. */
  readonly startedByOthers?: true;
}

export interface Script extends Ordered, Staged {
  /** Of templates/node/; on the node it lies in /opt/bake/bin. */
  readonly name: string;
}

/** A package of the distribution, by the names of both families; absent where a family has none. */
export interface Package extends Ordered {
  readonly action: "install" | "remove" | "hold";
  readonly apt?: string;
  readonly dnf?: string;
  /** Paths of the profile that it follows from. */
  readonly because?: readonly string[];
}

/**
 * Where kernel settings lie: after the name under which most systems link /etc/sysctl.conf, 99-sysctl.conf, since the last file
 * wins. provision.sh keeps that file itself from saying otherwise.
 */
export const kernelSettingsFile = "/etc/sysctl.d/99-zz-bake.conf";

/** A line of sysctl.d. */
export interface KernelSetting {
  readonly name: string;
  readonly value: string | number;
}

/** Whom a node, its jobs or its bake talks to. */
export interface Destination extends Ordered {
  readonly host: string;
  readonly port: number;
  /** Default `tcp`. */
  readonly protocol?: "tcp" | "udp";
  readonly why: string;
  /** `node`: while it serves. `bake`: while the image is made. `job`: by what CI runs on it. */
  readonly when: "node" | "bake" | "job";
  /** Its concern has a check of its own that asks more of it. */
  readonly checked?: true;
}

/** What one node gets at deploy time. */
export interface Instance {
  /** Absent: a placeholder stands in its place. The same goes for the other secrets that the profile names. */
  readonly agentToken?: string;
  readonly gitToken?: string;
  /** `user:password` */
  readonly proxyCredentials?: string;
  /** A private key, as ssh-keygen writes it. */
  readonly nodeKey?: string;
  readonly authorizedKeys: readonly string[];
  /** Goes to /etc/bake/instance.env: agent settings of this node alone. */
  readonly environment: Readonly<Record<string, string>>;
  /** Instead of the name that the cloud gives; without a domain. */
  readonly hostname?: string;
}

/** A file that comes with user-data, of mode 0600: a secret, or a placeholder for one. */
export interface UserDataFile extends Ordered {
  readonly path: string;
  /** Where the profile asks for it. */
  readonly origin: ProfilePath;
  /** Undefined where this node is to get no such file. */
  readonly content: (instance: Instance) => string | undefined;
}

/** A public key that may log in as root. */
export interface LoginKey {
  readonly key: string;
  readonly origin: ProfilePath;
}

/** Bytes of a locked artifact, and what provision.sh does with them. */
export interface Install extends Staged {
  readonly artifact: Artifact;
  /** Kind, name, sha256, place and mode; `-` where provision.sh knows the place itself. */
  readonly rows: readonly (readonly [kind: string, name: string, sha256: string, path: string, mode: string])[];
}

/** What follows from a profile without being written in it: `validate --explain` tells it. */
export interface Consequence extends Ordered {
  readonly what: string;
  readonly value: string;
  /** Paths of the profile that it follows from. */
  readonly because: readonly string[];
}

/** Parts of node.md, in Markdown. */
export interface Page {
  /** Rows of the table at its head: label and text. */
  readonly summary?: readonly (Ordered & { readonly label: string; readonly text: string })[];
  /** Steps of the way from power-on to the first job; `beside`: the next one does not wait for it. */
  readonly chain?: readonly (Ordered & { readonly text: string; readonly beside?: true })[];
  /** Bullets of the section Boot. */
  readonly boot?: readonly (Ordered & { readonly text: string })[];
  /** Whole sections, each with its heading, without an end of line; `reference`: a table to look things up in. */
  readonly sections?: readonly (Ordered & { readonly text: string; readonly reference?: true })[];
  /** Rows of the section "What is where". */
  readonly paths?: readonly (Ordered & { readonly paths: readonly string[]; readonly what: string })[];
}

/** Everything that a concern adds to a node; what it has nothing of is left out. */
export interface Contribution {
  readonly files?: readonly NodeFile[];
  readonly provision?: readonly ProvisionFile[];
  readonly directories?: readonly Directory[];
  readonly units?: readonly Unit[];
  readonly scripts?: readonly Script[];
  readonly packages?: readonly Package[];
  readonly kernelSettings?: readonly KernelSetting[];
  readonly checks?: readonly Check[];
  readonly destinations?: readonly Destination[];
  readonly installs?: readonly Install[];
  readonly userData?: readonly UserDataFile[];
  readonly loginKeys?: readonly LoginKey[];
  readonly explain?: readonly Consequence[];
  readonly page?: Page;
  /** What is added only once there is a lock: named when there is none. */
  readonly needsLock?: readonly (Ordered & { readonly what: string })[];
}

export interface ConcernInput {
  /** Name of the profile: `2cards`. */
  readonly name: string;
  /** With the exact versions of the lock, where there is one. */
  readonly profile: Profile;
  readonly facts: Facts;
  readonly target: TargetPlan;
  readonly locked?: Locked;
  /** Sources and versions are stand-ins. */
  readonly trial: boolean;
  /** First line of what is rendered, without a comment sign. */
  readonly header: string;
}

export interface Concern {
  readonly name: string;
  /** What a person who knows the field would see in its settings. */
  readonly rules?: readonly Rule[];
  /** Pure. */
  readonly contribute: (input: ConcernInput) => Contribution;
  /** Artifacts that a node of this architecture needs; those without an architecture are the same for all. Pure. */
  readonly requirements?: (profile: Profile, architecture: Architecture) => readonly Requirement[];
  /** Checks of all that the node itself talks to, whoever contributed it; they follow the concern's own. Pure. */
  readonly checkDestinations?: (destinations: readonly PlannedDestination[]) => readonly Check[];
}

/** A destination in the plan. */
export interface PlannedDestination extends Omit<Destination, "order"> {
  readonly protocol: "tcp" | "udp";
  /** Absent: the node itself connects. */
  readonly through?: "proxy";
}
