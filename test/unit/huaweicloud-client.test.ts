/** The client against the emulated cloud: what is signed, what is sent again and what never is, and what errors say. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { BakeError } from "../../src/errors.ts";
import { CloudError } from "../../src/huaweicloud/client.ts";
import { endpointsOf } from "../../src/huaweicloud/endpoints.ts";
import { reasonOf } from "../../src/huaweicloud/reason.ts";
import { waitForJob } from "../../src/huaweicloud/job-wait.ts";
import { cloudOf, hostOf } from "../huaweicloud/cloud-of.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { ids, key } from "../huaweicloud/world.ts";

let emulator: Emulator;
beforeEach(async () => {
  emulator = await startEmulator(() => Date.UTC(2026, 10, 26, 13));
});
afterEach(() => emulator.close());

const Anything = z.looseObject({});
const limits = "ECS GET /v1/{project_id}/cloudservers/limits";
const create = "ECS POST /v1/{project_id}/cloudservers";
const token = "0a0b0c0d-1111-4222-8333-444455556666";

const server = (name = "bake-2cards-0123456789") => ({
  server: {
    name,
    imageRef: ids.sourceImage,
    flavorRef: "kc1.large.4",
    availability_zone: "cn-north-4b",
    vpcid: ids.vpc,
    nics: [{ subnet_id: ids.subnet }],
    security_groups: [{ id: ids.securityGroup }],
    root_volume: { volumetype: "SSD", size: 40 },
  },
});

const failing = async (work: Promise<unknown>): Promise<CloudError> => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof CloudError)) throw new Error(`no CloudError: ${String(error)}`, { cause: error });
  return error;
};

test("a call goes through the proxy to its service, signed by host, date and project, and its answer is read", async () => {
  const cloud = cloudOf(emulator);
  const { absolute } = await cloud.call("serverLimits", {
    answer: z.object({ absolute: z.object({ maxTotalInstances: z.number() }) }),
  });
  expect(absolute.maxTotalInstances).toBe(200);
  expect(emulator.calls).toEqual([limits]);
  expect(emulator.headers[0]).toMatchObject({ host: "ecs.cn-north-4.myhuaweicloud.com", "x-project-id": ids.project });
  expect(emulator.headers[0]?.authorization).toContain("SignedHeaders=host;x-project-id;x-sdk-date,");
  expect(cloud.clockSkew()).toBe(0);
});

test("temporary credentials send their token, signed; without it they are refused", async () => {
  emulator.world.keys.push({ accessKey: "TEMPORARY", secretKey: "T", securityToken: "TOKEN.EXAMPLE" });
  const temporary = { accessKey: "TEMPORARY", secretKey: "T", securityToken: "TOKEN.EXAMPLE" };
  await cloudOf(emulator, { credentials: temporary }).call("serverLimits", { answer: Anything });
  expect(emulator.headers[0]?.authorization).toContain("SignedHeaders=host;x-project-id;x-sdk-date;x-security-token,");
  const { accessKey, secretKey } = temporary;
  const error = await failing(
    cloudOf(emulator, { credentials: { accessKey, secretKey } }).call("serverLimits", { answer: Anything }),
  );
  expect(error.code).toBe("BK420");
});

test("temporary credentials that end between two calls: told once, and nothing is sent again", async () => {
  const temporary = { accessKey: "TEMPORARY", secretKey: "T", securityToken: "TOKEN.EXAMPLE" };
  emulator.world.keys.push({ ...temporary });
  const cloud = cloudOf(emulator, { credentials: temporary });
  await cloud.call("serverLimits", { answer: Anything });
  emulator.world.keys.pop();
  const error = await failing(cloud.call("serverLimits", { answer: Anything }));
  expect([error.code, error.help]).toEqual(["BK420", expect.stringContaining("end after a day at most")]);
  expect(await failing(cloud.call("listZones", { answer: Anything }))).toBe(error);
  expect(emulator.calls).toHaveLength(2);
});

test("a job that never ends is told as such after the time that it may take; it goes on in the cloud", async () => {
  emulator.world.takes.create = 48 * 3_600_000;
  const cloud = cloudOf(emulator);
  const { job_id: job } = await cloud.call("createServer", {
    body: server(),
    clientToken: token,
    answer: z.object({ job_id: z.string() }),
  });
  const looks: number[] = [];
  const error = await failing(
    waitForJob(cloud, hostOf(emulator, cloud), "showJob", job, {
      most: 600_000,
      onLook: (seconds) => looks.push(seconds),
    }),
  );
  expect([error.code, error.message, error.help]).toEqual([
    "BK433",
    `the ECS job ${job} is RUNNING after 10 minutes`,
    "It goes on in the cloud: look again later.",
  ]);
  // Each 5 s, and no longer than that.
  expect(looks.length).toBe(121);
  expect(emulator.world.servers).toHaveLength(1);
});

test("IAM is asked without a project; what is found is used from then on", async () => {
  const { projectId: _, ...none } = { projectId: undefined };
  const cloud = cloudOf(emulator, { ...none });
  const { projects } = await cloud.call("listProjects", {
    query: { name: "cn-north-4" },
    answer: z.object({ projects: z.array(z.object({ id: z.string() })) }),
  });
  cloud.useProject(projects[0]?.id ?? "");
  await cloud.call("serverLimits", { answer: Anything });
  expect(emulator.calls).toEqual(["IAM GET /v3/projects", limits]);
  expect(emulator.headers[0]?.["x-project-id"]).toBeUndefined();
});

describe("credentials that are refused", () => {
  test("nothing is sent again, by no later call either: repeated refusals lock the key", async () => {
    const cloud = cloudOf(emulator, { credentials: { ...key, secretKey: "WRONG.SECRET.EXAMPLE" } });
    const error = await failing(cloud.call("serverLimits", { answer: Anything }));
    expect(error).toMatchObject({ code: "BK420", status: 401, reason: { code: "APIGW.0301" } });
    expect(error.message).toBe(
      "Huawei Cloud refuses the credentials: APIGW.0301: Incorrect IAM authentication information: verify aksk signature fail (401)",
    );
    expect(error.help).toContain("request request-1");
    expect(await failing(cloud.call("listZones", { answer: Anything }))).toBe(error);
    expect(emulator.calls).toEqual([limits]);
    expect(cloud.waits).toEqual([]);
  });

  test("neither the access key, which the cloud repeats, nor the secret is in what is said", async () => {
    const cloud = cloudOf(emulator, { credentials: { accessKey: "UNKNOWN.KEY.EXAMPLE", secretKey: "S.EXAMPLE" } });
    const error = await failing(cloud.call("serverLimits", { answer: Anything }));
    expect(error.message).toContain("ak:***,err:ak not exist");
    expect([error.message, error.help, error.stack, JSON.stringify(error)].join()).not.toMatch(
      /UNKNOWN\.KEY|S\.EXAMPLE/,
    );
  });

  test.each([
    [16 * 60_000, "16 minutes behind"],
    [-20 * 60_000, "20 minutes ahead of"],
  ])("a clock that is off by %i ms is the reason that is told", async (off, words) => {
    const cloud = cloudOf({ ...emulator, now: () => Date.UTC(2026, 10, 26, 13) - off });
    const error = await failing(cloud.call("serverLimits", { answer: Anything }));
    expect(error.code).toBe("BK420");
    expect(error.message).toBe(`this machine's clock is ${words} the cloud's: every signature is refused`);
  });

  test("14 minutes are allowed", async () => {
    const cloud = cloudOf({ ...emulator, now: () => Date.UTC(2026, 10, 26, 13) - 14 * 60_000 });
    await cloud.call("serverLimits", { answer: Anything });
    expect(cloud.clockSkew()).toBe(14 * 60_000);
  });
});

describe("busy and broken services", () => {
  test("a call that looks is repeated, after what the service asks or longer each time", async () => {
    emulator.fail(limits, { status: 429, retryAfter: "7" }, { status: 500 }, { status: 503 }, { lost: true });
    const cloud = cloudOf(emulator);
    await cloud.call("serverLimits", { answer: Anything });
    expect(emulator.calls).toHaveLength(5);
    expect(cloud.waits).toEqual([7000, 2000, 4000, 8000]);
    // Each with a date of its own.
    expect(new Set(emulator.headers.map((each) => each["x-sdk-date"])).size).toBe(5);
  });

  test("not for ever; the last answer is told", async () => {
    emulator.fail(limits, ...Array.from({ length: 9 }, () => ({ status: 429 })));
    const error = await failing(cloudOf(emulator).call("serverLimits", { answer: Anything }));
    expect(emulator.calls).toHaveLength(5);
    expect(error).toMatchObject({ code: "BK423", status: 429, reason: { code: "APIGW.0308" } });
    expect(error.help).toContain("Too many calls at a time");
  });

  test("what the service will never do is not asked for again", async () => {
    emulator.fail(limits, { status: 501 });
    expect((await failing(cloudOf(emulator).call("serverLimits", { answer: Anything }))).status).toBe(501);
    expect(emulator.calls).toHaveLength(1);
  });

  test.each([[{ status: 500 }], [{ status: 429 }], [{ lost: true as const }]])(
    "a call that makes something is sent once: %j",
    async (fault) => {
      emulator.fail(create, fault);
      const error = await failing(cloudOf(emulator).call("createServer", { body: server(), answer: Anything }));
      expect(error.code).toBe("BK423");
      if ("lost" in fault) expect(error.help).toContain("Nobody knows whether it was done");
      expect(emulator.calls).toEqual([create]);
    },
  );

  test.each([[{ status: 500 }], [{ lost: true as const }]])(
    "with a client token it is sent again, and there is one server: %j",
    async (fault) => {
      emulator.fail(create, fault, fault);
      const cloud = cloudOf(emulator);
      const answer = z.object({ job_id: z.string() });
      const { job_id: job } = await cloud.call("createServer", { body: server(), answer, clientToken: token });
      expect(emulator.calls).toHaveLength(3);
      expect(emulator.world.servers).toHaveLength(1);
      expect(emulator.world.jobs.map(({ id }) => id)).toEqual([job]);
      // The same token for something else is a mistake.
      const other = await failing(
        cloud.call("createServer", { body: server("bake-other"), answer, clientToken: token }),
      );
      expect(other).toMatchObject({ code: "BK422", reason: { code: "Ecs.0122" } });
      expect(emulator.world.servers).toHaveLength(1);
    },
  );
});

test("a right that is missing is named", async () => {
  emulator.forbid(limits);
  const error = await failing(cloudOf(emulator).call("serverLimits", { answer: Anything }));
  expect(error.code).toBe("BK421");
  expect(error.message).toMatch(/^ECS GET \/v1\/\{project_id\}\/cloudservers\/limits is not allowed: Forbidden: /);
  expect(error.help).toContain("ecs:cloudServerQuotas:get in cn-north-4");
});

test("a refusal has the cloud's code and reason, what to do, and the request's number", async () => {
  const body = { server: { ...server().server, root_volume: { volumetype: "SSD", size: 39 } } };
  const error = await failing(cloudOf(emulator).call("createServer", { body, answer: Anything }));
  expect(error).toMatchObject({ code: "BK422", status: 400, reason: { code: "Ecs.0005", requestId: "request-1" } });
  expect(error.help).toBe(
    "A parameter is refused: bake doctor looks at image, flavor, disk and names.\nFor the cloud's support: request request-1.",
  );
});

test("a redirect is not followed: a signature is for one place", async () => {
  emulator.fail(limits, { redirect: "https://ecs.cn-north-4.myhuaweicloud.com/elsewhere" });
  const error = await failing(cloudOf(emulator).call("serverLimits", { answer: Anything }));
  expect(error).toMatchObject({ code: "BK422", status: 302 });
  expect(emulator.calls).toEqual([limits]);
});

test("an answer of another shape, and one that is no JSON, are no answers", async () => {
  const shape = z.object({ absolute: z.object({ nothing: z.number() }) });
  const error = await failing(cloudOf(emulator).call("serverLimits", { answer: shape }));
  expect(error.code).toBe("BK424");
  expect(error.message).toContain("absolute.nothing:");
  emulator.fail(limits, { status: 200, body: "<html>" });
  expect((await failing(cloudOf(emulator).call("serverLimits", { answer: Anything }))).message).toContain("no JSON");
});

test("a region that is not there is told as such, after a few attempts", async () => {
  const cloud = cloudOf(emulator, { region: "cn-nowhere-9", endpoints: endpointsOf("cn-nowhere-9") });
  const error = await failing(cloud.call("serverLimits", { answer: Anything }));
  expect(error.code).toBe("BK423");
  expect(error.message).toContain("no answer from https://ecs.cn-nowhere-9.myhuaweicloud.com");
  expect(error.help).toContain("HTTPS_PROXY");
});

test("what would leave its place in a path is refused before anything is sent", async () => {
  for (const vpc of ["a/b", "..", ""]) {
    await expect(
      cloudOf(emulator).call("showVpc", { parameters: { vpc_id: vpc }, answer: Anything }),
    ).rejects.toBeInstanceOf(RangeError);
  }
  expect(emulator.calls).toEqual([]);
});

test("a build's calls in the plugin's order: from key pair to image, with nothing left", async () => {
  const cloud = cloudOf(emulator);
  const Job = z.object({
    status: z.enum(["INIT", "RUNNING", "SUCCESS", "FAIL"]),
    entities: z.looseObject({
      image_id: z.string().optional(),
      sub_jobs: z.array(z.object({ entities: z.object({ server_id: z.string() }) })).optional(),
    }),
  });
  const Started = z.object({ job_id: z.string() });
  const wait = async (name: "showJob" | "showImageJob", job: string): Promise<z.infer<typeof Job>["entities"]> => {
    for (;;) {
      const { status, entities } = await cloud.call(name, { parameters: { job_id: job }, answer: Job });
      if (status === "SUCCESS") return entities;
      emulator.advance(10_000);
    }
  };
  await cloud.call("createKeyPair", { body: { keypair: { name: "packer_1" } }, answer: Anything });
  await cloud.call("showVpc", { parameters: { vpc_id: ids.vpc }, answer: Anything });
  const bandwidth = { name: "packer_eip_bandwidth_1", size: 10, share_type: "PER" };
  const { publicip } = await cloud.call("createAddress", {
    body: { publicip: { type: "5_bgp" }, bandwidth },
    answer: z.object({ publicip: z.object({ id: z.string() }) }),
  });
  const address = { parameters: { publicip_id: publicip.id }, answer: Anything };
  await cloud.call("showAddress", address);
  const wanted = { server: { ...server().server, key_name: "packer_1", publicip: { id: publicip.id } } };
  const made = await cloud.call("createServer", { body: wanted, answer: Started });
  const id = (await wait("showJob", made.job_id)).sub_jobs?.[0]?.entities.server_id ?? "";
  await cloud.call("listInterfaces", { parameters: { server_id: id }, answer: Anything });
  const held = await failing(cloud.call("deleteAddress", address));
  expect(held.reason.code).toBe("VPC.0510");
  const stopped = await cloud.call("actOnServers", { body: { "os-stop": { servers: [{ id }] } }, answer: Started });
  await wait("showJob", stopped.job_id);
  const { server: shown } = await cloud.call("showServer", {
    parameters: { server_id: id },
    answer: z.object({ server: z.object({ status: z.string() }) }),
  });
  expect(shown.status).toBe("SHUTOFF");
  const image = { name: "bake-2cards", description: "", instance_id: id, image_tags: [{ key: "bake-id", value: "x" }] };
  const imaged = await cloud.call("createImage", { body: image, answer: Started });
  const imageId = (await wait("showImageJob", imaged.job_id)).image_id;
  const removed = await cloud.call("deleteServers", {
    body: { servers: [{ id }], delete_volume: true },
    answer: Started,
  });
  await wait("showJob", removed.job_id);
  await cloud.call("deleteAddress", address);
  await cloud.call("deleteKeyPair", { parameters: { keypair_name: "packer_1" }, answer: Anything });
  const { world } = emulator;
  expect([world.servers, world.keyPairs, world.addresses]).toEqual([[], [], []]);
  expect(world.images.find((each) => each.id === imageId)).toMatchObject({
    status: "active",
    minDisk: 40,
    tags: { "bake-id": "x" },
  });
  expect(world.quotas.instances[0]).toBe(3);
});

test.each([{ status: 500 }, { status: 429 }, { lost: true as const }])(
  "a call that is done once however often it is sent is sent again: %o",
  async (fault) => {
    emulator.world.keyPairs.push("packer_1");
    emulator.fail("ECS DELETE /v2.1/{project_id}/os-keypairs/{keypair_name}", fault);
    const removal = cloudOf(emulator).call("deleteKeyPair", {
      parameters: { keypair_name: "packer_1" },
      answer: Anything,
    });
    // Where only the answer was lost, it has gone by then.
    if ("lost" in fault) expect(await failing(removal)).toMatchObject({ status: 404 });
    else await removal;
    expect(emulator.world.keyPairs).toEqual([]);
    expect(emulator.calls).toHaveLength(2);
  },
);

test("reasons are read in each service's shape", () => {
  const none = {};
  expect(reasonOf('{"error_code":"IMG.0035","error_msg":"no"}', none)).toEqual({ code: "IMG.0035", message: "no" });
  expect(reasonOf('{"error":{"code":"Ecs.0001","message":"m"}}', none)).toEqual({ code: "Ecs.0001", message: "m" });
  expect(reasonOf('{"error":{"code":401,"message":"m","title":"Unauthorized"}}', none)).toEqual({ message: "m" });
  expect(reasonOf('{"code":"VPC.0101","message":"m","request_id":"r"}', none)).toEqual({
    code: "VPC.0101",
    message: "m",
    requestId: "r",
  });
  expect(reasonOf('{"itemNotFound":{"message":"m","code":404}}', none)).toEqual({ message: "m" });
  expect(reasonOf('{"NeutronError":{"message":"m","type":"T"}}', none)).toEqual({ code: "T", message: "m" });
  expect(reasonOf("<html><b>502\n</b> Bad\u0000Gateway</html>", { "x-request-id": "r" })).toEqual({
    message: "502 Bad Gateway",
    requestId: "r",
  });
  expect(reasonOf("", none)).toEqual({});
  expect(reasonOf("[]", none)).toEqual({ message: "[]" });
});

test("endpoints of a region, and others by variables", () => {
  expect(endpointsOf("cn-north-4")).toMatchObject({
    iam: "https://iam.cn-north-4.myhuaweicloud.com",
    eip: "https://vpc.cn-north-4.myhuaweicloud.com",
  });
  expect(endpointsOf("eu-west-101").ecs).toBe("https://ecs.eu-west-101.myhuaweicloud.eu");
  // As the plugin takes it: IAM there, and the others in its domain.
  const authUrl = { HW_AUTH_URL: "https://iam.eu-de.otc.t-systems.com/v3" };
  expect(endpointsOf("eu-de", authUrl)).toMatchObject({
    iam: "https://iam.eu-de.otc.t-systems.com",
    ims: "https://ims.eu-de.otc.t-systems.com",
  });
  expect(endpointsOf("r", { HW_ENDPOINT_ECS: "https://ecs.example.com:8443/" }).ecs).toBe(
    "https://ecs.example.com:8443",
  );
  for (const wrong of [
    "http://ecs.example.com",
    "ecs.example.com",
    "https://u:p@ecs.example.com",
    "https://e.com/v1",
  ]) {
    expect(() => endpointsOf("r", { HW_ENDPOINT_ECS: wrong })).toThrow(BakeError);
  }
});
