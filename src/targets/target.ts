/** What a target means: how the profile's settings become its plan, and what of rendering differs by it. */
import type { Base } from "../artifact.ts";
import type { Concern } from "../node/concern.ts";
import type { TargetPlan } from "../node/target.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import type { Profile } from "../profile/schema.ts";

export interface Target<P extends TargetPlan> {
  /** Undefined when the profile does not have this target. Pure. */
  readonly plan: (profileName: string, profile: Profile) => P | undefined;
  /** What it adds to a node, and the base that it needs. */
  readonly concern: Concern;
  /** What the image is made from, as a part of the bake id. */
  readonly source: (plan: P, base: Base | undefined) => string;
  /** What the disk of the build follows from, besides that; undefined where no layers are kept. */
  readonly disk: (plan: P) => string | undefined;
  /** Whether the lock holds what it bakes from: without that there is no bake id. */
  readonly needsBase: boolean;
  /** Packer's template, below packer/ without `.hbs`. */
  readonly template: string;
  /** Values of that template, besides `header`. */
  readonly templateValues: (plan: P, node: NodePlan, bakeId: string | undefined) => object;
  /** Public keys of the build, or what stands for them; none where the place itself brings the key. */
  readonly buildKeys: readonly string[];
  /** Memory and processors of a VM that such an image is booted in. */
  readonly vmSize: (plan: P) => { readonly memoryMiB: number; readonly cpus: number };
  /** What the image is made from, for provenance; undefined where it is the base of the lock. */
  readonly dependency: (plan: P) => { readonly name: string; readonly uri: string } | undefined;
}
