/** An AS group against the emulated cloud, which keeps as many members as are wanted and is busy while it makes or removes some. */
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as z from "zod";
import type { ScalingGroup } from "../../src/rollout/ports.ts";
import { findGroup, makeScalingGroup } from "../../src/rollout/movers/scaling.ts";
import { failing } from "../failing.ts";
import { cloudOf, hostOf, type TestCloud } from "../huaweicloud/cloud-of.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { firePolicy } from "../huaweicloud/scaling-routes.ts";
import { bakedImage, fleetServer, scalingGroup, type ScalingGroup as Group } from "../huaweicloud/world.ts";

const start = Date.UTC(2026, 10, 27, 3);
const [old, fresh] = ["aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"];
const actCall = "AS POST /autoscaling-api/v1/{project_id}/scaling_group_instance/{scaling_group_id}/action";
const updateCall = "AS PUT /autoscaling-api/v1/{project_id}/scaling_group/{scaling_group_id}";
const makeCall = "AS POST /autoscaling-api/v1/{project_id}/scaling_configuration";

let emulator: Emulator;
let cloud: TestCloud;
let group: ScalingGroup;
let inWorld: Group;
beforeEach(async () => {
  emulator = await startEmulator(() => start);
  cloud = cloudOf(emulator);
  group = makeScalingGroup(cloud, hostOf(emulator, cloud), "g1");
  const { world } = emulator;
  world.images.push(bakedImage(old, "Old"), bakedImage(fresh, "New"));
  world.scalingConfigurations.push({
    id: "c1",
    name: "builders-old",
    imageId: old,
    rest: { user_data: "T0xE", key_name: "ops", security_groups: [{ id: "sg" }] },
  });
  const servers = [1, 2, 3].map((number) => fleetServer(number, { imageId: old }));
  world.servers.push(...servers);
  inWorld = scalingGroup(servers, { min: 1 });
  world.scalingGroups.push(inWorld);
  world.scalingPolicies.push({ id: "p1", name: "shrink", groupId: "g1", isOn: true, change: -1 });
});
afterEach(() => emulator.close());

const idOf = (number: number): string => fleetServer(number).id;

test("a wave: another configuration, more members, protected, the old ones removed, sizes as before", async () => {
  const before = await group.look();
  expect([before.sizes, before.configuration, before.isScaling, before.members.length]).toEqual([
    { min: 1, max: 3, desired: 3 },
    "c1",
    false,
    3,
  ]);
  const configuration = await group.configure({ image: fresh, userData: "#cloud-config\n" }, "bake-r1");
  expect(await group.configure({ image: fresh, userData: "#cloud-config\n" }, "bake-r1")).toBe(configuration);
  expect((await failing(group.configure({ image: old, userData: "#cloud-config\n" }, "bake-r1"))).code).toBe("BK713");
  const made = emulator.world.scalingConfigurations.find(({ id }) => id === configuration);
  expect(made).toMatchObject({ imageId: fresh, rest: { key_name: "ops", security_groups: [{ id: "sg" }] } });
  expect(gunzipSync(Buffer.from(String(made?.rest?.["user_data"]), "base64")).toString()).toBe("#cloud-config\n");
  await group.use(configuration);
  await group.resize({ min: 3, max: 5, desired: 5 });
  expect((await group.look()).members.filter(({ state }) => state === "coming").length).toBe(2);
  emulator.advance(100_000);
  const raised = await group.look();
  const added = raised.members.filter((member) => member.configuration === configuration).map(({ id }) => id);
  expect(raised.members.map(({ state, health }) => `${state} ${health}`)).toEqual(Array(5).fill("in service good"));
  await group.protect(added, true);
  await group.remove([idOf(1), idOf(2)]);
  emulator.advance(100_000);
  await group.protect(added, false);
  const after = await group.look();
  expect(after.members.map(({ id, isProtected }) => [id, isProtected])).toEqual(
    [idOf(3), ...added].map((id) => [id, false]),
  );
  expect(after.sizes).toEqual({ min: 3, max: 5, desired: 3 });
  await group.resize(before.sizes);
  expect((await group.look()).sizes).toEqual(before.sizes);
  expect(emulator.world.servers.map(({ imageId }) => imageId)).toEqual([old, fresh, fresh]);
});

