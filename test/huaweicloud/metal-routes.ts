/** Routes of bare metal servers, and of Lite Servers, which stand on them. */
import * as z from "zod";
import { serverBody } from "./looking.ts";
import { bodyOf, boot, jobAnswer, later, Refusal, type Routes, startJob } from "./route.ts";
import type { LiteServer, Server, World } from "./world.ts";

const ChangeOs = z.strictObject({
  "os-change": z.strictObject({
    imageid: z.uuid(),
    keyname: z.string(),
    userid: z.string(),
    metadata: z.strictObject({ user_data: z.base64() }).optional(),
  }),
});
const Stop = z.strictObject({
  "os-stop": z.strictObject({
    type: z.enum(["SOFT", "HARD"]),
    servers: z.array(z.strictObject({ id: z.string() })).min(1),
  }),
});
const Tags = z.strictObject({
  action: z.enum(["create", "delete"]),
  tags: z.array(z.strictObject({ key: z.string().min(1).max(36), value: z.string().max(43) })).min(1),
});
const ChangeLite = z.strictObject({
  image_id: z.uuid(),
  key_pair_name: z.string().min(1),
  user_data: z.base64().optional(),
});

const metalOf = ({ bareMetal }: World, id: string | undefined): Server => {
  const found = bareMetal.find((server) => server.id === id);
  if (found === undefined) throw new Refusal(404, "BMS.0114", `Instance ${id ?? ""} could not be found.`);
  return found;
};

const liteOf = ({ liteServers }: World, id: string | undefined): LiteServer => {
  const found = liteServers.find((server) => server.id === id);
  if (found === undefined) throw new Refusal(404, "ModelArts.7000", `Server ${id ?? ""} does not exist.`);
  return found;
};

const requireIronic = ({ images }: World, id: string): void => {
  const image = images.find((each) => each.id === id && each.status === "active");
  if (image === undefined) throw new Refusal(400, "BMS.0007", "Image is not available.");
  if (image.environment !== "Ironic") throw new Refusal(400, "BMS.0005", "virtual_env_type is not Ironic.");
};

const liteBody = ({ id, name, imageId, status }: LiteServer): object => ({
  id,
  name,
  status,
  charging_mode: "PRE_PAID",
  flavor: "physical.kat2ne.48xlarge.8.pd",
  cloud_server: { id: `cloud-${id}`, type: "BMS" },
  server_image_response: { image_id: imageId, arch: "ARM", server_type: "BMS", status: "ACTIVE" },
});

/** One that has to be in a state goes through another into a third. */
const move = (
  world: World,
  id: string | undefined,
  { from, by, to, at }: { from: LiteServer["status"]; by: LiteServer["status"]; to: LiteServer["status"]; at: number },
  done: (server: LiteServer) => void = () => undefined,
): { status: number; body: object } => {
  const server = liteOf(world, id);
  if (server.status !== from) throw new Refusal(400, "ModelArts.7001", `The server is ${server.status}.`);
  server.status = by;
  later(world, at, () => {
    server.status = to;
    done(server);
  });
  return { status: 202, body: liteBody(server) };
};

