/** Profile and lock → plan, for one of the profile's targets. */
import { type Lock, lockedFor } from "../lock/lock.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { planNode } from "../plan/plan.ts";
import type { Profile, TargetName } from "../profile/schema.ts";
import { planTarget } from "../targets/index.ts";

/**
 * Pure.
 * @param target Without it the profile's first.
 * @throws RangeError as `planTarget` and `planNode`.
 */
export const planFor = ({
  name,
  profile,
  lock,
  trial = false,
  target: targetName,
}: {
  /** Name of the profile: `2cards`. */
  readonly name: string;
  readonly profile: Profile;
  readonly lock?: Lock | undefined;
  readonly trial?: boolean;
  readonly target?: TargetName | undefined;
}): NodePlan => {
  const target = planTarget(name, profile, targetName);
  return planNode({
    name,
    profile,
    target,
    trial,
    ...(lock !== undefined && { locked: lockedFor(lock, target.plan.architecture) }),
  });
};
