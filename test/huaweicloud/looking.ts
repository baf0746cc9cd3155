/** Routes that only look. */
import { Refusal, type Asked, type Given, type Routes } from "./route.ts";
import type { Image, Server, World } from "./world.ts";

const ok = (body: object): Given => ({ status: 200, body });

const imageBody = (image: Image): object => ({
  id: image.id,
  name: image.name,
  status: image.status,
  min_disk: image.minDisk,
  min_ram: 0,
  visibility: image.type === "gold" ? "public" : "private",
  owner: "fedcba9876543210fedcba9876543210",
  protected: false,
  tags: Object.entries(image.tags).map(([name, value]) => `${name}=${value}`),
  disk_format: "zvhd2",
  virtual_env_type: image.environment,
  hw_firmware_type: image.firmware,
  __imagetype: image.type,
  __os_bit: "64",
  __os_type: "Linux",
  __os_version: image.osVersion,
  __platform: image.platform,
  __description: image.description,
  __isregistered: "true",
  ...(image.architecture === "arm" && { __support_arm: "true" }),
  __image_size: String(image.size ?? 0),
  ...(image.shutdownTimeout !== undefined && { os_shutdown_timeout: image.shutdownTimeout }),
  ...(image.encryptedBy !== undefined && { __system__encrypted: "1", __system__cmkid: image.encryptedBy }),
  created_at: image.createdAt ?? "2026-06-01T00:00:00Z",
  updated_at: "2026-06-01T00:00:00Z",
});

/** The network port of a server. */
export const portOf = (serverId: string): string => `port-${serverId}`;

export const serverBody = (server: Server, addresses: World["addresses"] = []): object => ({
  id: server.id,
  name: server.name,
  status: server.status,
  "OS-EXT-STS:task_state": server.task ?? null,
  "OS-EXT-SRV-ATTR:hostname": server.hostname ?? server.name,
  image: { id: server.imageId },
  flavor: { id: server.flavorId },
  key_name: server.keyName,
  "OS-EXT-AZ:availability_zone": server.zone,
  created: server.created ?? "2026-11-26T12:00:00Z",
  auto_terminate_time: server.endsAt ?? "",
  metadata: { "metering.image_id": server.imageId, charging_mode: server.charging ?? "0" },
  addresses: {
    vpc: [
      { addr: server.address, "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS:port_id": portOf(server.id) },
      ...addresses
        .filter(({ id }) => id === server.addressId)
        .map(({ address }) => ({
          addr: address,
          "OS-EXT-IPS:type": "floating",
          "OS-EXT-IPS:port_id": portOf(server.id),
        })),
    ],
  },
  // As the service does it: whoever lists servers reads it.
  "OS-EXT-SRV-ATTR:user_data": server.userData ?? "U0VDUkVULlVTRVIuREFUQQ==",
  tags: Object.entries(server.tags).map(([name, value]) => `${name}=${value}`),
});

const matching = (value: string, wanted: string | undefined): boolean => wanted === undefined || value === wanted;

const imagesOf = ({ world, query }: Asked): Given =>
  ok({
    images: world.images
      .filter((image) => matching(image.id, query["id"]) && matching(image.name, query["name"]))
      .filter(({ elsewhere }) => elsewhere !== true || query["enterprise_project_id"] === "all_granted_eps")
      .filter((image) => matching(image.type, query["__imagetype"]))
      .filter(({ tags }) => {
        const [name = "", value] = (query["tag"] ?? "").split("=");
        return name === "" || tags[name] === value;
      })
      .filter((_, at, all) => query["marker"] === undefined || at > all.findIndex(({ id }) => id === query["marker"]))
      .slice(0, Number(query["limit"] ?? 1000))
      .map(imageBody),
  });

const flavorsOf = ({ world, query }: Asked): Given => {
  const zone = query["availability_zone"];
  const sold = (flavor: (typeof world.flavors)[number]): boolean =>
    zone === undefined || ["normal", "obt", "promotion"].includes(flavor.zones[zone] ?? flavor.status);
  return ok({
    flavors: world.flavors
      .filter((flavor) => matching(flavor.id, query["flavor_id"]) && sold(flavor))
      .map(({ id, vcpus, ram, architecture, status, zones }) => ({
        id,
        name: id,
        vcpus: String(vcpus),
        ram,
        disk: "0",
        swap: "",
        os_extra_specs: {
          "ecs:instance_architecture": architecture,
          "cond:operation:status": status,
          ...(Object.keys(zones).length > 0 && {
            "cond:operation:az": Object.entries(zones)
              .map(([name, state]) => `${name}(${state})`)
              .join(", "),
          }),
        },
      })),
  });
};

const quota = ([used, most]: readonly [number, number]): object => ({ reserved: 0, limit: most, in_use: used });

