/** What a bake leaves in the emulated cloud when it is cut off, call by call; what is removed of it, and what never is. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import {
  findLeftovers,
  formatLeftovers,
  type LeftoverQuery,
  removeLeftovers,
} from "../../src/huaweicloud/leftovers.ts";
import { cloudOf, hostOf, type TestCloud } from "../huaweicloud/cloud-of.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { ids } from "../huaweicloud/world.ts";

let emulator: Emulator;
let cloud: TestCloud;
beforeEach(async () => {
  emulator = await startEmulator(() => Date.UTC(2026, 10, 26, 13));
  cloud = cloudOf(emulator);
});
afterEach(() => emulator.close());

const serverName = "bake-2cards-AbCdEfGhIj";
const keyPair = "packer_69270b70-1111-2222-3333-444455556666";
const Anything = z.looseObject({});

/** What Packer's plugin makes in a build, up to the moment it is cut off at. @returns what its lines named until then. */
const build = async (calls: number, { name = serverName, key = keyPair } = {}): Promise<LeftoverQuery> => {
  let address = "";
  const steps = [
    () => cloud.call("createKeyPair", { body: { keypair: { name: key } }, answer: Anything }),
    async () => {
      const body = {
        publicip: { type: "5_bgp" },
        bandwidth: { name: "packer_eip_bandwidth_1795698000", size: 5, share_type: "PER" },
      };
      const answer = z.object({ publicip: z.object({ id: z.string() }) });
      address = (await cloud.call("createAddress", { body, answer })).publicip.id;
    },
    () =>
      cloud.call("createServer", {
        body: {
          server: {
            name,
            imageRef: ids.sourceImage,
            flavorRef: "kc1.large.4",
            availability_zone: "cn-north-4b",
            vpcid: ids.vpc,
            nics: [{ subnet_id: ids.subnet }],
            key_name: key,
            root_volume: { volumetype: "SSD", size: 40 },
            publicip: { id: address },
          },
        },
        answer: Anything,
      }),
    async () => emulator.advance(60_000),
  ];
  for (const step of steps.slice(0, calls)) await step();
  return { serverName, keyPairs: [key], ...(address !== "" && { addressIds: [address] }) };
};

const kinds = async (query: LeftoverQuery): Promise<string[]> =>
  (await findLeftovers(cloud, query)).found.map(({ kind, ours }) => (ours ? kind : `${kind}?`));

const nothing = () => ({
  servers: emulator.world.servers.map(({ name }) => name),
  keyPairs: emulator.world.keyPairs,
  addresses: emulator.world.addresses.map(({ bandwidthName }) => bandwidthName),
  volumes: emulator.world.volumes.map(({ name }) => name),
});

describe("a build that is cut off after each of its calls", () => {
  test.each([
    [0, []],
    [1, ["key pair"]],
    [2, ["address", "key pair"]],
    [3, ["server", "address", "key pair", "disk"]],
    [4, ["server", "address", "key pair", "disk"]],
  ])("after %i: all of it is found and removed", async (calls, expected) => {
    const query = await build(calls);
    const left = await findLeftovers(cloud, query);
    expect(left.found.map(({ kind }) => kind)).toEqual(expected);
    expect(left.found.every(({ ours }) => ours)).toBe(true);
    const removals = await removeLeftovers(cloud, hostOf(emulator, cloud), left);
    expect(removals.map(({ outcome }) => outcome)).toEqual(expected.map(() => "removed"));
    expect(nothing()).toEqual({ servers: [], keyPairs: [], addresses: [], volumes: [] });
  });
});

test("without what Packer's lines named: what hangs on the server is ours, the rest is told and stays", async () => {
  await build(2);
  expect(await kinds({ serverName })).toEqual(["address?", "key pair?"]);
  const left = await findLeftovers(cloud, { serverName });
  expect(await removeLeftovers(cloud, hostOf(emulator, cloud), left)).toEqual([]);
  expect(nothing()).toMatchObject({ keyPairs: [keyPair], addresses: ["packer_eip_bandwidth_1795698000"] });
  emulator.world.addresses.length = 0;
  emulator.world.keyPairs.length = 0;
  await build(4);
  expect(await kinds({ serverName })).toEqual(["server", "address", "key pair", "disk"]);
});

test("a disk that outlived its server goes by its name", async () => {
  emulator.world.volumes.push(
    { id: "v1", name: `${serverName}-volume-0000`, serverId: undefined },
    { id: "v2", name: `${serverName}-0001`, serverId: undefined },
    { id: "v3", name: serverName, serverId: undefined },
    { id: "v4", name: `${serverName}-mine`, serverId: undefined },
    { id: "v5", name: `x${serverName}`, serverId: undefined },
    // Somebody uses it.
    { id: "v6", name: `${serverName}-volume-0002`, serverId: "another" },
  );
  const left = await findLeftovers(cloud, { serverName });
  expect(left.found.map(({ id }) => id)).toEqual(["v1", "v2", "v3"]);
  await removeLeftovers(cloud, hostOf(emulator, cloud), left);
  expect(emulator.world.volumes.map(({ id }) => id)).toEqual(["v4", "v5", "v6"]);
});

