/** Routes that make and remove: what Packer's plugin calls in a build. */
import { createHash, generateKeyPairSync } from "node:crypto";
import * as z from "zod";
import { serverBody } from "./looking.ts";
import { type Asked, bodyOf, boot, type Given, jobAnswer, newId, Refusal, type Routes, startJob } from "./route.ts";
import type { Server, World } from "./world.ts";

const Tag = z.strictObject({
  key: z.string().regex(/^[^=*<>\\,|/]{1,36}$/),
  value: z.string().regex(/^[^=*<>\\,|/]{0,43}$/),
});

/** Chinese, letters, digits, `_`, `-` and `.`: no blanks. */
const serverName = z.string().regex(/^[\u4e00-\u9fa5A-Za-z0-9_.-]{1,64}$/);
const imageName = z.string().regex(/^(?! )[\u4e00-\u9fa5A-Za-z0-9_. -]{1,128}(?<! )$/);

const Encryption = z.strictObject({ __system__encrypted: z.literal("1"), __system__cmkid: z.uuid() });

const Volume = z.strictObject({
  volumetype: z.enum(["SAS", "SSD", "GPSSD", "ESSD"]),
  size: z.int().min(10).max(32_768),
});

const Create = z.strictObject({
  dry_run: z.boolean().optional(),
  server: z.strictObject({
    name: serverName,
    imageRef: z.string(),
    flavorRef: z.string(),
    vpcid: z.string(),
    nics: z.array(z.strictObject({ subnet_id: z.string() })).length(1),
    security_groups: z.array(z.strictObject({ id: z.string() })).optional(),
    availability_zone: z.string().optional(),
    key_name: z.string().optional(),
    user_data: z.base64().optional(),
    count: z.int().min(1).max(100).optional(),
    root_volume: z.strictObject({
      volumetype: z.enum(["SAS", "SSD", "GPSSD", "ESSD"]),
      size: z.int().min(40).max(1024),
      metadata: Encryption.optional(),
    }),
    data_volumes: z.array(Volume).min(1).max(23).optional(),
    publicip: z.strictObject({ id: z.string() }).optional(),
    server_tags: z.array(Tag).max(10).optional(),
    metadata: z.record(z.string().max(255), z.string().max(255)).optional(),
    extendparam: z
      .strictObject({
        chargingMode: z.literal(0).optional(),
        enterprise_project_id: z.string().optional(),
        marketType: z.literal("spot").optional(),
        spotPrice: z
          .string()
          .regex(/^\d+(?:\.\d+)?$/)
          .optional(),
      })
      .optional(),
  }),
});
type Wanted = z.infer<typeof Create>["server"];

const Servers = z
  .array(z.strictObject({ id: z.string() }))
  .min(1)
  .max(1000);
const Stop = z.strictObject({
  "os-stop": z.strictObject({ type: z.enum(["SOFT", "HARD"]).optional(), servers: Servers }),
});
const Delete = z.strictObject({
  servers: Servers,
  delete_publicip: z.boolean().optional(),
  delete_volume: z.boolean().optional(),
});
const EndLater = z.strictObject({
  auto_terminate_time: z.string().regex(/^(?:\d{4}-\d\d-\d\dT\d\d:\d\d:00Z)?$/),
});
/** Of one server: it is attached as soon as it is made. */
const CreateVolume = z.strictObject({
  volume: z.strictObject({
    availability_zone: z.string(),
    volume_type: z.enum(["SAS", "SSD", "GPSSD", "ESSD"]),
    size: z.int().min(10).max(32_768),
    enterprise_project_id: z.string().optional(),
    metadata: Encryption.optional(),
  }),
  server_id: z.string(),
});
const CreateImage = z.strictObject({
  name: imageName,
  description: z
    .string()
    .max(1024)
    .regex(/^[^\n<>]*$/)
    .optional(),
  instance_id: z.string(),
  image_tags: z.array(Tag).max(10).optional(),
  enterprise_project_id: z.string().optional(),
});
const CreateFromFile = z.strictObject({
  name: imageName,
  description: z
    .string()
    .max(1024)
    .regex(/^[^\n<>]*$/)
    .optional(),
  image_url: z.string().regex(/^[a-z0-9.-]{3,63}:\S+$/),
  os_version: z.string().optional(),
  min_disk: z.int().min(40).max(1024),
  is_config: z.boolean().optional(),
  type: z.enum(["ECS", "BMS", "FusionCompute", "Ironic"]).optional(),
  architecture: z.enum(["x86", "arm"]).optional(),
  image_tags: z.array(Tag).max(10).optional(),
  enterprise_project_id: z.string().optional(),
});
const KeyPair = z.strictObject({ keypair: z.strictObject({ name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/) }) });
const Address = z.strictObject({
  publicip: z.strictObject({ type: z.enum(["5_bgp", "5_sbgp"]) }),
  bandwidth: z.strictObject({
    name: z.string().min(1).max(64),
    size: z.int().min(1).max(300),
    share_type: z.literal("PER"),
    charge_mode: z.enum(["bandwidth", "traffic"]).optional(),
  }),
});

