/** Making one server against the emulated cloud: the same request makes no second one, whatever happens to its answers. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  createServer,
  sameServer,
  tryServer,
  waitUntilActive,
  type WantedServer,
} from "../../src/huaweicloud/create-server.ts";
import { listNodes } from "../../src/huaweicloud/nodes.ts";
import { failing } from "../failing.ts";
import { cloudOf, hostOf, type TestCloud } from "../huaweicloud/cloud-of.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { bakedImage, fleetServer, ids } from "../huaweicloud/world.ts";

const start = Date.UTC(2026, 10, 27, 3);
const image = "aaaaaaaa-0000-4000-8000-000000000001";
const createCall = "ECS POST /v1/{project_id}/cloudservers";
const jobCall = "ECS GET /v1/{project_id}/jobs/{job_id}";
const userData = Buffer.from("#cloud-config\n").toString("base64");

let emulator: Emulator;
let cloud: TestCloud;
let host: ReturnType<typeof hostOf>;
beforeEach(async () => {
  emulator = await startEmulator(() => start);
  emulator.world.images.push(bakedImage(image, "Bake1"));
  cloud = cloudOf(emulator);
  host = hostOf(emulator, cloud);
});
afterEach(() => emulator.close());

const wanted = (rest: Partial<WantedServer> = {}): WantedServer => ({
  name: "npu-0008",
  image,
  flavor: "kc1.large.4",
  zone: "cn-north-4b",
  vpc: ids.vpc,
  subnet: ids.subnet,
  securityGroup: ids.securityGroup,
  systemDisk: { size: 40, type: "SSD" },
  dataDisks: [{ size: 500, type: "ESSD" }],
  keyPair: undefined,
  agency: "ci-nodes",
  enterpriseProject: undefined,
  tags: { "bake-id": "Bake1".padEnd(43, "x"), "bake-profile": "2cards" },
  ...rest,
});

const servers = (): string[] => emulator.world.servers.map(({ id }) => id);

test("a dry run makes nothing, and says what the cloud would refuse", async () => {
  await tryServer(cloud, wanted());
  expect(servers()).toEqual([]);
  expect((await failing(tryServer(cloud, wanted({ zone: "cn-north-4a" })))).message).toContain("Ecs.0319");
  expect((await failing(tryServer(cloud, wanted({ flavor: "s6.large.2" })))).message).toContain("Ecs.0005");
});

test("it runs, with its tags and its user-data", async () => {
  const id = await createServer(cloud, host, wanted(), userData);
  expect(emulator.world.servers).toMatchObject([
    { id, name: "npu-0008", imageId: image, status: "ACTIVE", userData, tags: wanted().tags },
  ]);
});

describe("made once", () => {
  test.each([
    ["the answer of the call is lost", createCall, { lost: true as const }],
    ["the service is broken", createCall, { status: 500 }],
    ["too many calls", createCall, { status: 429 }],
    ["the job cannot be asked for", jobCall, { status: 503 }],
  ])("%s", async (_, route, fault) => {
    emulator.fail(route, fault);
    const id = await createServer(cloud, host, wanted(), userData);
    expect(servers()).toEqual([id]);
  });

  test("the command was killed after its call: the same one finds that server, though no list has it yet", async () => {
    const alive = cloud.call;
    const killed: TestCloud = {
      ...cloud,
      call: async (name, request) => {
        if (name === "showJob") throw new Error("killed");
        return alive(name, request);
      },
    };
    await expect(createServer(killed, host, wanted(), userData)).rejects.toThrow("killed");
    const id = await createServer(cloud, host, wanted(), userData);
    expect(servers()).toEqual([id]);
  });

  test("a server that was removed since is made anew within the eight hours, and one of an old token as well", async () => {
    const first = await createServer(cloud, host, wanted(), userData);
    emulator.world.servers = [];
    const second = await createServer(cloud, host, wanted(), userData);
    expect(second).not.toBe(first);
    emulator.world.servers = [];
    emulator.advance(9 * 3_600_000);
    const third = await createServer(cloud, host, wanted(), userData);
    expect(servers()).toEqual([third]);
  });

  test("one that the cloud could not make is told with its reason; the next command tries anew", async () => {
    emulator.fail(createCall, { job: { code: "Ecs.0319", reason: "no room for kc1.large.4" } });
    const error = await failing(createServer(cloud, host, wanted(), userData));
    expect([error.code, error.message.includes("no room for kc1.large.4")]).toEqual(["BK433", true]);
    expect(servers()).toEqual([]);
    const id = await createServer(cloud, host, wanted(), userData);
    expect(servers()).toEqual([id]);
  });

  test("tokens are UUIDs, another for each request", async () => {
    emulator.world.servers = [];
    await createServer(cloud, host, wanted(), userData);
    await createServer(cloud, host, wanted({ name: "npu-0009" }), userData);
    const tokens = emulator.headers.map((each) => each["x-client-token"]).filter((each) => each !== undefined);
    expect(new Set(tokens).size).toBe(2);
    for (const token of tokens)
      expect(token).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

describe("a name that is taken", () => {
  const there = async (rest: Parameters<typeof fleetServer>[1]) => {
    emulator.world.servers.push(fleetServer(8, { name: "npu-0008", imageId: image, ...rest }));
    // A longer name is another's.
    emulator.world.servers.push(fleetServer(9, { name: "npu-00081" }));
    return listNodes(cloud, { name: "npu-0008" });
  };

  test("the server that is wanted", async () => {
    const found = await there({ tags: { "bake-profile": "2cards" } });
    expect(sameServer(found, wanted())?.id).toBe(fleetServer(8).id);
  });

  test.each([
    ["another image", { imageId: ids.sourceImage, tags: { "bake-profile": "2cards" } }, `made from ${ids.sourceImage}`],
    ["another profile", { tags: { "bake-profile": "4cards" } }, "not one of this profile"],
    ["no tags", {}, "not one of this profile"],
  ])("%s is refused", async (_, rest, words) => {
    const found = await there(rest);
    expect(() => sameServer(found, wanted())).toThrow(words);
  });

  test("two of the name are refused, whatever they are", async () => {
    emulator.world.servers.push(fleetServer(7, { name: "npu-0008", tags: { "bake-profile": "2cards" } }));
    const found = await there({ tags: { "bake-profile": "2cards" } });
    expect(() => sameServer(found, wanted())).toThrow("2 servers npu-0008");
  });

  test("one that is still being made is waited for; one that the cloud takes back is told", async () => {
    const node = { id: fleetServer(8).id, name: "npu-0008" };
    await there({ status: "BUILD" });
    emulator.on(
      "ECS GET /v1/{project_id}/cloudservers/detail",
      () => undefined,
      () => {
        for (const server of emulator.world.servers) server.status = "ACTIVE";
      },
    );
    await waitUntilActive(cloud, host, node);
    expect(cloud.waits).toEqual([10_000]);
    emulator.world.servers = [];
    expect((await failing(waitUntilActive(cloud, host, node))).code).toBe("BK456");
  });
});
