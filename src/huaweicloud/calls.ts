/**
 * Long because it is one table: a row a call.
 * Every call to Huawei Cloud that a bake and the catalogue come to, by bake itself or by Packer's plugin: the client calls nothing
 * else, and the IAM policy of docs/huaweicloud-policy.md is made from it. Long because it is one table.
 */
import type { Service } from "./endpoints.ts";

/** What a user's credentials are for. */
export const purposes = ["doctor", "bake", "catalog"] as const;

type Purpose = (typeof purposes)[number];

export interface CallRow {
  readonly service: Service;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Parameters in braces; `project_id` is the client's own. */
  readonly path: `/${string}`;
  /** Words behind "may", for people. */
  readonly what: string;
  /** Actions of IAM policies, those that the service lists as needed besides among them. */
  readonly rights: readonly string[];
  readonly for: readonly Purpose[];
  /** Done twice it is as if done once: the client may send it again. What looks is so anyway. */
  readonly idempotent?: true;
}

export const calls = {
  listProjects: {
    service: "iam",
    method: "GET",
    path: "/v3/projects",
    what: "find the ID of a region's project; not needed with HW_PROJECT_ID",
    rights: ["iam:projects:listProjects"],
    for: ["doctor", "bake", "catalog"],
  },
  listZones: {
    service: "ecs",
    method: "GET",
    path: "/v2.1/{project_id}/os-availability-zone",
    what: "list availability zones",
    rights: ["ecs:availabilityZones:list"],
    for: ["doctor", "bake"],
  },
  listImages: {
    service: "ims",
    method: "GET",
    path: "/v2/cloudimages",
    what: "look at images",
    rights: ["ims:images:list"],
    for: ["doctor", "bake", "catalog"],
  },
  imageQuota: {
    service: "ims",
    method: "GET",
    path: "/v1/cloudimages/quota",
    what: "see how many images there may be",
    rights: ["ims:quotas:get"],
    for: ["doctor", "catalog"],
  },
  listFlavors: {
    service: "ecs",
    method: "GET",
    path: "/v1/{project_id}/cloudservers/flavors",
    what: "see what flavors there are, and which are sold",
    rights: ["ecs:cloudServerFlavors:get"],
    for: ["doctor"],
  },
  serverLimits: {
    service: "ecs",
    method: "GET",
    path: "/v1/{project_id}/cloudservers/limits",
    what: "see how many servers, processors and key pairs there may be",
    rights: ["ecs:cloudServerQuotas:get"],
    for: ["doctor"],
  },
  listServers: {
    service: "ecs",
    method: "GET",
    path: "/v1/{project_id}/cloudservers/detail",
    what: "find servers by name, and by the image they were made from",
    rights: ["ecs:cloudServers:list"],
    for: ["doctor", "catalog"],
  },
  diskQuota: {
    service: "evs",
    method: "GET",
    path: "/v2/{project_id}/os-quota-sets/{project_id}",
    what: "see how many disks there may be, and how large",
    rights: ["evs:quotas:get"],
    for: ["doctor"],
  },
  showVpc: {
    service: "vpc",
    method: "GET",
    path: "/v1/{project_id}/vpcs/{vpc_id}",
    what: "look at the VPC",
    rights: ["vpc:vpcs:get"],
    for: ["doctor", "bake"],
  },
  showSubnet: {
    service: "vpc",
    method: "GET",
    path: "/v1/{project_id}/subnets/{subnet_id}",
    what: "look at the subnet",
    rights: ["vpc:subnets:get"],
    for: ["doctor"],
  },
  showSecurityGroup: {
    service: "vpc",
    method: "GET",
    path: "/v3/{project_id}/vpc/security-groups/{security_group_id}",
    what: "look at the security group and its rules",
    rights: ["vpc:securityGroups:get", "vpc:securityGroupRules:get"],
    for: ["doctor"],
  },
  networkQuota: {
    service: "vpc",
    method: "GET",
    path: "/v1/{project_id}/quotas",
    what: "see how many public addresses there may be",
    rights: ["vpc:quotas:list"],
    for: ["doctor"],
  },
  createKeyPair: {
    service: "ecs",
    method: "POST",
    path: "/v2.1/{project_id}/os-keypairs",
    what: "make the key pair of one build",
    rights: ["ecs:serverKeypairs:create"],
    for: ["bake"],
  },
  deleteKeyPair: {
    service: "ecs",
    method: "DELETE",
    path: "/v2.1/{project_id}/os-keypairs/{keypair_name}",
    what: "remove that key pair",
    rights: ["ecs:serverKeypairs:delete"],
    for: ["bake", "catalog"],
    idempotent: true,
  },
  createAddress: {
    service: "eip",
    method: "POST",
    path: "/v1/{project_id}/publicips",
    what: "take a public address; only with `publicIp`",
    rights: ["vpc:publicIps:create"],
    for: ["bake"],
  },
  showAddress: {
    service: "eip",
    method: "GET",
    path: "/v1/{project_id}/publicips/{publicip_id}",
    what: "look at that address",
    rights: ["vpc:publicIps:get"],
    for: ["bake"],
  },
  deleteAddress: {
    service: "eip",
    method: "DELETE",
    path: "/v1/{project_id}/publicips/{publicip_id}",
    what: "give that address back",
    rights: ["vpc:publicIps:delete"],
    for: ["bake", "catalog"],
    idempotent: true,
  },
  createServer: {
    service: "ecs",
    method: "POST",
    path: "/v1/{project_id}/cloudservers",
    what: "make the server that builds",
    rights: ["ecs:cloudServers:createServers", "vpc:publicIps:update"],
    for: ["bake"],
  },
  showJob: {
    service: "ecs",
    method: "GET",
    path: "/v1/{project_id}/jobs/{job_id}",
    what: "wait for a job of servers",
    rights: [],
    for: ["bake", "catalog"],
  },
  showServer: {
    service: "ecs",
    method: "GET",
    path: "/v1/{project_id}/cloudservers/{server_id}",
    what: "look at that server",
    rights: ["ecs:cloudServers:showServer"],
    for: ["bake"],
  },
  listInterfaces: {
    service: "ecs",
    method: "GET",
    path: "/v1/{project_id}/cloudservers/{server_id}/os-interface",
    what: "find the address of that server",
    rights: ["ecs:cloudServers:listServerInterfaces"],
    for: ["bake"],
  },
  actOnServers: {
    service: "ecs",
    method: "POST",
    path: "/v1/{project_id}/cloudservers/action",
    what: "stop that server",
    rights: ["ecs:cloudServers:stop"],
    for: ["bake"],
  },
  createImage: {
    service: "ims",
    method: "POST",
    path: "/v2/cloudimages/action",
    what: "make an image of that server's disk",
    rights: [
      "ims:serverImages:create",
      "ecs:cloudServers:list",
      "ecs:cloudServers:showServer",
      "ecs:servers:get",
      "ecs:servers:list",
      "ecs:serverVolumes:use",
      "ecs:serverVolumeAttachments:list",
      "evs:volumes:*",
    ],
    for: ["bake"],
  },
  showImageJob: {
    service: "ims",
    method: "GET",
    path: "/v1/{project_id}/jobs/{job_id}",
    what: "wait for a job of images",
    rights: [],
    for: ["bake", "catalog"],
  },
  deleteServers: {
    service: "ecs",
    method: "POST",
    path: "/v1/{project_id}/cloudservers/delete",
    what: "remove that server with its disk",
    rights: ["ecs:cloudServers:deleteServers"],
    for: ["bake", "catalog"],
  },
  listAddresses: {
    service: "eip",
    method: "GET",
    path: "/v1/{project_id}/publicips",
    what: "find public addresses that a bake left",
    rights: ["vpc:publicIps:list"],
    for: ["catalog"],
  },
  listKeyPairs: {
    service: "ecs",
    method: "GET",
    path: "/v2.1/{project_id}/os-keypairs",
    what: "find key pairs that a bake left",
    rights: ["ecs:serverKeypairs:list"],
    for: ["catalog"],
  },
  listVolumes: {
    service: "evs",
    method: "GET",
    path: "/v2/{project_id}/cloudvolumes/detail",
    what: "find disks that a bake left",
    rights: ["evs:volumes:list"],
    for: ["catalog"],
  },
  deleteVolume: {
    service: "evs",
    method: "DELETE",
    path: "/v2/{project_id}/cloudvolumes/{volume_id}",
    what: "remove such a disk",
    rights: ["evs:volumes:delete"],
    for: ["catalog"],
    idempotent: true,
  },
  listScalingConfigurations: {
    service: "as",
    method: "GET",
    path: "/autoscaling-api/v1/{project_id}/scaling_configuration",
    what: "see which AS configurations name an image",
    rights: ["autoscaling:configs:list"],
    for: ["catalog"],
  },
  changeImageTags: {
    service: "ims",
    method: "POST",
    path: "/v2/{project_id}/images/{image_id}/tags/action",
    what: "write tags of an image: that is what a promotion is",
    rights: ["ims:images:get", "ims:images:update"],
    for: ["catalog"],
    idempotent: true,
  },
  updateImage: {
    service: "ims",
    method: "PATCH",
    path: "/v2/cloudimages/{image_id}",
    what: "set how long servers of an image may take to stop",
    rights: ["ims:images:get", "ims:images:update"],
    for: ["catalog"],
    idempotent: true,
  },
  listMembers: {
    service: "ims",
    method: "GET",
    path: "/v2/images/{image_id}/members",
    what: "see whom an image is shared with",
    rights: ["ims:images:get", "ims:images:share"],
    for: ["catalog"],
  },
  addMembers: {
    service: "ims",
    method: "POST",
    path: "/v1/cloudimages/members",
    what: "share an image",
    rights: ["ims:images:get", "ims:images:share"],
    for: ["catalog"],
  },
  removeMembers: {
    service: "ims",
    method: "DELETE",
    path: "/v1/cloudimages/members",
    what: "stop sharing it",
    rights: ["ims:images:get", "ims:images:share"],
    for: ["catalog"],
  },
  copyImage: {
    service: "ims",
    method: "POST",
    path: "/v1/cloudimages/{image_id}/copy",
    what: "copy an image within its region, to encrypt it",
    rights: ["ims:images:copy", "ims:serverImages:create"],
    for: ["catalog"],
  },
  copyImageToRegion: {
    service: "ims",
    method: "POST",
    path: "/v1/cloudimages/{image_id}/cross_region_copy",
    what: "copy an image to another region",
    rights: ["ims:images:copy"],
    for: ["catalog"],
  },
  deleteImage: {
    service: "ims",
    method: "DELETE",
    path: "/v2/images/{image_id}",
    what: "remove an image",
    rights: ["ims:images:get", "ims:images:delete"],
    for: ["catalog"],
    idempotent: true,
  },
} as const satisfies Readonly<Record<string, CallRow>>;

export type CallName = keyof typeof calls;

type Holes<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}` ? Name | Holes<Rest> : never;

/** What a call's path needs besides the project. */
export type ParametersOf<Name extends CallName> = Exclude<Holes<(typeof calls)[Name]["path"]>, "project_id">;
