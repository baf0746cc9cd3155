/** An AS group of Huawei Cloud, as the waves over it need it. */
import { BakeError } from "../../errors.ts";
import type { Host } from "../../host/host.ts";
import { encodedUserData } from "../../huaweicloud/change-os.ts";
import type { Cloud } from "../../huaweicloud/client.ts";
import {
  actOnMembers,
  configureLike,
  isGone,
  listPolicies,
  mostAtOnce,
  showConfiguration,
  showGroup,
  switchPolicies,
  updateGroup,
} from "../../huaweicloud/scaling-group.ts";
import { listGroups, type ListedMember, listMembers } from "../../huaweicloud/scaling.ts";
import { holdServer, listNodes, releaseServer } from "../../huaweicloud/nodes.ts";
import type { Mover, ScalingGroup, SeenMember } from "../ports.ts";
import { seenNode } from "./seen-node.ts";

const states: Readonly<Record<string, SeenMember["state"]>> = {
  INSERVICE: "in service",
  PENDING: "coming",
  PENDING_WAIT: "coming",
  REMOVING: "leaving",
  REMOVING_WAIT: "leaving",
  STANDBY: "standby",
  ENTERING_STANDBY: "standby",
};

/** Pure. */
const memberOf = (member: ListedMember): SeenMember[] =>
  member.instance_id
    ? [
        {
          id: member.instance_id,
          configuration: member.scaling_configuration_id || undefined,
          state: states[member.life_cycle_state ?? ""] ?? "unknown",
          health: member.health_status === "NORMAL" ? "good" : member.health_status === "ERROR" ? "bad" : "starting",
          isProtected: member.protect_from_scaling_down === true,
        },
      ]
    : [];

/**
 * The group that a user means by name or ID.
 * @throws BakeError BK450 when there is none, or several are called so; CloudError.
 */
export const findGroup = async (cloud: Cloud, wanted: string): Promise<string> => {
  const groups = await listGroups(cloud);
  const found = groups.filter(({ id, name }) => id === wanted || name === wanted);
  const [only, ...more] = found;
  if (only !== undefined && more.length === 0) return only.id;
  throw new BakeError(
    "BK450",
    only === undefined
      ? `there is no AS group ${wanted}`
      : `${wanted} is ${found.length} AS groups: ${found.map(({ id }) => id).join(", ")}`,
    only === undefined ? `There are: ${groups.map(({ name }) => name).join(", ") || "none"}.` : "Name one by its ID.",
  );
};

/** What a rollout holds the members of a group by: they are servers of ECS, and never get another system. */
export const makeMemberMover = (cloud: Cloud): Mover => ({
  kind: "as",
  look: async () => (await listNodes(cloud)).map((node) => seenNode(node, "as", undefined)),
  hold: (node, rollout) => holdServer(cloud, node, rollout),
  release: (node, rollout) => releaseServer(cloud, node, rollout),
  change: async (node) => {
    throw new Error(`${node} is a member of an AS group`);
  },
  changeState: async () => ({ state: "unknown" }),
});

/** The image of a configuration. @throws CloudError */
export const imageOfConfiguration = async (cloud: Cloud, id: string): Promise<string> =>
  (await showConfiguration(cloud, id)).imageRef;

/** @param group Its ID. */
export const makeScalingGroup = (
  cloud: Cloud,
  host: Pick<Host, "now" | "sleep" | "signal">,
  group: string,
): ScalingGroup => {
  const members = async (): Promise<SeenMember[]> => (await listMembers(cloud, group)).flatMap(memberOf);
  /** Acts on what a look says is right to act on: sent again it does no more. One that goes meanwhile spoils the call for all. */
  const act = async (
    action: "PROTECT" | "UNPROTECT" | "REMOVE",
    isMeant: (member: SeenMember) => boolean,
  ): Promise<void> => {
    for (let tries = 1; ; tries += 1) {
      const meant = (await members()).filter(isMeant);
      try {
        await actOnMembers(cloud, host, group, { action, members: meant.map(({ id }) => id) });
        return;
      } catch (error) {
        if (!isGone(error) || tries === 3) throw error;
      }
    }
  };
  return {
    look: async () => {
      const found = await showGroup(cloud, group);
      return {
        id: group,
        name: found.scaling_group_name || group,
        sizes: {
          min: found.min_instance_number,
          max: found.max_instance_number,
          desired: found.desire_instance_number,
        },
        configuration: found.scaling_configuration_id,
        isScaling: found.is_scaling === true,
        isPaused: found.scaling_group_status === "PAUSED",
        members: await members(),
      };
    },
    configure: async ({ image, userData }, name) => {
      const { scaling_configuration_id: like } = await showGroup(cloud, group);
      const encoded = userData === undefined ? undefined : encodedUserData(userData);
      return configureLike(cloud, like, { name, image, userData: encoded });
    },
    use: (configuration) => updateGroup(cloud, host, group, { scaling_configuration_id: configuration }),
    resize: ({ min, max, desired }) =>
      updateGroup(cloud, host, group, {
        min_instance_number: min,
        max_instance_number: max,
        desire_instance_number: desired,
      }),
    protect: (wanted, isProtected) =>
      act(
        isProtected ? "PROTECT" : "UNPROTECT",
        (member) => wanted.includes(member.id) && member.state === "in service" && member.isProtected !== isProtected,
      ),
    remove: async (wanted) => {
      if (wanted.length > mostAtOnce) throw new RangeError(`${wanted.length} members at once: ${mostAtOnce} are all`);
      await act("REMOVE", (member) => wanted.includes(member.id) && member.state !== "leaving");
    },
    policies: async () =>
      (await listPolicies(cloud, group)).map((policy) => ({
        id: policy.scaling_policy_id,
        name: policy.scaling_policy_name ?? "",
        isOn: policy.policy_status !== "PAUSED",
      })),
    switchPolicies: (policies, on) => switchPolicies(cloud, host, group, { policies, on }),
  };
};