export const metalRoutes: Routes = {
  "BMS GET /v1/{project_id}/baremetalservers/detail": {
    query: ["name", "limit", "offset"],
    answer: ({ world, query }) => {
      const [limit, page] = [Number(query["limit"] ?? 25), Number(query["offset"] ?? 1)];
      const shown = world.bareMetal.slice(limit * (page - 1), limit * page);
      return {
        status: 200,
        body: { count: world.bareMetal.length, servers: shown.map((server) => serverBody(server)) },
      };
    },
  },
  "BMS GET /v1/{project_id}/jobs/{job_id}": { answer: (asked) => jobAnswer("bms", asked) },
  "BMS POST /v1/{project_id}/baremetalservers/action": {
    answer: (asked) => {
      const { servers } = bodyOf(Stop, asked.body, "BMS.0005")["os-stop"];
      const stopped = servers.map(({ id }) => metalOf(asked.world, id));
      const job = startJob(asked, {
        service: "bms",
        type: "stopBareMetal",
        takes: asked.world.takes.stop,
        entities: {},
        finish: () => {
          for (const server of stopped) server.status = "SHUTOFF";
        },
      });
      return { status: 200, body: { job_id: job } };
    },
  },
  "BMS POST /v1/{project_id}/baremetalservers/{server_id}/tags/action": {
    answer: ({ world, body, parameters }) => {
      const server = metalOf(world, parameters["server_id"]);
      const { action, tags } = bodyOf(Tags, body, "BMS.0005");
      for (const { key, value } of tags) {
        if (action === "create") server.tags[key] = value;
        else if (server.tags[key] === value) delete server.tags[key];
      }
      return { status: 204 };
    },
  },
  "BMS POST /v1/{project_id}/baremetalservers/{server_id}/changeos": {
    answer: (asked) => {
      const { world, now, jobFailure } = asked;
      const server = metalOf(world, asked.parameters["server_id"]);
      const wanted = bodyOf(ChangeOs, asked.body, "BMS.0005")["os-change"];
      if (server.status !== "SHUTOFF" || server.task !== undefined)
        throw new Refusal(400, "BMS.0021", `Instance is ${server.task ?? server.status}.`);
      if (!world.keyPairs.includes(wanted.keyname)) throw new Refusal(400, "BMS.0005", "keyname does not exist.");
      requireIronic(world, wanted.imageid);
      server.task = "rebuilding";
      const job = startJob(asked, {
        service: "bms",
        type: "changeBareMetalOs",
        takes: world.takes.changeOs,
        entities: {},
        finish: () => {
          delete server.task;
          if (jobFailure !== undefined) return;
          server.imageId = wanted.imageid;
          if (wanted.metadata !== undefined) server.userData = wanted.metadata.user_data;
          server.status = "ACTIVE";
          boot(world, server, now + world.takes.changeOs);
        },
      });
      return { status: 200, body: { jobId: job } };
    },
  },
  "MODELARTS GET /v1/{project_id}/dev-servers": {
    query: ["owner", "sort_dir", "sort_key", "limit", "offset"],
    answer: ({ world, query }) => {
      const [limit, from] = [Number(query["limit"] ?? 10), Number(query["offset"] ?? 0)];
      if (limit > 1024) throw new Refusal(400, "ModelArts.0104", "limit is above 1024.");
      const data = world.liteServers.slice(from, from + limit).map(liteBody);
      return { status: 200, body: { current: 1, pages: 1, size: limit, total: world.liteServers.length, data } };
    },
  },
  "MODELARTS GET /v1/{project_id}/dev-servers/{server_id}": {
    answer: ({ world, parameters }) => ({ status: 200, body: liteBody(liteOf(world, parameters["server_id"])) }),
  },
  "MODELARTS PUT /v1/{project_id}/dev-servers/{server_id}/stop": {
    answer: ({ world, parameters, now }) =>
      move(world, parameters["server_id"], {
        from: "RUNNING",
        by: "STOPPING",
        to: "STOPPED",
        at: now + world.takes.stop,
      }),
  },
  "MODELARTS PUT /v1/{project_id}/dev-servers/{server_id}/start": {
    answer: ({ world, parameters, now }) =>
      move(world, parameters["server_id"], {
        from: "STOPPED",
        by: "STARTING",
        to: "RUNNING",
        at: now + world.takes.boot,
      }),
  },
  "MODELARTS POST /v1/{project_id}/dev-servers/{server_id}/changeos": {
    answer: ({ world, parameters, now, body, jobFailure }) => {
      const wanted = bodyOf(ChangeLite, body, "ModelArts.0104");
      if (!world.keyPairs.includes(wanted.key_pair_name))
        throw new Refusal(400, "ModelArts.0104", "key_pair_name does not exist.");
      requireIronic(world, wanted.image_id);
      return move(
        world,
        parameters["server_id"],
        {
          from: "STOPPED",
          by: "CHANGING_OS",
          to: jobFailure === undefined ? "STOPPED" : "CHANGE_OS_FAILED",
          at: now + world.takes.changeOs,
        },
        (server) => {
          // The user-data takes no effect.
          if (jobFailure === undefined) server.imageId = wanted.image_id;
        },
      );
    },
  },
};