/** @throws Refusal when there is no room. */
export const use = (quota: [used: number, most: number], by: number, what: string, code: string): void => {
  if (quota[0] + by > quota[1]) throw new Refusal(403, code, `Quota exceeded for ${what}.`);
};

const uuid = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;
const uuidHours = 8;
const tokens = new WeakMap<World, Map<string, { digest: string; until: number; job: string }>>();

/** The zone that a server comes into: the cloud draws one where none is named. @throws Refusal */
const zoneFor = ({ zones, flavors }: World, { availability_zone: asked, flavorRef }: Wanted): string => {
  const flavor = flavors.find(({ id }) => id === flavorRef);
  if (flavor === undefined) throw new Refusal(400, "Ecs.0019", "Flavor does not exist.");
  const zone = asked ?? Object.keys(zones).find((name) => zones[name]);
  if (zone === undefined || zones[zone] !== true) throw new Refusal(400, "Ecs.0005", "availability_zone is wrong.");
  const state = flavor.zones[zone] ?? flavor.status;
  if (state === "sellout") throw new Refusal(409, "Ecs.0319", "The flavor is sold out in this zone.");
  if (state === "abandon") throw new Refusal(400, "Ecs.0707", "The flavor is abandoned in this zone.");
  return zone;
};

const refuseWrong = (world: World, wanted: Wanted): void => {
  const wrong = (what: string): Refusal => new Refusal(400, "Ecs.0005", `The request parameter ${what} is wrong.`);
  const image = world.images.find(({ id }) => id === wanted.imageRef);
  const flavor = world.flavors.find(({ id }) => id === wanted.flavorRef);
  if (image === undefined || image.status !== "active") throw new Refusal(400, "Ecs.0007", "Image is not available.");
  if ((image.architecture === "arm") !== (flavor?.architecture === "arm64")) throw wrong("imageRef: architecture");
  if (wanted.root_volume.size < image.minDisk) throw wrong("root_volume.size: below min_disk");
  if (wanted.vpcid !== world.vpc.id) throw wrong("vpcid");
  if (wanted.nics[0]?.subnet_id !== world.subnet.id) throw wrong("nics.subnet_id");
  if ((wanted.security_groups ?? []).some(({ id }) => id !== world.securityGroup.id)) throw wrong("security_groups");
  const address = wanted.publicip?.id;
  if (address !== undefined && !world.addresses.some(({ id }) => id === address)) throw wrong("publicip.id");
  if (world.servers.some(({ addressId }) => address !== undefined && addressId === address))
    throw wrong("publicip.id: it is in use");
  if (wanted.key_name !== undefined && !world.keyPairs.includes(wanted.key_name)) throw wrong("key_name");
  if (Buffer.from(wanted.user_data ?? "", "base64").length > 32_768) throw wrong("user_data: too long");
  const { quotas } = world;
  use(quotas.instances, 1, "instances", "Ecs.0001");
  use(quotas.cores, flavor?.vcpus ?? 0, "cores", "Ecs.0001");
  use(quotas.ram, flavor?.ram ?? 0, "ram", "Ecs.0001");
  use(quotas.volumes, 1, "volumes", "Ecs.0001");
  use(quotas.gigabytes, wanted.root_volume.size, "gigabytes", "Ecs.0001");
};

