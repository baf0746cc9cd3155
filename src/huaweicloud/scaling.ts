/** AS groups of the project, and which servers are members of one. */
import * as z from "zod";
import { type Cloud, CloudError } from "./client.ts";

const OrNothing = z.string().nullish();

const Groups = z.object({
  total_number: z.number().nullish(),
  scaling_groups: z.array(z.object({ scaling_group_id: z.string(), scaling_group_name: z.string().nullish() })),
});
const Members = z.object({
  scaling_group_instances: z.array(
    z.object({
      // Not there yet while it is being made.
      instance_id: OrNothing,
      scaling_configuration_id: OrNothing,
      life_cycle_state: OrNothing,
      health_status: OrNothing,
      protect_from_scaling_down: z.boolean().nullish(),
    }),
  ),
});
export type ListedMember = z.infer<typeof Members>["scaling_group_instances"][number];

/** What AS lists at once. */
const pageSize = 100;

/** All that a list of AS has, from 0 on: until a page is not full. */
export const scalingPages = async <T>(
  ask: (query: { readonly start_number: number; readonly limit: number }) => Promise<readonly T[]>,
): Promise<T[]> => {
  const all: T[] = [];
  for (;;) {
    const page = await ask({ start_number: all.length, limit: pageSize });
    all.push(...page);
    if (page.length < pageSize) return all;
  }
};

export interface GroupName {
  readonly id: string;
  readonly name: string;
}

/** Every group of the project; none where the region has no such service. @throws CloudError */
export const listGroups = async (cloud: Cloud): Promise<GroupName[]> => {
  try {
    const groups = await scalingPages(
      async (query) => (await cloud.call("listScalingGroups", { query, answer: Groups })).scaling_groups,
    );
    return groups.map(({ scaling_group_id: id, scaling_group_name: name }) => ({ id, name: name ?? id }));
  } catch (error) {
    if (error instanceof CloudError && error.status === 404) return [];
    throw error;
  }
};

/** Members of a group, those that come and go among them. @throws CloudError */
export const listMembers = (cloud: Cloud, id: string): Promise<ListedMember[]> =>
  scalingPages(async (query) => {
    const parameters = { scaling_group_id: id };
    return (await cloud.call("listScalingMembers", { parameters, query, answer: Members })).scaling_group_instances;
  });

/** The group that each server is a member of, by the server's ID: a call for the groups, and one for each. @throws CloudError */
export const groupsOfServers = async (cloud: Cloud): Promise<ReadonlyMap<string, GroupName>> => {
  const of = new Map<string, GroupName>();
  for (const group of await listGroups(cloud)) {
    for (const { instance_id: id } of await listMembers(cloud, group.id)) if (id) of.set(id, group);
  }
  return of;
};
