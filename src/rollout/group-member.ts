/** One step of one member of an AS group that is to go. Pure. */
import type { GroupFacts } from "./group-facts.ts";
import { agentsOf } from "./look.ts";
import {
  heldByOther,
  idleFor,
  isTakenOver,
  mostChanges,
  type Seen,
  type Step,
  stepDraining,
  stepPlanned,
  to,
} from "./node-step.ts";
import type { NodeRecord } from "./state.ts";

const wait: Step = { events: [], actions: [] };

type Context = Seen & { readonly facts: GroupFacts };

/** What became of a removal. */
const stepChanging = (record: NodeRecord, { state, look, now, facts }: Context): Step => {
  const member = facts.all.get(record.plan.id);
  const waited = look.at - record.since;
  if (waited >= state.settings.changeTimeout * 1000)
    return to(record, now, "change-failed", `AS has not taken it out in ${Math.round(waited / 1000)} s`);
  if (member?.state !== "in service" || look.group?.seen.isScaling === true || waited < idleFor) return wait;
  return record.changes >= mostChanges
    ? to(record, now, "change-failed", `AS took none of ${record.changes} removals`)
    : to(record, now, "drained", "nobody knows whether the removal was taken, and AS does nothing to the member");
};

/** What a member that is to go does next; when it goes is decided for the wave. */
export const stepMember = (record: NodeRecord, context: Context): Step => {
  const { state, look, now, facts } = context;
  if (record.state === "ready" || record.state === "unlocked" || look.at <= record.actedAt) return wait;
  // Taken out by this rollout, by a person, or by AS: others are in its place either way.
  if (look.group !== undefined && !facts.all.has(record.plan.id)) return to(record, now, "ready");
  const seen = look.nodes.get(record.plan.id);
  const closing = state.closing?.kind;
  if (record.state === "planned") return closing === undefined ? stepPlanned(record, seen, context) : wait;
  const other = seen?.heldBy;
  if (other !== undefined && other !== state.begun.rollout && !isTakenOver(state, other))
    return record.state === "changing" ? stepChanging(record, context) : heldByOther(record, other);
  if (record.state === "changing") return stepChanging(record, context);
  if (closing !== undefined && closing !== "stop") return wait;
  if (record.state === "draining") return stepDraining(record, context);
  // One of its agents registered again.
  return record.state === "drained" && agentsOf(look, record.plan.hostname).length > 0
    ? to(record, now, "draining")
    : wait;
};
