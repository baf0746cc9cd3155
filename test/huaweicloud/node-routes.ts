/** Routes of servers of a fleet: the tag that holds one, and the change of its system. */
import * as z from "zod";
import { serverOf, use } from "./making.ts";
import { type Asked, bodyOf, boot, type Given, later, Refusal, type Routes, startJob } from "./route.ts";
import { metalRoutes } from "./metal-routes.ts";
import { isMember, memberStopped, scalingRoutes } from "./scaling-routes.ts";
import type { Server, World } from "./world.ts";

const Tag = z.strictObject({
  key: z.string().regex(/^[\u4e00-\u9fffA-Za-z0-9_-]{1,36}$/),
  value: z
    .string()
    .regex(/^[\u4e00-\u9fffA-Za-z0-9_.-]{0,43}$/)
    .optional(),
});
const ChangeTags = z.strictObject({ action: z.enum(["create", "delete"]), tags: z.array(Tag).min(1).max(10) });
const mostTags = 10;

const ChangeOs = z.strictObject({
  "os-change": z.strictObject({
    imageid: z.uuid(),
    mode: z.literal("withStopServer").optional(),
    keyname: z.string().optional(),
    userid: z.string().optional(),
    adminpass: z.string().optional(),
    metadata: z.strictObject({ user_data: z.base64().optional() }).optional(),
    isAutoPay: z.enum(["true", "false"]).optional(),
  }),
});

/** @throws Refusal for a change that the service does not take. */
const requireChange = (
  world: World,
  server: Server,
  wanted: z.infer<typeof ChangeOs>["os-change"],
): World["images"][number] => {
  const wrong = (what: string): Refusal => new Refusal(400, "Ecs.0005", `The request parameter ${what} is wrong.`);
  const userData = wanted.metadata?.user_data ?? "";
  if (wanted.adminpass !== undefined && wanted.keyname !== undefined) throw wrong("adminpass, keyname: both");
  if (wanted.keyname !== undefined && wanted.userid === undefined) throw wrong("userid");
  if (wanted.adminpass === undefined && wanted.keyname === undefined && userData === "") throw wrong("user_data");
  if (Buffer.from(userData, "base64").length > 32_768) throw wrong("user_data: too long");
  if (server.task !== undefined) throw new Refusal(409, "Ecs.0021", `Instance is ${server.task}.`);
  const mayRun = wanted.mode === "withStopServer" ? ["ACTIVE", "SHUTOFF"] : ["SHUTOFF"];
  if (!mayRun.includes(server.status)) throw new Refusal(400, "Ecs.0021", `Instance is ${server.status}.`);
  if (server.charging === "2") throw new Refusal(400, "Ecs.0225", "A spot instance cannot change its OS.");
  if (server.charging === "1" && wanted.isAutoPay !== "true") throw wrong("isAutoPay: the order is not paid");
  const image = world.images.find(({ id }) => id === wanted.imageid);
  if (image === undefined || image.status !== "active") throw new Refusal(400, "Ecs.0007", "Image is not available.");
  const flavor = world.flavors.find(({ id }) => id === server.flavorId);
  if ((image.architecture === "arm") !== (flavor?.architecture === "arm64")) throw wrong("imageid: architecture");
  const before = world.images.find(({ id }) => id === server.imageId);
  if (before !== undefined && before.firmware !== image.firmware) throw wrong("imageid: boot mode");
  if (image.environment !== "FusionCompute") throw wrong("imageid: virtual_env_type");
  if (image.minDisk > server.diskSize) throw wrong("imageid: min_disk is above the system disk");
  // The new disk is made before the old one goes.
  use(world.quotas.volumes, 1, "volumes", "Ecs.0001");
  return image;
};

const changeOs = (asked: Asked): Given => {
  const { world, body, parameters, now, jobFailure, instead } = asked;
  const server = serverOf(world, parameters["server_id"]);
  const wanted = bodyOf(ChangeOs, body, "Ecs.0005")["os-change"];
  const image = requireChange(world, server, wanted);
  const [stopped, done] = [now + world.takes.stop, now + world.takes.stop + world.takes.changeOs];
  server.task = "powering-off";
  later(world, stopped, () => {
    server.status = "SHUTOFF";
    server.task = "rebuilding";
    // AS takes a stopped member for a broken one.
    if (isMember(world, server.id)) memberStopped(world, server, stopped);
  });
  const job = startJob(asked, {
    service: "ecs",
    type: "changeOsWithCloudInit",
    takes: done - now,
    entities: { server_id: server.id },
    finish: () => {
      delete server.task;
      if (jobFailure !== undefined) return;
      server.imageId = instead?.image ?? image.id;
      const userData = wanted.metadata?.user_data;
      if (userData !== undefined && instead?.oldUserData !== true) server.userData = userData;
      server.status = "ACTIVE";
      boot(world, server, done);
    },
  });
  return { status: 200, body: { job_id: job } };
};

export const nodeRoutes: Routes = {
  ...scalingRoutes,
  ...metalRoutes,
  "ECS POST /v1/{project_id}/cloudservers/{server_id}/tags/action": {
    answer: ({ world, body, parameters }) => {
      const server = serverOf(world, parameters["server_id"]);
      const { action, tags } = bodyOf(ChangeTags, body, "Ecs.0005");
      const changed = { ...server.tags };
      for (const { key, value } of tags) {
        if (action === "create") changed[key] = value ?? "";
        // One that is not there, or has another value, is no error.
        else if (value === undefined || changed[key] === value) delete changed[key];
      }
      if (Object.keys(changed).length > mostTags) throw new Refusal(400, "Ecs.0301", "More than 10 tags.");
      server.tags = changed;
      return { status: 204 };
    },
  },
  "ECS POST /v2/{project_id}/cloudservers/{server_id}/changeos": { answer: changeOs },
};
