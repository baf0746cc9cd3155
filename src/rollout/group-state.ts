/** What the journal says of the AS group of a rollout. Pure; what is given is changed. */
import type { Outcome, PlannedGroup } from "./journal-events.ts";

export interface GroupRecord {
  /** What new members are made from, once it is there. */
  configuration: string | undefined;
  /** As of a node: an older look says nothing of it. */
  actedAt: number;
  /** Calls in a row that came to nothing. */
  troubles: number;
  /** What the last of them was. */
  trouble: string | undefined;
  /** New members that are not waited for. */
  aside: readonly string[];
  /** Since when nothing could be done, and for want of what. */
  waits: { readonly at: number; readonly until: string } | undefined;
}

/** What is known of a group before anything was called. Pure. */
export const beginGroup = ({ configuration }: PlannedGroup): GroupRecord => ({
  configuration,
  actedAt: 0,
  troubles: 0,
  trouble: undefined,
  aside: [],
  waits: undefined,
});

/** A person goes on: what came to nothing is tried again, what was waited for is waited for again. */
export const resumeGroup = (group: GroupRecord | undefined): void => {
  if (group !== undefined) [group.troubles, group.waits, group.aside] = [0, undefined, []];
};

interface Answer {
  readonly at: number;
  readonly outcome: Outcome;
  readonly error?: string | undefined;
  readonly configuration?: string | undefined;
}

/** What a call for the group, or for a member that is no node of the plan, came to. */
export const answerGroup = (group: GroupRecord | undefined, { at, outcome, error, configuration }: Answer): void => {
  if (group === undefined) return;
  const isDone = outcome === "ok";
  group.actedAt = at;
  group.troubles = isDone ? 0 : group.troubles + 1;
  group.trouble = isDone ? undefined : error;
  if (configuration !== undefined) group.configuration = configuration;
};
