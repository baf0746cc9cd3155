/** Every target by its name. What each of them does to bake is in src/bake/. */
import type { TargetPlan, TargetPlans } from "../node/target.ts";
import type { PlanInput } from "../plan/plan.ts";
import { type Profile, type TargetName, targetNames } from "../profile/schema.ts";
import { huaweicloud } from "./huaweicloud.ts";
import { qemu } from "./qemu.ts";
import type { Target } from "./target.ts";

const targets: { readonly [Name in TargetName]: Target<TargetPlans[Name]> } = { qemu, huaweicloud };

/** What the target of a plan means. */
export const targetOf = ({ name }: Pick<TargetPlan, "name">): Target<TargetPlan> =>
  // A plan goes with the target of its own name.
  targets[name] as unknown as Target<TargetPlan>;

/** Targets that the profile has, the local one first. */
export const targetsOf = ({ targets: settings }: Profile): TargetName[] =>
  targetNames.filter((name) => settings[name] !== undefined);

/**
 * The target as `planNode` takes it.
 * @param name Without it the profile's first.
 * @throws RangeError when the profile has no such target: rules see to it.
 */
export const planTarget = (
  profileName: string,
  profile: Profile,
  name: TargetName = targetsOf(profile)[0] ?? "qemu",
): PlanInput["target"] => {
  const target = targetOf({ name });
  const plan = target.plan(profileName, profile);
  if (plan === undefined) throw new RangeError(`the profile has no target ${name}`);
  return { plan, concern: target.concern };
};

/** The target of a plan, when it is of this name. Pure. @throws Error for a plan of another target. */
export const requireTarget = <Name extends TargetName>(
  { target }: { readonly target: TargetPlan },
  name: Name,
): TargetPlans[Name] => {
  if (target.name !== name) throw new Error(`a plan for ${target.name} where one for ${name} is meant`);
  // Plans are told apart by their names.
  return target as TargetPlans[Name];
};
