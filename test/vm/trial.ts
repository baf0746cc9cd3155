/** The trial of 2cards before anything is baked of it: its plan, its rendered files and its base. */
import { join } from "node:path";
import { planAsked, readAsked } from "../../src/commands/planned.ts";
import type { NodePlan } from "../../src/plan/node-plan.ts";
import type { Profile } from "../../src/profile/schema.ts";
import type { Templates } from "../../src/render/templates.ts";
import type { Rendered } from "../../src/render/tree.ts";
import { Store } from "../../src/store/store.ts";
import { cache, testHost } from "./golden-image.ts";

export interface PlannedTrial {
  readonly plan: NodePlan;
  readonly templates: Templates;
  readonly rendered: Rendered;
  readonly bakeId: string;
  /** The stand-in base, a qcow2 file in the store. */
  readonly base: string;
}

/**
 * Plans and renders as `bake image --profile 2cards --trial` does; prepare.ts has made its artifacts and its base.
 * @param edit What is another in the profile, behind a trial's replacements.
 */
export const planTrial = async (edit: (profile: Profile) => Profile = (same) => same): Promise<PlannedTrial> => {
  const asked = await readAsked({ profile: "2cards", trial: true });
  if (asked === undefined) throw new Error("the profile 2cards has problems");
  const store = new Store(join(cache, "store"));
  const { plan, templates, ...rendered } = await planAsked(
    testHost(),
    store,
    { ...asked, profile: edit(asked.profile) },
    "qemu",
  );
  const { bakeId } = rendered;
  if (bakeId === undefined || plan.base === undefined) throw new Error("a trial has a bake id and a base");
  return { plan, templates, rendered, bakeId, base: store.path(plan.base.sha256) };
};
