/** The part of a job that checks out, as CI's jobs do first, and what became of it. Pure. */
import type { NodePlan } from "../../plan/node-plan.ts";
import type { JobSpec } from "../agent-api/jobs.ts";
import { milestone } from "../ci-job.ts";
import { type CheckResult, fromOutside } from "../results.ts";
import { checkoutCommit } from "./repository.ts";
import { type CheckoutSource, checkoutEnvironment, checkoutUrls } from "./source.ts";

/** @param host What the node calls this host. */
export const checkoutJob = (
  plan: NodePlan,
  source: Pick<CheckoutSource, "port">,
  host: string,
): Pick<JobSpec, "checkout" | "env"> => ({
  checkout: { repository: checkoutUrls(plan).named, commit: checkoutCommit },
  env: checkoutEnvironment(source, host),
});

/**
 * Whether the agent's own checkout went through the node's git rule.
 * @param seen `boot` is the end of a sentence, such as "after a reboot"; `name` is the boot's in the id.
 */
export const checkoutResult = (
  plan: NodePlan,
  seen: {
    readonly log: string;
    readonly source: Pick<CheckoutSource, "elsewhere">;
    readonly name: string;
    readonly boot: string;
  },
): CheckResult => {
  const done = seen.log.split("\n").some((line) => line.trimEnd() === milestone("checked-out"));
  const { named, rewritten } = checkoutUrls(plan);
  const asked = seen.source.elsewhere();
  return fromOutside(
    `vm-checkout-${seen.name}`,
    [plan.facts.gitProxy === undefined ? "G2" : "G13"],
    `an agent checked out ${named}${named === rewritten ? "" : " through the rule of the git proxy"}, ${seen.boot}`,
    done
      ? []
      : [
          asked.length === 0
            ? "the checkout failed: the job's log says why"
            : `git asked for ${asked.join(", ")}, expected ${rewritten}`,
        ],
  );
};