/** Counts a server's parts, or gives them back. */
const count = (world: World, server: Server, by: 1 | -1): void => {
  const flavor = world.flavors.find(({ id }) => id === server.flavorId);
  const { quotas } = world;
  quotas.instances[0] += by;
  quotas.volumes[0] += by;
  quotas.cores[0] += by * (flavor?.vcpus ?? 0);
  quotas.ram[0] += by * (flavor?.ram ?? 0);
  quotas.gigabytes[0] += by * server.diskSize;
};

const createServer = (asked: Asked): Given => {
  const { world, body, now, clientToken, jobFailure } = asked;
  const { server: wanted, dry_run: isDry } = bodyOf(Create, body, "Ecs.0005");
  if (isDry === true) {
    refuseWrong(world, wanted);
    zoneFor(world, wanted);
    return { status: 202, body: {} };
  }
  const digest = createHash("sha256").update(JSON.stringify(body)).digest("hex");
  const known = tokens.get(world) ?? new Map<string, { digest: string; until: number; job: string }>();
  tokens.set(world, known);
  if (clientToken !== undefined) {
    if (!uuid.test(clientToken)) throw new Refusal(400, "Ecs.0123", "X-Client-Token is not a UUID.");
    const earlier = known.get(clientToken);
    if (earlier !== undefined) {
      if (earlier.until < now) throw new Refusal(400, "Ecs.0124", "X-Client-Token has expired.");
      if (earlier.digest !== digest) throw new Refusal(400, "Ecs.0122", "X-Client-Token with other parameters.");
      return { status: 200, body: { job_id: earlier.job } };
    }
  }
  refuseWrong(world, wanted);
  const server: Server = {
    id: newId(),
    name: wanted.name,
    imageId: wanted.imageRef,
    flavorId: wanted.flavorRef,
    zone: zoneFor(world, wanted),
    status: "BUILD",
    address: "192.168.0.17",
    addressId: wanted.publicip?.id,
    keyName: wanted.key_name,
    diskSize: wanted.root_volume.size,
    tags: Object.fromEntries((wanted.server_tags ?? []).map(({ key, value }) => [key, value])),
    created: new Date(now).toISOString(),
    ...(wanted.extendparam?.marketType === "spot" && { charging: "2" as const }),
    ...(wanted.user_data !== undefined && { userData: wanted.user_data }),
  };
  world.servers.push(server);
  world.volumes.push({ id: newId(), name: `${server.name}-volume-0000`, serverId: server.id });
  count(world, server, 1);
  const job = startJob(asked, {
    service: "ecs",
    type: "createServer",
    takes: world.takes.create,
    entities: {
      sub_jobs_total: 1,
      sub_jobs: [{ status: "RUNNING", job_type: "createSingleServer", entities: { server_id: server.id } }],
    },
    finish: () => {
      if (jobFailure === undefined) {
        server.status = "ACTIVE";
        boot(world, server, now + world.takes.create);
      } else {
        // A create that fails is rolled back.
        world.servers.splice(world.servers.indexOf(server), 1);
        world.volumes = world.volumes.filter(({ serverId }) => serverId !== server.id);
        count(world, server, -1);
      }
    },
  });
  if (clientToken !== undefined) known.set(clientToken, { digest, until: now + uuidHours * 3_600_000, job });
  return { status: 200, body: { job_id: job, serverIds: [server.id] } };
};