test("a busy group is waited for, also one that a policy made busy, and one that stays so is told", async () => {
  emulator.on(actCall, () => firePolicy(emulator.world, "p1", emulator.now()));
  // Not for long: whether the member took a job meanwhile has to be looked at before it is asked for again.
  expect((await failing(group.remove([idOf(3)]))).code).toBe("BK457");
  expect(cloud.waits.length).toBeGreaterThan(5);
  emulator.advance(100_000);
  await group.remove([idOf(3)]);
  emulator.advance(100_000);
  expect((await group.look()).members.length).toBe(1);
  emulator.fail(
    updateCall,
    ...Array.from({ length: 200 }, () => ({ status: 400, body: '{"error":{"code":"AS.0003"}}' })),
  );
  expect((await failing(group.resize({ min: 0, max: 3, desired: 1 }))).code).toBe("BK457");
});

test("policies are paused, do nothing then, and are resumed", async () => {
  expect(await group.policies()).toEqual([{ id: "p1", name: "shrink", isOn: true }]);
  await group.switchPolicies(["p1"], false);
  firePolicy(emulator.world, "p1", emulator.now());
  expect((await group.look()).sizes.desired).toBe(3);
  await group.switchPolicies(["p1"], true);
  expect((await group.policies())[0]?.isOn).toBe(true);
});

test("members that have gone, that go meanwhile, and a removal whose answer was lost", async () => {
  emulator.on(actCall, () => {
    inWorld.members = inWorld.members.filter(({ serverId }) => serverId !== idOf(1));
    inWorld.min = 0;
  });
  await group.remove([idOf(1), idOf(2), idOf(9)]);
  // AS makes another for the one that went by itself.
  emulator.advance(300_000);
  emulator.fail(actCall, { lost: true });
  expect((await failing(group.remove([idOf(3)]))).code).toBe("BK423");
  await group.remove([idOf(3)]);
  // The first found one gone and was sent again for the other; the one that was lost was not.
  expect(emulator.calls.filter((call) => call === actCall).length).toBe(3);
  await expect(group.remove(Array.from({ length: 11 }, (_, at) => idOf(at)))).rejects.toThrow(RangeError);
});

test("below its minimum, an image that is gone, an answer that is lost: the cloud's words, and nothing twice", async () => {
  inWorld.min = 3;
  expect((await failing(group.remove([idOf(1)]))).message).toContain("AS.2012");
  expect((await failing(group.resize({ min: 2, max: 3, desired: 4 }))).message).toContain("AS.2009");
  emulator.fail(makeCall, { lost: true });
  await failing(group.configure({ image: fresh, userData: undefined }, "bake-r1"));
  const configuration = await group.configure({ image: fresh, userData: undefined }, "bake-r1");
  expect(emulator.world.scalingConfigurations.map(({ id }) => id)).toEqual(["c1", configuration]);
  expect(emulator.world.scalingConfigurations[1]?.rest?.["user_data"]).toBe("T0xE");
  expect((await failing(group.configure({ image: idOf(1), userData: undefined }, "bake-r2"))).message).toContain(
    "AS.1031",
  );
});

test("a group is found by its name or ID", async () => {
  expect([await findGroup(cloud, "builders"), await findGroup(cloud, "g1")]).toEqual(["g1", "g1"]);
  const none = await failing(findGroup(cloud, "builder"));
  expect([none.code, none.help]).toEqual(["BK450", "There are: builders."]);
  emulator.world.scalingGroups.push({ ...inWorld, id: "g2" });
  expect((await failing(findGroup(cloud, "builders"))).message).toContain("g1, g2");
});

test("a member whose system is changed is deleted by AS, and another is made: what bake refuses to begin", async () => {
  await cloud.call("changeServerSystem", {
    parameters: { server_id: idOf(1) },
    body: { "os-change": { imageid: fresh, mode: "withStopServer", metadata: { user_data: "TkVX" } } },
    answer: z.unknown(),
  });
  emulator.advance(70_000);
  expect(emulator.world.servers.map(({ id }) => id)).not.toContain(idOf(1));
  expect((await group.look()).members.filter(({ state }) => state === "coming").length).toBe(1);
});
