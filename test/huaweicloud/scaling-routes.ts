/** Routes of AS, and what AS does by itself: it keeps as many members as are wanted, and deletes those that are stopped. */
import * as z from "zod";
import { type Asked, bodyOf, boot, type Given, later, newId, Refusal, type Routes } from "./route.ts";
import type { ScalingGroup, ScalingMember, Server, World } from "./world.ts";

const groupOf = ({ scalingGroups }: World, id: string | undefined): ScalingGroup => {
  const found = scalingGroups.find((group) => group.id === id);
  if (found === undefined) throw new Refusal(404, "AS.2007", "The AS group does not exist.");
  return found;
};

export const isMember = ({ scalingGroups }: World, serverId: string): boolean =>
  scalingGroups.some(({ members }) => members.some((member) => member.serverId === serverId));

const drop = (world: World, group: ScalingGroup, gone: readonly string[]): void => {
  group.members = group.members.filter(({ serverId }) => !gone.includes(serverId));
  world.servers = world.servers.filter(({ id }) => !gone.includes(id));
};

const busy = (world: World, group: ScalingGroup, at: number): number => {
  group.busyUntil = at + world.takes.scale;
  return group.busyUntil;
};

const leave = (world: World, group: ScalingGroup, members: readonly ScalingMember[], at: number): void => {
  for (const member of members) member.state = "REMOVING";
  later(world, busy(world, group, at), () => {
    drop(
      world,
      group,
      members.map(({ serverId }) => serverId),
    );
    keep(world, group, at + world.takes.scale);
  });
};

const come = (world: World, group: ScalingGroup, at: number): void => {
  const configuration = world.scalingConfigurations.find(({ id }) => id === group.configurationId);
  const id = newId();
  const { user_data: userData } = configuration?.rest ?? {};
  const server: Server = {
    id,
    name: `as-${group.name}-${id.slice(-6)}`,
    imageId: configuration?.imageId ?? "",
    flavorId: "kc1.large.4",
    zone: "cn-north-4b",
    status: "BUILD",
    address: "192.168.0.99",
    addressId: undefined,
    keyName: undefined,
    diskSize: 40,
    tags: {},
    ...(typeof userData === "string" && { userData }),
  };
  const member: ScalingMember = {
    serverId: id,
    state: "PENDING",
    health: "INITIALIZING",
    isProtected: false,
    configurationId: group.configurationId,
  };
  world.servers.push(server);
  group.members.push(member);
  const done = busy(world, group, at);
  later(world, done, () => {
    server.status = "ACTIVE";
    member.state = "INSERVICE";
    member.health = "NORMAL";
    boot(world, server, done);
    keep(world, group, done);
  });
};

/** Makes members, or takes them away, until there are as many as are wanted; protected ones stay. */
const keep = (world: World, group: ScalingGroup, at: number): void => {
  if (group.status === "PAUSED") return;
  const staying = group.members.filter(({ state }) => state !== "REMOVING");
  for (let missing = group.desired - staying.length; missing > 0; missing -= 1) come(world, group, at);
  const mayGo = staying.filter(({ isProtected, state }) => !isProtected && state === "INSERVICE");
  // Those of an old configuration first.
  const order = mayGo.toSorted(
    (a, b) => Number(a.configurationId === group.configurationId) - Number(b.configurationId === group.configurationId),
  );
  const going = order.slice(0, Math.max(0, staying.length - group.desired));
  if (going.length > 0) leave(world, group, going, at);
};

/** A policy fires: the group wants more members, or fewer, within its limits. One that is paused does nothing. */
export const firePolicy = (world: World, id: string, at: number): void => {
  const policy = world.scalingPolicies.find((each) => each.id === id);
  const group = world.scalingGroups.find((each) => each.id === policy?.groupId);
  if (policy?.isOn !== true || group === undefined) return;
  group.desired = Math.max(group.min, Math.min(group.max, group.desired + policy.change));
  keep(world, group, at);
};

/** A member that stopped: unless it runs again, it is deleted at the next look at its health, and another is made. */
export const memberStopped = (world: World, server: Server, at: number): void => {
  const noticed = at + world.takes.health;
  later(world, noticed, () => {
    if (server.status === "ACTIVE") return;
    for (const group of world.scalingGroups.filter(({ members }) =>
      members.some((each) => each.serverId === server.id),
    )) {
      drop(world, group, [server.id]);
      keep(world, group, noticed);
    }
  });
};