export const lookingRoutes: Routes = {
  "IAM GET /v3/projects": {
    query: ["name", "domain_id", "enabled"],
    answer: ({ world, query }) =>
      ok({
        projects: [world.project]
          .filter(({ name }) => matching(name, query["name"]))
          .map((project) => ({ ...project, enabled: true, domain_id: "d0", is_domain: false, parent_id: "d0" })),
        links: {},
      }),
  },
  "ECS GET /v2.1/{project_id}/os-availability-zone": {
    answer: ({ world }) =>
      ok({
        availabilityZoneInfo: Object.entries(world.zones).map(([zoneName, available]) => ({
          zoneName,
          zoneState: { available },
          hosts: [],
        })),
      }),
  },
  "IMS GET /v2/cloudimages": {
    query: ["id", "name", "__imagetype", "limit", "marker", "tag", "enterprise_project_id"],
    answer: imagesOf,
  },
  "IMS GET /v1/cloudimages/quota": {
    answer: ({ world: { quotas } }) =>
      ok({
        quotas: {
          resources: [
            { type: "image_shared", used: 0, quota: 10, min: 1, max: 100 },
            { type: "image", used: quotas.images[0], quota: quotas.images[1], min: 1, max: 1000 },
          ],
        },
      }),
  },
  "ECS GET /v1/{project_id}/cloudservers/flavors": {
    query: ["availability_zone", "flavor_id", "limit", "marker"],
    answer: flavorsOf,
  },
  "ECS GET /v1/{project_id}/cloudservers/limits": {
    answer: ({ world: { quotas, keyPairs } }) =>
      ok({
        absolute: {
          maxTotalInstances: quotas.instances[1],
          totalInstancesUsed: quotas.instances[0],
          maxTotalCores: quotas.cores[1],
          totalCoresUsed: quotas.cores[0],
          maxTotalRAMSize: quotas.ram[1],
          totalRAMUsed: quotas.ram[0],
          maxTotalKeypairs: quotas.keyPairs,
          maxServerMeta: 128,
          totalKeypairsUsed: keyPairs.length,
        },
      }),
  },
  "ECS GET /v1/{project_id}/cloudservers/detail": {
    query: ["name", "limit", "offset", "server_id", "tags"],
    // The name that is asked for may stand anywhere in a server's own.
    answer: ({ world, query }) => {
      const found = world.servers.filter(({ name }) => name.includes(query["name"] ?? ""));
      const [limit, page] = [Number(query["limit"] ?? 25), Number(query["offset"] ?? 1)];
      if (limit < 1 || limit > 1000 || page < 1) throw new Refusal(400, "Ecs.0005", "limit or offset is wrong.");
      const shown = found.slice(limit * (page - 1), limit * page);
      return ok({ count: found.length, servers: shown.map((server) => serverBody(server, world.addresses)) });
    },
  },
  "EVS GET /v2/{project_id}/os-quota-sets/{project_id}": {
    query: ["usage!"],
    answer: ({ world: { quotas, project } }) =>
      ok({ quota_set: { id: project.id, volumes: quota(quotas.volumes), gigabytes: quota(quotas.gigabytes) } }),
  },
  "VPC GET /v1/{project_id}/vpcs/{vpc_id}": {
    answer: ({ world: { vpc }, parameters }) => {
      if (parameters["vpc_id"] !== vpc.id) throw new Refusal(404, "VPC.0101", "No Router exist with id");
      return ok({ vpc: { id: vpc.id, name: "ci", cidr: "192.168.0.0/16", status: vpc.status } });
    },
  },
  "VPC GET /v1/{project_id}/subnets/{subnet_id}": {
    answer: ({ world: { subnet }, parameters }) => {
      if (parameters["subnet_id"] !== subnet.id) throw new Refusal(404, "VPC.0202", "Query resource by id fail");
      return ok({
        subnet: {
          id: subnet.id,
          name: "ci",
          cidr: subnet.cidr,
          gateway_ip: "192.168.0.1",
          dhcp_enable: subnet.dhcp,
          vpc_id: subnet.vpcId,
          availability_zone: subnet.zone,
          status: subnet.status,
        },
      });
    },
  },
  "VPC GET /v3/{project_id}/vpc/security-groups/{security_group_id}": {
    answer: ({ world: { securityGroup }, parameters }) => {
      if (parameters["security_group_id"] !== securityGroup.id) {
        throw new Refusal(404, "VPC.0603", "Securitygroup id is invalid");
      }
      return ok({
        request_id: "r",
        security_group: {
          id: securityGroup.id,
          name: "ci",
          security_group_rules: securityGroup.rules.map((rule, at) => ({ id: `rule-${at}`, ...rule })),
        },
      });
    },
  },
  "VPC GET /v1/{project_id}/quotas": {
    query: ["type"],
    answer: ({ world: { quotas } }) =>
      ok({
        quotas: {
          resources: [{ type: "publicIp", used: quotas.addresses[0], quota: quotas.addresses[1], min: 0 }],
        },
      }),
  },
};
