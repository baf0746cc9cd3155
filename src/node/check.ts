/** One assertion about a node: what it proves, whether jobs wait for it, and how goss looks. */

/** A goss resource: `[type, id, attributes]`. */
export type GossResource = readonly [type: string, id: string, attributes: Readonly<Record<string, unknown>>];

/**
 * What bake-repair does about a failed check on a running node, by name. `by`: who brings it back. `until`: what the node does
 * until then. Tests hold that templates/node/bake-repair knows each.
 */
export const repairs = {
  docker: { by: "bake-repair starts a Docker that failed", until: "the agents stop after their jobs" },
  images: { by: "bake-images, as at the first boot", until: "jobs go on" },
  builders: { by: "bake-builders; caches stay", until: "jobs go on" },
  models: { by: "bake-models, from the mirror; views are mounted again", until: "jobs go on" },
  identity: { by: "bake-identity, from the copy on the data disk", until: "jobs go on" },
  group: { by: "bake-repair makes the group", until: "jobs go on" },
  forwarding: { by: "bake-repair sets it", until: "jobs go on" },
  zone: { by: "bake-repair puts Docker's bridges into a zone that accepts", until: "jobs go on" },
  "git-rule": { by: "bake-repair, from the copy in the image", until: "jobs go on" },
  buildx: { by: "bake-repair gives the plugin back to root alone", until: "jobs go on" },
  network: {
    by: "bake-repair restarts Docker once no agent runs: a restart cuts off the `docker run` of jobs",
    until: "the agents stop after their jobs",
  },
  room: {
    by: "bake-garbage, by the limits of storage.garbageCollection",
    until: "the agents stop after their jobs",
  },
} as const satisfies Readonly<Record<string, { readonly by: string; readonly until: string }>>;
type Repair = keyof typeof repairs;

export const checkLevels = ["gating", "npu", "advisory", "site"] as const;
export type CheckLevel = (typeof checkLevels)[number];

export interface Check {
  readonly id: string;
  /** Guide rows. */
  readonly rows: readonly string[];
  readonly title: string;
  /**
   * `gating`: the node takes no jobs without it. `npu`: gating, but a VM has none. `advisory`: reported only. `site`:
   * advisory, about the site's services, which a VM elsewhere does not reach.
   */
  readonly level: CheckLevel;
  /** Can change at any moment: each look of the health timer asks it. All others that jobs wait for are asked by each tenth. */
  readonly live?: boolean;
  /** Who brings it back on a running node. Absent: a person, as `help` says; the agents stop after their jobs until then. */
  readonly repair?: Repair;
  /** What to do when it fails. */
  readonly help?: string;
  readonly resource: GossResource;
  /** How a host that was set up by hand, from the guide, is asked instead: there bake's own settings are not. */
  readonly byHand?: { readonly title: string; readonly help: string; readonly resource: GossResource };
}
