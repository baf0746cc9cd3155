/** Routes of the catalogue: tags, attributes, members, copies and deletion of images, and lists of what a bake may leave. */
import * as z from "zod";
import { portOf } from "./looking.ts";
import { type Asked, bodyOf, type Given, newId, Refusal, type Routes, startJob } from "./route.ts";
import type { Image, World } from "./world.ts";

const Tag = z.strictObject({
  key: z.string().regex(/^[^=*<>\\,|/]{1,36}$/),
  value: z
    .string()
    .regex(/^[^=*<>\\,|/]{0,43}$/)
    .optional(),
});
const ChangeTags = z.strictObject({ action: z.enum(["create", "delete"]), tags: z.array(Tag).min(1).max(10) });
const mostTags = 10;

const Patch = z
  .array(
    z.strictObject({ op: z.enum(["add", "replace", "remove"]), path: z.string().startsWith("/"), value: z.string() }),
  )
  .min(1);

const project = z.string().regex(/^[0-9a-f]{32}$/);
const Members = z.strictObject({
  images: z.array(z.string()).min(1),
  projects: z.array(project).min(1),
});
const mostMembers = 256;

const description = z
  .string()
  .max(1024)
  .regex(/^[^\n<>]*$/)
  .optional();
const name = z.string().regex(/^(?! )[\u4e00-\u9fa5A-Za-z0-9_. -]{1,128}(?<! )$/);
const Copy = z.strictObject({
  name,
  description,
  cmk_id: z.uuid().optional(),
  enterprise_project_id: z.string().optional(),
});
const CopyToRegion = z.strictObject({
  name,
  description,
  region: z.string(),
  project_name: z.string(),
  agency_name: z.string().min(1),
});

const imageOf = ({ images }: World, id: string | undefined): Image => {
  const found = images.find((image) => image.id === id && image.status !== "deleted");
  if (found === undefined) throw new Refusal(404, "IMG.0027", `Image ${id ?? ""} could not be found.`);
  return found;
};

/** The other regions of the account, by name: a copy comes to be there. */
const regions = new WeakMap<World, Map<string, World>>();

/** Makes another region of this account known. */
export const addRegion = (world: World, other: World): void => {
  regions.set(world, (regions.get(world) ?? new Map<string, World>()).set(other.region, other));
};

const requireActive = (image: Image): void => {
  if (image.status !== "active") throw new Refusal(400, "IMG.0020", `Image ${image.id} is ${image.status}.`);
};

const startCopy = (asked: Asked, source: Image, into: World, changed: Partial<Image>): Given => {
  if (into.quotas.images[0] + 1 > into.quotas.images[1])
    throw new Refusal(403, "IMG.0057", "Quota exceeded for image.");
  const { encryptedBy: _, shutdownTimeout: __, members: ___, ...rest } = source;
  const copy: Image = {
    ...rest,
    id: newId(),
    status: "queued",
    tags: {},
    createdAt: new Date(asked.now).toISOString(),
    ...changed,
  };
  into.images.push(copy);
  into.quotas.images[0] += 1;
  const job = startJob(asked, {
    service: "ims",
    type: "imsCopyImage",
    takes: asked.world.takes.copy,
    entities: { image_id: copy.id },
    finish: () => {
      copy.status = asked.jobFailure === undefined ? "active" : "killed";
    },
  });
  return { status: 200, body: { job_id: job } };
};

const changeMembers = (
  asked: Asked,
  code: string,
  change: (image: Image, projects: readonly string[]) => void,
): Given => {
  const { world, body } = asked;
  const wanted = bodyOf(Members, body, code);
  const images = wanted.images.map((id) => imageOf(world, id));
  for (const image of images) {
    requireActive(image);
    if (image.type !== "private") throw new Refusal(403, "IMG.0055", "Only private images can be shared.");
  }
  const job = startJob(asked, {
    service: "ims",
    type: "imsMembers",
    takes: world.takes.share,
    entities: {},
    finish: () => {
      if (asked.jobFailure !== undefined) return;
      for (const image of images) change(image, wanted.projects);
    },
  });
  return { status: 200, body: { job_id: job } };
};

