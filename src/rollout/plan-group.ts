/** What a rollout over an AS group has to know of it besides its members. Pure. */
import { BakeError } from "../errors.ts";
import type { PlannedGroup, PlannedNode } from "./journal-events.ts";
import type { LookedGroup } from "./look.ts";
import type { SeenMember } from "./ports.ts";

/** A group that is to be rolled out. */
export interface WantedGroup {
  readonly looked: LookedGroup;
  readonly to: string;
  /** A configuration of that image, where there is one. */
  readonly configuration?: string;
  readonly before: PlannedGroup["before"];
}

/** As it is now. @param image Of its configuration. */
export const groupNow = ({ seen, policies }: LookedGroup, image: string): PlannedGroup["before"] => ({
  configuration: seen.configuration,
  image,
  sizes: seen.sizes,
  policies: policies.filter(({ isOn }) => isOn).map(({ id }) => id),
  protected: seen.members.filter(({ isProtected }) => isProtected).map(({ id }) => id),
});

/** Members that can be replaced: the others are on their way in or out, or a person set them aside. */
export const replaceable = ({ seen }: LookedGroup): readonly SeenMember[] =>
  seen.members.filter(({ state }) => state === "in service");

/** What forbids it for the whole group. */
export const groupRefusals = ({ looked: { seen }, before }: WantedGroup): BakeError[] => {
  const refuse = (what: string, help: string): BakeError[] => [
    new BakeError("BK713", `the AS group ${seen.name} (${seen.id}) ${what}`, help),
  ];
  if (before.image === "")
    return refuse("has a configuration that names no image", "Give it one that does, by its image's ID.");
  if (seen.isPaused) return refuse("is paused: it makes no members", "Enable it in the console of AS.");
  // Whether AS counts them among the members that it is to have is not known (docs/rollout.md).
  if (seen.members.some(({ state }) => state === "standby"))
    return refuse("has members in standby", "Take them back into service, or out of the group.");
  return seen.isScaling
    ? refuse(
        "adds or removes members right now",
        "Try again when it has ended; its scaling actions are in the console.",
      )
    : [];
};

/**
 * @param nodes Members that go.
 * @param isRight Whether a member takes jobs from the image that is wanted.
 * @param spawn Agents of a node, where none has any.
 */
export const planGroup = (
  { looked: { seen }, to, configuration, before }: WantedGroup,
  nodes: readonly PlannedNode[],
  { isRight, spawn }: { readonly isRight: (id: string) => boolean; readonly spawn: number },
): PlannedGroup => {
  const going = new Set(nodes.map(({ id }) => id));
  const staying = seen.members.filter(({ id, state }) => state !== "leaving" && !going.has(id));
  const made = staying.filter((member) => configuration !== undefined && member.configuration === configuration);
  return {
    id: seen.id,
    name: seen.name,
    to,
    ...(configuration !== undefined && { configuration }),
    before,
    base: made.filter(({ id }) => isRight(id)).length,
    aside: made.filter(({ id }) => !isRight(id)).map(({ id }) => id),
    replacements: Math.max(0, before.sizes.desired - staying.length),
    agents: Math.max(0, ...nodes.map(({ agents }) => agents)) || spawn,
  };
};