/** @throws Refusal when there is none. */
export const serverOf = ({ servers }: World, id: string | undefined): Server => {
  const found = servers.find((server) => server.id === id);
  if (found === undefined) throw new Refusal(404, "Ecs.0114", `Instance[${id ?? ""}] could not be found.`);
  return found;
};

/** A disk without a name, as Packer's plugin asks for one. */
const createVolume = (asked: Asked): Given => {
  const { world, body } = asked;
  const { volume, server_id: serverId } = bodyOf(CreateVolume, body, "EVS.2001");
  const server = serverOf(world, serverId);
  if (volume.availability_zone !== server.zone) throw new Refusal(400, "EVS.2010", "The server is in another zone.");
  const { volumes, gigabytes } = world.quotas;
  use(volumes, 1, "volumes", "EVS.1013");
  use(gigabytes, volume.size, "gigabytes", "EVS.1013");
  const made: World["volumes"][number] = { id: newId(), name: "", serverId: undefined };
  world.volumes.push(made);
  const job = startJob(asked, {
    service: "evs",
    type: "createVolume",
    takes: world.takes.create,
    entities: { volume_id: made.id },
    finish: () => {
      if (world.servers.includes(server)) made.serverId = server.id;
    },
  });
  return { status: 202, body: { job_id: job, volume_ids: [made.id] } };
};

/** Reads the file when the job comes to it, not when it is asked. */
const createFromFile = (asked: Asked): Given => {
  const { world, body, jobFailure } = asked;
  const wanted = bodyOf(CreateFromFile, body, "IMG.0005");
  const [bucketName = "", ...keyParts] = wanted.image_url.split(":");
  const bucket = world.buckets.get(bucketName);
  const object = bucket?.objects.get(keyParts.join(":"));
  if (bucket?.region !== world.region || object === undefined)
    throw new Refusal(400, "IMG.0160", "The image file does not exist, or is in another region.");
  if (wanted.os_version !== undefined && !world.systems.includes(wanted.os_version))
    throw new Refusal(400, "IMG.0116", "os_version is not supported.");
  use(world.quotas.images, 1, "image", "IMG.0057");
  const tags = Object.fromEntries((wanted.image_tags ?? []).map(({ key, value }) => [key, value]));
  const image: World["images"][number] = {
    id: newId(),
    name: wanted.name,
    type: "private",
    status: "queued",
    architecture: wanted.architecture ?? "x86",
    minDisk: wanted.min_disk,
    firmware: wanted.architecture === "arm" ? "uefi" : "bios",
    environment: "FusionCompute",
    platform: wanted.os_version?.split(" ")[0] ?? "Other",
    osVersion: wanted.os_version ?? "",
    createdAt: new Date(asked.now).toISOString(),
    description: wanted.description ?? "",
    size: object.bytes.length,
    tags,
  };
  world.images.push(image);
  world.quotas.images[0] += 1;
  const isQcow2 = object.bytes.toString("latin1", 0, 4) === "QFI\xfb";
  const job = startJob(
    {
      ...asked,
      jobFailure:
        jobFailure ?? (isQcow2 ? undefined : { code: "IMG.0161", reason: "The file format is not supported." }),
    },
    {
      service: "ims",
      type: "imsCreateImageByFile",
      takes: world.takes.import,
      entities: { image_id: image.id, image_name: image.name },
      finish: () => {
        image.status = jobFailure === undefined && isQcow2 ? "active" : "killed";
      },
    },
  );
  return { status: 200, body: { job_id: job } };
};