export const catalogRoutes: Routes = {
  "IMS POST /v2/{project_id}/images/{image_id}/tags/action": {
    answer: ({ world, body, parameters }) => {
      const image = imageOf(world, parameters["image_id"]);
      const { action, tags } = bodyOf(ChangeTags, body, "IMG.0109");
      const changed = { ...image.tags };
      for (const { key, value = "" } of tags) {
        if (action === "create") changed[key] = value;
        else if (!(key in changed)) throw new Refusal(404, "IMG.0110", `No tag ${key}.`);
        else delete changed[key];
      }
      if (Object.keys(changed).length > mostTags) throw new Refusal(400, "IMG.0111", "More than 10 tags.");
      image.tags = changed;
      return { status: 204 };
    },
  },
  "IMS GET /v1/cloudimages/os_version": {
    query: ["tag"],
    answer: ({ world }) => {
      const platforms = [...new Set(world.systems.map((called) => called.split(" ")[0] ?? ""))];
      const lists = platforms.map((platform) => ({
        platform,
        version_list: world.systems
          .filter((called) => called.startsWith(`${platform} `))
          .map((called) => ({ platform, os_version_key: called, os_version: called, os_bit: 64, os_type: "Linux" })),
      }));
      // A list as it is, in no object.
      return { status: 200, body: lists };
    },
  },
  "IMS PATCH /v2/cloudimages/{image_id}": {
    answer: ({ world, body, parameters }) => {
      const image = imageOf(world, parameters["image_id"]);
      for (const { op, path, value } of bodyOf(Patch, body, "IMG.0005")) {
        if (path !== "/os_shutdown_timeout") throw new Refusal(403, "IMG.0030", `${path} cannot be changed.`);
        requireActive(image);
        if (op === "replace" && image.shutdownTimeout === undefined)
          throw new Refusal(400, "IMG.0035", "An attribute conflict occurred during the modification.");
        if (!/^\d+$/.test(value) || Number(value) < 60 || Number(value) > 300)
          throw new Refusal(400, "IMG.0005", "os_shutdown_timeout is wrong.");
        image.shutdownTimeout = value;
      }
      return { status: 200, body: { id: image.id } };
    },
  },
  "IMS GET /v2/images/{image_id}/members": {
    answer: ({ world, parameters }) => {
      const image = imageOf(world, parameters["image_id"]);
      const members = Object.entries(image.members ?? {}).map(([member, status]) => ({
        member_id: member,
        image_id: image.id,
        status,
        created_at: "2026-11-26T12:00:00Z",
        schema: "/v2/schemas/member",
      }));
      return { status: 200, body: { members, schema: "/v2/schemas/members" } };
    },
  },
  "IMS POST /v1/cloudimages/members": {
    answer: (asked) => {
      const { images, projects } = bodyOf(Members, asked.body, "IMG.0049");
      for (const id of images) {
        const { members = {} } = imageOf(asked.world, id);
        const twice = projects.find((each) => each in members);
        if (twice !== undefined) throw new Refusal(409, "IMG.0050", `Member ${twice} is there already.`);
        if (Object.keys(members).length + projects.length > mostMembers)
          throw new Refusal(403, "IMG.0051", "More than 256 members.");
      }
      return changeMembers(asked, "IMG.0049", (image, wanted) => {
        image.members = { ...image.members, ...Object.fromEntries(wanted.map((each) => [each, "pending" as const])) };
      });
    },
  },
  "IMS DELETE /v1/cloudimages/members": {
    answer: (asked) => {
      const { images, projects } = bodyOf(Members, asked.body, "IMG.0052");
      for (const id of images) {
        const { members = {} } = imageOf(asked.world, id);
        const none = projects.find((each) => !(each in members));
        if (none !== undefined) throw new Refusal(404, "IMG.0053", `No member ${none}.`);
      }
      return changeMembers(asked, "IMG.0052", (image, wanted) => {
        image.members = Object.fromEntries(
          Object.entries(image.members ?? {}).filter(([each]) => !wanted.includes(each)),
        );
      });
    },
  },
  "IMS POST /v1/cloudimages/{image_id}/copy": {
    answer: (asked) => {
      const source = imageOf(asked.world, asked.parameters["image_id"]);
      const { cmk_id: key, name: called, description: text = "" } = bodyOf(Copy, asked.body, "IMG.0005");
      requireActive(source);
      return startCopy(asked, source, asked.world, {
        name: called,
        description: text,
        ...(key !== undefined && { encryptedBy: key }),
      });
    },
  },
  "IMS POST /v1/cloudimages/{image_id}/cross_region_copy": {
    answer: (asked) => {
      const source = imageOf(asked.world, asked.parameters["image_id"]);
      const wanted = bodyOf(CopyToRegion, asked.body, "IMG.0005");
      requireActive(source);
      const into = regions.get(asked.world)?.get(wanted.region);
      if (into === undefined || into.project.name !== wanted.project_name)
        throw new Refusal(400, "IMG.0061", "Target region or project does not exist.");
      if (source.encryptedBy !== undefined) throw new Refusal(400, "IMG.0062", "An encrypted image cannot be copied.");
      if ((source.size ?? 0) > 128 * 1024 ** 3) throw new Refusal(400, "IMG.0063", "The image is larger than 128 GB.");
      const running = into.images.filter(({ status }) => status === "queued").length;
      if (running >= 5) throw new Refusal(400, "IMG.0064", "Too many copies at a time.");
      return startCopy(asked, source, into, { name: wanted.name, description: wanted.description ?? "" });
    },
  },
  "IMS DELETE /v2/images/{image_id}": {
    answer: ({ world, parameters }) => {
      const image = imageOf(world, parameters["image_id"]);
      if (image.type !== "private") throw new Refusal(403, "IMG.0030", "Only private images can be deleted.");
      if (image.status === "queued" || image.status === "saving")
        throw new Refusal(409, "IMG.0031", `Image ${image.id} is ${image.status}.`);
      world.images.splice(world.images.indexOf(image), 1);
      world.quotas.images[0] -= 1;
      return { status: 204 };
    },
  },
  "AS GET /autoscaling-api/v1/{project_id}/scaling_configuration": {
    query: ["image_id", "scaling_configuration_name", "start_number", "limit"],
    // The name that is asked for may stand anywhere in a configuration's own.
    answer: ({ world, query }) => {
      const found = world.scalingConfigurations.filter(
        ({ imageId, name: called }) =>
          (query["image_id"] === undefined || imageId === query["image_id"]) &&
          called.includes(query["scaling_configuration_name"] ?? ""),
      );
      const [start, limit] = [Number(query["start_number"] ?? 0), Number(query["limit"] ?? 20)];
      if (limit > 100) throw new Refusal(400, "AS.0001", "limit is above 100.");
      return {
        status: 200,
        body: {
          total_number: found.length,
          start_number: start,
          limit,
          scaling_configurations: found.slice(start, start + limit).map(({ id, name: called, imageId }) => ({
            scaling_configuration_id: id,
            scaling_configuration_name: called,
            instance_config: { imageRef: imageId, flavorRef: "kc1.large.4" },
            create_time: "2026-11-26T12:00:00Z",
          })),
        },
      };
    },
  },
  "VPC GET /v1/{project_id}/publicips": {
    query: ["limit", "marker"],
    answer: ({ world, query }) => {
      const after = world.addresses.findIndex(({ id }) => id === query["marker"]);
      const shown = world.addresses.slice(after + 1, after + 1 + Number(query["limit"] ?? 1000));
      return {
        status: 200,
        body: {
          publicips: shown.map(({ id, address, bandwidthName }) => {
            const on = world.servers.find(({ addressId }) => addressId === id);
            return {
              id,
              public_ip_address: address,
              bandwidth_name: bandwidthName,
              type: "5_bgp",
              create_time: "2026-11-26 12:00:00",
              status: on === undefined ? "DOWN" : "ACTIVE",
              ...(on !== undefined && { port_id: portOf(on.id), private_ip_address: on.address }),
            };
          }),
        },
      };
    },
  },
  "ECS GET /v2.1/{project_id}/os-keypairs": {
    query: ["limit", "marker"],
    answer: ({ world }) => ({
      status: 200,
      body: {
        keypairs: world.keyPairs.map((called) => ({ keypair: { name: called, fingerprint: "", public_key: "" } })),
      },
    }),
  },
  "EVS GET /v2/{project_id}/cloudvolumes/detail": {
    query: ["name", "server_id", "limit", "offset"],
    // The name that is asked for may stand anywhere in a disk's own.
    answer: ({ world, query }) => {
      const found = world.volumes.filter(
        (volume) =>
          volume.name.includes(query["name"] ?? "") &&
          (query["server_id"] === undefined || volume.serverId === query["server_id"]),
      );
      const [start, limit] = [Number(query["offset"] ?? 0), Number(query["limit"] ?? 1000)];
      return {
        status: 200,
        body: {
          count: found.length,
          volumes: found.slice(start, start + limit).map(({ id, name: called, serverId }) => ({
            id,
            name: called,
            status: serverId === undefined ? "available" : "in-use",
            size: 40,
            attachments: serverId === undefined ? [] : [{ server_id: serverId, device: "/dev/vda" }],
            created_at: "2026-11-26T12:00:00.000000",
          })),
        },
      };
    },
  },
  "EVS DELETE /v2/{project_id}/cloudvolumes/{volume_id}": {
    answer: (asked) => {
      const { world, parameters } = asked;
      const found = world.volumes.find(({ id }) => id === parameters["volume_id"]);
      if (found === undefined) throw new Refusal(404, "EVS.5404", "Volume could not be found.");
      if (found.serverId !== undefined) throw new Refusal(400, "EVS.5400", "Invalid volume: it is in use.");
      world.volumes.splice(world.volumes.indexOf(found), 1);
      return { status: 200, body: { job_id: newId() } };
    },
  },
};