/** One page of a list of AS, from 0 on. */
const page = <T>(all: readonly T[], query: Readonly<Record<string, string>>) => {
  const [start, limit] = [Number(query["start_number"] ?? 0), Number(query["limit"] ?? 20)];
  if (!(limit >= 1 && limit <= 100) || !(start >= 0))
    throw new Refusal(400, "AS.0001", "start_number or limit is wrong.");
  return { about: { total_number: all.length, start_number: start, limit }, shown: all.slice(start, start + limit) };
};

const groupBody = (group: ScalingGroup, now: number): object => ({
  scaling_group_id: group.id,
  scaling_group_name: group.name,
  scaling_group_status: group.status,
  scaling_configuration_id: group.configurationId,
  min_instance_number: group.min,
  max_instance_number: group.max,
  desire_instance_number: group.desired,
  current_instance_number: group.members.length,
  is_scaling: group.busyUntil > now,
  delete_volume: false,
});

const Update = z.strictObject({
  scaling_configuration_id: z.string().optional(),
  min_instance_number: z.int().min(0).max(300).optional(),
  max_instance_number: z.int().min(0).max(300).optional(),
  desire_instance_number: z.int().min(0).max(300).optional(),
});
const Act = z.strictObject({
  instances_id: z.array(z.string()).min(1).max(10),
  action: z.enum(["ADD", "REMOVE", "PROTECT", "UNPROTECT"]),
  instance_delete: z.enum(["yes", "no"]).optional(),
});
const MakeConfiguration = z.strictObject({
  scaling_configuration_name: z.string().regex(/^[\u4e00-\u9fa5A-Za-z0-9_-]{1,64}$/),
  instance_config: z.strictObject({
    flavorRef: z.string(),
    imageRef: z.string(),
    disk: z.array(z.object({ size: z.int(), volume_type: z.string(), disk_type: z.enum(["SYS", "DATA"]) })).min(1),
    key_name: z.string().optional(),
    user_data: z.base64().optional(),
    metadata: z.record(z.string(), z.string()).optional(),
    security_groups: z.array(z.strictObject({ id: z.string() })).optional(),
  }),
});
const ActOnPolicies = z.strictObject({
  scaling_policy_id: z.array(z.string()).min(1).max(20),
  action: z.enum(["resume", "pause", "delete"]),
});

const requireFree = ({ busyUntil }: ScalingGroup, now: number): void => {
  if (busyUntil > now) throw new Refusal(400, "AS.2033", "The AS group is scaling.");
};

const updateGroup = ({ world, parameters, body, now }: Asked): Given => {
  const group = groupOf(world, parameters["scaling_group_id"]);
  const wanted = bodyOf(Update, body, "AS.0001");
  const sizes = {
    min: wanted.min_instance_number ?? group.min,
    max: wanted.max_instance_number ?? group.max,
    desired: wanted.desire_instance_number ?? group.desired,
  };
  if (sizes.min > sizes.desired || sizes.desired > sizes.max)
    throw new Refusal(400, "AS.2009", "desire_instance_number is outside of min and max.");
  const configuration = wanted.scaling_configuration_id;
  if (configuration !== undefined && !world.scalingConfigurations.some(({ id }) => id === configuration))
    throw new Refusal(404, "AS.2020", "The AS configuration does not exist.");
  if (sizes.desired !== group.desired) requireFree(group, now);
  Object.assign(group, sizes, configuration === undefined ? {} : { configurationId: configuration });
  keep(world, group, now);
  return { status: 200, body: { scaling_group_id: group.id } };
};

const actOnMembers = ({ world, parameters, body, now }: Asked): Given => {
  const group = groupOf(world, parameters["scaling_group_id"]);
  const { instances_id: wanted, action, instance_delete: isDeleted } = bodyOf(Act, body, "AS.0001");
  const members = wanted.map((id) => {
    const found = group.members.find(({ serverId }) => serverId === id);
    if (found === undefined) throw new Refusal(404, "AS.2007", `The instance ${id} does not exist.`);
    if (found.state !== "INSERVICE") throw new Refusal(400, "AS.4006", `The instance ${id} is ${found.state}.`);
    return found;
  });
  switch (action) {
    case "PROTECT":
    case "UNPROTECT":
      for (const member of members) member.isProtected = action === "PROTECT";
      return { status: 204 };
    case "REMOVE":
      requireFree(group, now);
      if (isDeleted !== "yes") throw new Refusal(400, "AS.0001", "This emulator keeps no server that leaves.");
      if (group.members.length - members.length < group.min)
        throw new Refusal(400, "AS.2012", "The group would have fewer members than its minimum.");
      group.desired -= members.length;
      leave(world, group, members, now);
      return { status: 204 };
    case "ADD":
      throw new Refusal(400, "AS.0001", "This emulator adds no server by hand.");
    default:
      return action;
  }
};

