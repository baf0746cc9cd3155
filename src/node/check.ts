/** One assertion about a node: what it proves, whether jobs wait for it, and how goss looks. */

/** A goss resource: `[type, id, attributes]`. */
export type GossResource = readonly [type: string, id: string, attributes: Readonly<Record<string, unknown>>];

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
  /** Can change while the node runs: the health timer looks again. */
  readonly live?: boolean;
  /** What to do when it fails. */
  readonly help?: string;
  readonly resource: GossResource;
  /** How a host that was set up by hand, from the guide, is asked instead: there bake's own settings are not. */
  readonly byHand?: { readonly title: string; readonly help: string; readonly resource: GossResource };
}
