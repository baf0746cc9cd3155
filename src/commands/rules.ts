/** All rules: of values that stand against each other, of each concern, of the targets, and of what the lock is to hold. */
import { pinnable } from "../lock/requirements.ts";
import { concerns } from "../node/index.ts";
import { rulesAcross } from "../profile/rules/index.ts";
import { pinsRule } from "../profile/rules/pins.ts";
import type { Rule } from "../profile/rules/rule.ts";
import { architecture } from "../targets/architecture-rule.ts";
import { targets } from "../targets/targets-rule.ts";

/** Their order does not matter: diagnostics are sorted by place. */
export const rules: readonly Rule[] = [
  ...rulesAcross,
  ...concerns.flatMap((concern) => concern.rules ?? []),
  targets,
  architecture,
  pinsRule(pinnable),
];
