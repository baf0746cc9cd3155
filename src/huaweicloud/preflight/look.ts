/** Everything that a preflight asks the cloud, each question once. It only looks. */
import * as z from "zod";
import type { HuaweiCloudTarget } from "../../node/target.ts";
import type { CallName } from "../calls.ts";
import { type Cloud, CloudError, type CloudRequest } from "../client.ts";
import type { Seen } from "./line.ts";

/** Numbers come as texts from some services. */
const Count = z.coerce.number();
const OrNothing = z.string().nullish();

export const Zones = z.object({
  availabilityZoneInfo: z.array(z.object({ zoneName: z.string(), zoneState: z.object({ available: z.boolean() }) })),
});

const Image = z.object({
  id: z.string(),
  name: z.string(),
  status: z.string(),
  min_disk: Count,
  virtual_env_type: z.string().optional(),
  hw_firmware_type: z.string().optional(),
  architecture: z.string().optional(),
  __support_arm: z.string().optional(),
  __os_version: z.string().optional(),
  __os_type: z.string().optional(),
});
export type SeenImage = z.infer<typeof Image>;
const Images = z.object({ images: z.array(Image) });

const Flavors = z.object({
  flavors: z.array(
    z.object({
      id: z.string(),
      vcpus: Count,
      ram: Count,
      os_extra_specs: z.record(z.string(), z.coerce.string()).default({}),
    }),
  ),
});
export type SeenFlavor = z.infer<typeof Flavors>["flavors"][number];

const Limits = z.object({
  absolute: z.object({
    maxTotalInstances: Count,
    totalInstancesUsed: Count,
    maxTotalCores: Count,
    totalCoresUsed: Count,
    maxTotalRAMSize: Count,
    totalRAMUsed: Count,
  }),
});

const Quota = z.object({ in_use: Count, limit: Count, reserved: Count.default(0) });
const DiskQuota = z.object({ quota_set: z.object({ volumes: Quota, gigabytes: Quota }) });
const Resources = z.object({
  quotas: z.object({ resources: z.array(z.object({ type: z.string(), used: Count, quota: Count })) }),
});

const Rule = z.object({
  direction: z.string(),
  ethertype: OrNothing,
  protocol: OrNothing,
  multiport: OrNothing,
  action: OrNothing,
  priority: Count.nullish(),
  remote_ip_prefix: OrNothing,
  remote_group_id: OrNothing,
  remote_address_group_id: OrNothing,
});
export type SeenRule = z.infer<typeof Rule>;

const Vpc = z.object({ vpc: z.object({ id: z.string(), status: z.string() }) });
const Subnet = z.object({
  subnet: z.object({
    vpc_id: z.string(),
    dhcp_enable: z.boolean(),
    status: z.string().optional(),
    cidr: z.string(),
    availability_zone: OrNothing,
  }),
});
const SecurityGroup = z.object({
  security_group: z.object({ name: z.string(), security_group_rules: z.array(Rule) }),
});
const Servers = z.object({
  servers: z.array(z.object({ id: z.string(), name: z.string(), status: z.string(), key_name: OrNothing })),
});

/** Asks, and keeps an error as an answer. @throws whatever is no answer of the cloud. */
const seen = async <Name extends CallName, T, U>(
  cloud: Cloud,
  name: Name,
  request: CloudRequest<Name, T>,
  take: (answer: T) => U,
): Promise<Seen<U>> => {
  try {
    return { value: take(await cloud.call(name, request)) };
  } catch (error) {
    if (error instanceof CloudError) return { error };
    throw error;
  }
};

/** An image by its ID: unless it is asked for more, the service looks among public ones and the default enterprise project's. */
const sourceImage = async (cloud: Cloud, id: string): Promise<Seen<SeenImage | undefined>> => {
  const ask = (query: Readonly<Record<string, string>>): Promise<Seen<SeenImage | undefined>> =>
    seen(cloud, "listImages", { query: { id, ...query }, answer: Images }, ({ images }) =>
      images.find((image) => image.id === id),
    );
  const found = await ask({});
  return "value" in found && found.value === undefined ? ask({ enterprise_project_id: "all_granted_eps" }) : found;
};

/**
 * Asks all of it at a time.
 * @param serverPrefix What names of servers that build an image of this profile begin with; ten letters of a bake id follow.
 */
export const look = async (cloud: Cloud, target: HuaweiCloudTarget, serverPrefix: string) => {
  const resource = (type: string) => (answer: z.infer<typeof Resources>) =>
    answer.quotas.resources.find((each) => each.type === type);
  const [zones, image, flavor, limits, disks, imageQuota, addresses, vpc, subnet, group, named, servers] =
    await Promise.all([
      seen(cloud, "listZones", { answer: Zones }, ({ availabilityZoneInfo }) => availabilityZoneInfo),
      sourceImage(cloud, target.sourceImage),
      seen(cloud, "listFlavors", { query: { flavor_id: target.flavor }, answer: Flavors }, ({ flavors }) =>
        flavors.find(({ id }) => id === target.flavor),
      ),
      seen(cloud, "serverLimits", { answer: Limits }, ({ absolute }) => absolute),
      seen(cloud, "diskQuota", { query: { usage: "True" }, answer: DiskQuota }, ({ quota_set }) => quota_set),
      seen(cloud, "imageQuota", { answer: Resources }, resource("image")),
      // One that exists is counted already.
      target.publicIp === undefined || "id" in target.publicIp
        ? undefined
        : seen(cloud, "networkQuota", { query: { type: "publicIp" }, answer: Resources }, resource("publicIp")),
      seen(cloud, "showVpc", { parameters: { vpc_id: target.vpc }, answer: Vpc }, (answer) => answer.vpc),
      seen(
        cloud,
        "showSubnet",
        { parameters: { subnet_id: target.subnet }, answer: Subnet },
        (answer) => answer.subnet,
      ),
      seen(
        cloud,
        "showSecurityGroup",
        { parameters: { security_group_id: target.securityGroup }, answer: SecurityGroup },
        (answer) => answer.security_group,
      ),
      seen(
        cloud,
        "listImages",
        { query: { name: target.imageName, __imagetype: "private" }, answer: Images },
        ({ images }) => images,
      ),
      seen(cloud, "listServers", { query: { name: serverPrefix, limit: 1000 }, answer: Servers }, ({ servers: all }) =>
        // The service finds a name within others too.
        all.filter(
          ({ name }) => name.startsWith(serverPrefix) && /^[A-Za-z0-9_-]{10}$/.test(name.slice(serverPrefix.length)),
        ),
      ),
    ]);
  return { zones, image, flavor, limits, disks, imageQuota, addresses, vpc, subnet, group, named, servers };
};

export type Look = Awaited<ReturnType<typeof look>>;
