/** Rows of the table of calls that only servers of a fleet are about: how they are held, given another system, and scaled. */
import type { CallRow } from "./call-row.ts";

export const nodeCalls = {
  changeServerTags: {
    service: "ecs",
    method: "POST",
    path: "/v1/{project_id}/cloudservers/{server_id}/tags/action",
    what: "write or remove the tag of the rollout that holds a server",
    rights: ["ecs:cloudServers:batchSetServerTags"],
    for: ["rollout"],
    idempotent: true,
  },
  // No client token, and done twice it is done twice: never repeated.
  changeServerSystem: {
    service: "ecs",
    method: "POST",
    path: "/v2/{project_id}/cloudservers/{server_id}/changeos",
    what: "give a server the system of another image",
    rights: ["ecs:cloudServers:changeOS"],
    for: ["rollout"],
  },
  listScalingGroups: {
    service: "as",
    method: "GET",
    path: "/autoscaling-api/v1/{project_id}/scaling_group",
    what: "see which AS groups there are: their members are never given another system",
    rights: ["autoscaling:groups:list"],
    for: ["rollout"],
  },
  listScalingMembers: {
    service: "as",
    method: "GET",
    path: "/autoscaling-api/v1/{project_id}/scaling_group_instance/{scaling_group_id}/list",
    what: "see the members of an AS group",
    rights: ["autoscaling:instances:list"],
    for: ["rollout"],
  },
} as const satisfies Readonly<Record<string, CallRow>>;
