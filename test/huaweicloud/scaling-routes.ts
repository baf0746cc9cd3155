/** Routes of AS, and what AS does by itself: it deletes members that are stopped. */
import { later, Refusal, type Routes } from "./route.ts";
import type { ScalingGroup, Server, World } from "./world.ts";

const groupOf = ({ scalingGroups }: World, id: string | undefined): ScalingGroup => {
  const found = scalingGroups.find((group) => group.id === id);
  if (found === undefined) throw new Refusal(404, "AS.2007", "The AS group does not exist.");
  return found;
};

export const isMember = ({ scalingGroups }: World, serverId: string): boolean =>
  scalingGroups.some(({ members }) => members.some((member) => member.serverId === serverId));

/** A member that stopped: unless it runs again, it is deleted at the next look at its health. */
export const memberStopped = (world: World, server: Server, at: number): void => {
  later(world, at + world.takes.health, () => {
    if (server.status === "ACTIVE" || !isMember(world, server.id)) return;
    for (const group of world.scalingGroups) {
      group.members = group.members.filter(({ serverId }) => serverId !== server.id);
    }
    world.servers = world.servers.filter(({ id }) => id !== server.id);
  });
};

/** One page of a list of AS, from 0 on. */
const page = <T>(all: readonly T[], query: Readonly<Record<string, string>>) => {
  const [start, limit] = [Number(query["start_number"] ?? 0), Number(query["limit"] ?? 20)];
  if (!(limit >= 1 && limit <= 100) || !(start >= 0))
    throw new Refusal(400, "AS.0001", "start_number or limit is wrong.");
  return { about: { total_number: all.length, start_number: start, limit }, shown: all.slice(start, start + limit) };
};

const groupBody = (group: ScalingGroup): object => ({
  scaling_group_id: group.id,
  scaling_group_name: group.name,
  scaling_group_status: group.status,
  scaling_configuration_id: group.configurationId,
  min_instance_number: group.min,
  max_instance_number: group.max,
  desire_instance_number: group.desired,
  current_instance_number: group.members.length,
  is_scaling: group.busyUntil > 0,
  delete_volume: false,
});

export const scalingRoutes: Routes = {
  "AS GET /autoscaling-api/v1/{project_id}/scaling_group": {
    query: ["scaling_group_name", "start_number", "limit"],
    answer: ({ world, query }) => {
      const { about, shown } = page(world.scalingGroups, query);
      return { status: 200, body: { ...about, scaling_groups: shown.map(groupBody) } };
    },
  },
  "AS GET /autoscaling-api/v1/{project_id}/scaling_group_instance/{scaling_group_id}/list": {
    query: ["life_cycle_state", "health_status", "protect_from_scaling_down", "start_number", "limit"],
    answer: ({ world, query, parameters }) => {
      const group = groupOf(world, parameters["scaling_group_id"]);
      const { about, shown } = page(group.members, query);
      return {
        status: 200,
        body: {
          ...about,
          scaling_group_instances: shown.map((member) => ({
            instance_id: member.serverId,
            instance_name: world.servers.find(({ id }) => id === member.serverId)?.name ?? "",
            scaling_group_id: group.id,
            scaling_group_name: group.name,
            life_cycle_state: member.state,
            health_status: member.health,
            scaling_configuration_id: member.configurationId,
            protect_from_scaling_down: member.isProtected,
          })),
        },
      };
    },
  },
};