test("of every bake of a profile, and of no other: names are compared whole", async () => {
  for (const [at, name] of [
    "bake-2cards-AbCdEfGhIj",
    "bake-2cards-0123456789",
    "bake-2cards-0123456789x",
    "bake-2cards-web",
    "bake-2cards-npu-0123456789",
    "my-bake-2cards-0123456789",
    "Bake-2cards-0123456789",
  ].entries()) {
    const [id, keyName] = [`server-${at}`, `packer_${at}`];
    emulator.world.keyPairs.push(keyName);
    emulator.world.servers.push({
      ...{
        id,
        name,
        keyName,
        imageId: ids.sourceImage,
        flavorId: "kc1.large.4",
        zone: "cn-north-4b",
        status: "ACTIVE",
      },
      ...{ address: "192.168.0.9", addressId: undefined, diskSize: 40, tags: {} },
    });
  }
  const query = { serverName: "bake-2cards-", anyBake: true };
  const { found } = await findLeftovers(cloud, query);
  expect(found.filter(({ kind }) => kind === "server").map(({ name }) => name)).toEqual([
    "bake-2cards-AbCdEfGhIj",
    "bake-2cards-0123456789",
  ]);
  // Key pairs of servers that are others' are not even told: a build runs with them.
  expect(found.filter(({ kind }) => kind === "key pair").map(({ id }) => id)).toEqual(["packer_0", "packer_1"]);
  await removeLeftovers(cloud, hostOf(emulator, cloud), { found, notLookedAt: [] });
  expect(emulator.world.servers).toHaveLength(5);
});

test("a key pair that another's server uses too, and an address that hangs on one, are not ours even when they are named", async () => {
  const query = await build(4, { name: "somebody-elses" });
  expect(await kinds(query)).toEqual(["address?"]);
  expect(await removeLeftovers(cloud, hostOf(emulator, cloud), await findLeftovers(cloud, query))).toEqual([]);
});

test("a kind that may not be listed is told; without servers nothing is ours, since nobody knows what is in use", async () => {
  const query = await build(4);
  emulator.forbid("EVS GET /v2/{project_id}/cloudvolumes/detail");
  const left = await findLeftovers(cloud, query);
  expect(left.found.map(({ kind }) => kind)).toEqual(["server", "address", "key pair"]);
  expect(formatLeftovers(left)).toMatch(/\n {2}not looked at: disks: EVS GET .* is not allowed: /);
  emulator.forbid("ECS GET /v1/{project_id}/cloudservers/detail");
  const blind = await findLeftovers(cloud, query);
  expect(blind.found.map(({ ours }) => ours)).not.toContain(true);
});

test("what the cloud refuses to remove stays with all that hangs on it, and the others go", async () => {
  const query = await build(4);
  emulator.world.volumes.push({ id: "alone", name: `${serverName}-volume-0001`, serverId: undefined });
  emulator.fail("ECS POST /v1/{project_id}/cloudservers/delete", { job: { code: "Ecs.0219", reason: "locked" } });
  const removals = await removeLeftovers(cloud, hostOf(emulator, cloud), await findLeftovers(cloud, query));
  expect(removals.map(({ leftover, outcome }) => [leftover.kind, outcome])).toEqual([
    ["server", "left"],
    ["address", "left"],
    ["key pair", "left"],
    ["disk", "left"],
    ["disk", "removed"],
  ]);
  expect(removals[0]?.reason).toMatch(/^the ECS job [0-9a-f]{32} failed: Ecs\.0219: locked$/);
  // Once more, and all goes.
  const again = await removeLeftovers(cloud, hostOf(emulator, cloud), await findLeftovers(cloud, query));
  expect(again.every(({ outcome }) => outcome === "removed")).toBe(true);
});

test("gone between the look and the removal: that is no failure; lost answers and a busy service are tried again", async () => {
  const query = await build(4);
  const left = await findLeftovers(cloud, query);
  emulator.world.servers.length = 0;
  emulator.world.keyPairs.length = 0;
  emulator.fail("VPC DELETE /v1/{project_id}/publicips/{publicip_id}", { status: 500 }, { lost: true });
  const removals = await removeLeftovers(cloud, hostOf(emulator, cloud), left);
  expect(removals.map(({ leftover, outcome }) => [leftover.kind, outcome])).toEqual([
    ["server", "gone already"],
    // Its answer was lost, and the second call found it gone.
    ["address", "gone already"],
    ["key pair", "gone already"],
    ["disk", "removed"],
  ]);
});

test("credentials that are refused end it at the first call", async () => {
  const wrong = cloudOf(emulator, { credentials: { accessKey: "NO", secretKey: "NO" } });
  await expect(findLeftovers(wrong, { serverName })).rejects.toMatchObject({ code: "BK420" });
  expect(emulator.calls).toHaveLength(1);
});

test("lines for people: kind, ID, name, state, age and why; user-data of servers is nowhere", async () => {
  const left = await findLeftovers(cloud, await build(4));
  expect(formatLeftovers(left).replace(/[0-9a-f]{8}-0{4}-[0-9a-f-]+/g, "ID")).toBe(
    [
      `  server     ID  ${serverName}, ACTIVE, since 2026-11-26T13:00:00.000Z: its name is a bake's of this profile`,
      "  address    ID  203.0.113.7 (packer_eip_bandwidth_1795698000), ACTIVE, since 2026-11-26 12:00:00: it hangs on the server ID",
      `  key pair   ${keyPair}: the server ID was made with it`,
      `  disk       ID  ${serverName}-volume-0000, in-use, since 2026-11-26T12:00:00.000000: it goes with the server ID`,
    ].join("\n"),
  );
  expect(JSON.stringify(left)).not.toContain("U0VDUkVU");
});