const configurationBody = ({ id, name, imageId, rest }: World["scalingConfigurations"][number]): object => ({
  scaling_configuration_id: id,
  scaling_configuration_name: name,
  instance_config: {
    flavorRef: "kc1.large.4",
    disk: [{ size: 40, volume_type: "SSD", disk_type: "SYS" }],
    ...rest,
    imageRef: imageId,
    // What it shows besides, and takes from nobody.
    instance_id: null,
    key_fingerprint: "00:11",
    adminPass: "***",
  },
  create_time: "2026-11-26T12:00:00Z",
});

export const scalingRoutes: Routes = {
  "AS GET /autoscaling-api/v1/{project_id}/scaling_group": {
    query: ["scaling_group_name", "start_number", "limit"],
    answer: ({ world, query, now }) => {
      const { about, shown } = page(world.scalingGroups, query);
      return { status: 200, body: { ...about, scaling_groups: shown.map((group) => groupBody(group, now)) } };
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
  "AS GET /autoscaling-api/v1/{project_id}/scaling_group/{scaling_group_id}": {
    answer: ({ world, parameters, now }) => ({
      status: 200,
      body: { scaling_group: groupBody(groupOf(world, parameters["scaling_group_id"]), now) },
    }),
  },
  "AS PUT /autoscaling-api/v1/{project_id}/scaling_group/{scaling_group_id}": { answer: updateGroup },
  "AS POST /autoscaling-api/v1/{project_id}/scaling_group_instance/{scaling_group_id}/action": { answer: actOnMembers },
  "AS GET /autoscaling-api/v1/{project_id}/scaling_configuration/{scaling_configuration_id}": {
    answer: ({ world, parameters }) => {
      const found = world.scalingConfigurations.find(({ id }) => id === parameters["scaling_configuration_id"]);
      if (found === undefined) throw new Refusal(404, "AS.2020", "The AS configuration does not exist.");
      return { status: 200, body: { scaling_configuration: configurationBody(found) } };
    },
  },
  "AS POST /autoscaling-api/v1/{project_id}/scaling_configuration": {
    answer: ({ world, body }) => {
      const wanted = bodyOf(MakeConfiguration, body, "AS.0001");
      const { imageRef: imageId, ...rest } = wanted.instance_config;
      if (!world.images.some(({ id, status }) => id === imageId && status === "active"))
        throw new Refusal(400, "AS.1031", "The image does not exist.");
      const id = newId();
      world.scalingConfigurations.push({ id, name: wanted.scaling_configuration_name, imageId, rest });
      return { status: 200, body: { scaling_configuration_id: id } };
    },
  },
  "AS GET /autoscaling-api/v1/{project_id}/scaling_policy/{scaling_group_id}/list": {
    query: ["scaling_policy_name", "scaling_policy_type", "start_number", "limit"],
    answer: ({ world, query, parameters }) => {
      const group = groupOf(world, parameters["scaling_group_id"]);
      const { about, shown } = page(
        world.scalingPolicies.filter(({ groupId }) => groupId === group.id),
        query,
      );
      return {
        status: 200,
        body: {
          ...about,
          scaling_policies: shown.map(({ id, name, isOn }) => ({
            scaling_group_id: group.id,
            scaling_policy_id: id,
            scaling_policy_name: name,
            policy_status: isOn ? "INSERVICE" : "PAUSED",
            scaling_policy_type: "ALARM",
          })),
        },
      };
    },
  },
  "AS POST /autoscaling-api/v1/{project_id}/scaling_policies/action": {
    answer: ({ world, body }) => {
      const { scaling_policy_id: wanted, action } = bodyOf(ActOnPolicies, body, "AS.0001");
      if (action === "delete") throw new Refusal(400, "AS.0001", "This emulator deletes none.");
      const policies = wanted.map((id) => {
        const found = world.scalingPolicies.find((each) => each.id === id);
        if (found === undefined) throw new Refusal(404, "AS.3004", `The policy ${id} does not exist.`);
        return found;
      });
      for (const policy of policies) policy.isOn = action === "resume";
      return { status: 204 };
    },
  },
};