export const makingRoutes: Routes = {
  "ECS POST /v2.1/{project_id}/os-keypairs": {
    answer: ({ world, body }) => {
      const { name } = bodyOf(KeyPair, body, "Ecs.0005").keypair;
      if (world.keyPairs.includes(name)) throw new Refusal(409, "Ecs.0601", `Key pair ${name} already exists.`);
      if (world.keyPairs.length >= world.quotas.keyPairs)
        throw new Refusal(403, "Ecs.0001", "Quota exceeded, too many key pairs.");
      world.keyPairs.push(name);
      const { privateKey } = generateKeyPairSync("rsa", {
        modulusLength: 2048,
        privateKeyEncoding: { type: "pkcs1", format: "pem" },
        publicKeyEncoding: { type: "pkcs1", format: "pem" },
      });
      return {
        status: 200,
        body: { keypair: { name, private_key: privateKey, public_key: "ssh-rsa AAAA Generated-by-Nova" } },
      };
    },
  },
  "ECS DELETE /v2.1/{project_id}/os-keypairs/{keypair_name}": {
    answer: ({ world, parameters }) => {
      const at = world.keyPairs.indexOf(parameters["keypair_name"] ?? "");
      if (at < 0) throw new Refusal(404, "Ecs.0602", "Key pair could not be found.");
      world.keyPairs.splice(at, 1);
      return { status: 202 };
    },
  },
  "VPC POST /v1/{project_id}/publicips": {
    answer: ({ world, body }) => {
      const { bandwidth } = bodyOf(Address, body, "VPC.0007");
      use(world.quotas.addresses, 1, "publicIp", "VPC.0504");
      world.quotas.addresses[0] += 1;
      const made = { id: newId(), address: "203.0.113.7", bandwidthName: bandwidth.name };
      world.addresses.push(made);
      return {
        status: 200,
        body: { publicip: { id: made.id, public_ip_address: made.address, status: "PENDING_CREATE" } },
      };
    },
  },
  "VPC GET /v1/{project_id}/publicips/{publicip_id}": {
    answer: ({ world, parameters }) => {
      const found = world.addresses.find(({ id }) => id === parameters["publicip_id"]);
      if (found === undefined) throw new Refusal(404, "VPC.0504", "Floating IP could not be found.");
      const status = world.servers.some(({ addressId }) => addressId === found.id) ? "ACTIVE" : "DOWN";
      return { status: 200, body: { publicip: { id: found.id, public_ip_address: found.address, status } } };
    },
  },
  "VPC DELETE /v1/{project_id}/publicips/{publicip_id}": {
    answer: ({ world, parameters }) => {
      const at = world.addresses.findIndex(({ id }) => id === parameters["publicip_id"]);
      if (at < 0) throw new Refusal(404, "VPC.0504", "Floating IP could not be found.");
      if (world.servers.some(({ addressId }) => addressId === parameters["publicip_id"])) {
        throw new Refusal(409, "VPC.0510", "Floating ip is associated with a port.");
      }
      world.addresses.splice(at, 1);
      world.quotas.addresses[0] -= 1;
      return { status: 204 };
    },
  },
  "EVS POST /v2.1/{project_id}/cloudvolumes": { answer: createVolume },
  "EVS GET /v1/{project_id}/jobs/{job_id}": { answer: (asked) => jobAnswer("evs", asked) },
  "ECS POST /v1/{project_id}/cloudservers": { answer: createServer },
  "ECS GET /v1/{project_id}/jobs/{job_id}": { answer: (asked) => jobAnswer("ecs", asked) },
  "IMS GET /v1/{project_id}/jobs/{job_id}": { answer: (asked) => jobAnswer("ims", asked) },
  "ECS GET /v1/{project_id}/cloudservers/{server_id}": {
    answer: ({ world, parameters }) => ({
      status: 200,
      body: { server: serverBody(serverOf(world, parameters["server_id"])) },
    }),
  },
  "ECS GET /v1/{project_id}/cloudservers/{server_id}/os-interface": {
    answer: ({ world, parameters }) => ({
      status: 200,
      body: {
        interfaceAttachments: [
          {
            port_state: "ACTIVE",
            net_id: world.subnet.id,
            fixed_ips: [{ ip_address: serverOf(world, parameters["server_id"]).address }],
          },
        ],
      },
    }),
  },
  "ECS POST /v1/{project_id}/cloudservers/{server_id}/actions/update-auto-terminate-time": {
    answer: ({ world, parameters, body, now }) => {
      const { auto_terminate_time: time } = bodyOf(EndLater, body, "Ecs.0005");
      const server = serverOf(world, parameters["server_id"]);
      if ((server.charging ?? "0") !== "0")
        throw new Refusal(400, "Ecs.0005", "Only a pay-per-use server has an auto_terminate_time.");
      if (time !== "" && (Date.parse(time) < now + 1_800_000 || Date.parse(time) > now + 3 * 365 * 86_400_000)) {
        throw new Refusal(400, "Ecs.0005", "auto_terminate_time is out of range.");
      }
      server.endsAt = time;
      return { status: 200 };
    },
  },
  "ECS POST /v1/{project_id}/cloudservers/action": {
    answer: (asked) => {
      const { world, body } = asked;
      const stopped = bodyOf(Stop, body, "Ecs.0005")["os-stop"].servers.map(({ id }) => serverOf(world, id));
      const running = stopped.find(({ status }) => status !== "ACTIVE");
      if (running !== undefined) throw new Refusal(409, "Ecs.0207", `Server is ${running.status}.`);
      const job = startJob(asked, {
        service: "ecs",
        type: "stopServer",
        takes: world.takes.stop,
        entities: {},
        finish: () => {
          for (const server of stopped) server.status = "SHUTOFF";
        },
      });
      return { status: 200, body: { job_id: job } };
    },
  },
  "IMS POST /v2/cloudimages/action": {
    answer: (asked) => {
      const { world, body, jobFailure } = asked;
      if (typeof body === "object" && body !== null && "image_url" in body) return createFromFile(asked);
      const wanted = bodyOf(CreateImage, body, "IMG.0005");
      const server = serverOf(world, wanted.instance_id);
      if (!["ACTIVE", "SHUTOFF"].includes(server.status))
        throw new Refusal(400, "IMG.0144", `Server is ${server.status}.`);
      use(world.quotas.images, 1, "image", "IMG.0057");
      const source = world.images.find(({ id }) => id === server.imageId);
      if (source === undefined) throw new Error("a server of no image");
      const image = {
        ...source,
        id: newId(),
        name: wanted.name,
        type: "private" as const,
        status: "queued" as "queued" | "active" | "killed",
        minDisk: server.diskSize,
        createdAt: new Date(asked.now).toISOString(),
        description: wanted.description ?? "",
        size: 3_221_225_472,
        tags: Object.fromEntries((wanted.image_tags ?? []).map(({ key, value }) => [key, value])),
      };
      world.images.push(image);
      world.quotas.images[0] += 1;
      const job = startJob(asked, {
        service: "ims",
        type: "imsCreateImageByInstance",
        takes: world.takes.image,
        entities: { image_id: image.id, image_name: image.name },
        finish: () => {
          image.status = jobFailure === undefined ? "active" : "killed";
        },
      });
      return { status: 200, body: { job_id: job } };
    },
  },
  "ECS POST /v1/{project_id}/cloudservers/delete": {
    answer: (asked) => {
      const { world, body } = asked;
      const wanted = bodyOf(Delete, body, "Ecs.0005");
      const gone = wanted.servers.map(({ id }) => serverOf(world, id));
      const job = startJob(asked, {
        service: "ecs",
        type: "deleteServer",
        takes: world.takes.delete,
        entities: {},
        finish: () => {
          if (asked.jobFailure !== undefined) return;
          for (const server of gone) {
            for (const volume of world.volumes.filter(({ serverId }) => serverId === server.id)) {
              if (wanted.delete_volume === true) world.volumes.splice(world.volumes.indexOf(volume), 1);
              else volume.serverId = undefined;
            }
            const at = world.servers.indexOf(server);
            if (at < 0) continue;
            world.servers.splice(at, 1);
            count(world, server, -1);
          }
        },
      });
      return { status: 200, body: { job_id: job } };
    },
  },
};
