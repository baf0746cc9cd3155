/** Servers of ECS against the emulated cloud: what a look sees, how a server is held, and how it comes by another system. */
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Mover } from "../../src/rollout/ports.ts";
import { makeEcsMover } from "../../src/rollout/movers/ecs.ts";
import { failing } from "../failing.ts";
import { cloudOf, type TestCloud } from "../huaweicloud/cloud-of.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { bakedImage, fleetServer, scalingGroup, type Server } from "../huaweicloud/world.ts";

const start = Date.UTC(2026, 10, 27, 3);
const [old, fresh] = ["aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"];
const listCall = "ECS GET /v1/{project_id}/cloudservers/detail";
const groupCall = "AS GET /autoscaling-api/v1/{project_id}/scaling_group";
const changeCall = "ECS POST /v2/{project_id}/cloudservers/{server_id}/changeos";
const tagsCall = "ECS POST /v1/{project_id}/cloudservers/{server_id}/tags/action";
const userData = "#cloud-config\n# Made by bake\nhostname: npu\n";

let emulator: Emulator;
let cloud: TestCloud;
let mover: Mover;
beforeEach(async () => {
  emulator = await startEmulator(() => start);
  emulator.world.images.push(bakedImage(old, "Old"), bakedImage(fresh, "New"));
  cloud = cloudOf(emulator);
  mover = makeEcsMover(cloud, { now: emulator.now });
});
afterEach(() => emulator.close());

const add = (number: number, rest: Partial<Server> = {}): Server => {
  const server = fleetServer(number, { imageId: old, ...rest });
  emulator.world.servers.push(server);
  return server;
};

const callsOf = (route: string): number => emulator.calls.filter((call) => call === route).length;
const only = async () => {
  const [node] = await mover.look();
  if (node === undefined) throw new Error("no node");
  return node;
};

describe("look", () => {
  test("a thousand servers are one list call, a thousand and one two; groups are asked for once", async () => {
    for (let number = 1; number <= 1000; number += 1) add(number);
    expect((await mover.look()).length).toBe(1000);
    expect(callsOf(listCall)).toBe(1);
    expect(callsOf(groupCall)).toBe(1);
    await mover.look();
    expect([callsOf(listCall), callsOf(groupCall)]).toEqual([2, 1]);
    add(1001);
    expect((await mover.look()).length).toBe(1001);
    expect([callsOf(listCall), callsOf(groupCall)]).toEqual([4, 2]);
    emulator.advance(16 * 60_000);
    await mover.look();
    expect(callsOf(groupCall)).toBe(3);
  });

  test("what a node is; a host name loses its domain and its capitals; user-data is nowhere", async () => {
    add(1, { hostname: "NPU-0001.example.com", tags: { "bake-rollout": "r1" }, userData: "U0VDUkVU" });
    add(2, { status: "SHUTOFF", task: "powering-on" });
    add(3, { status: "ERROR" });
    const nodes = await mover.look();
    expect(nodes[0]).toEqual({
      id: fleetServer(1).id,
      name: "npu-0001",
      hostname: "npu-0001",
      kind: "ecs",
      image: old,
      power: "active",
      task: undefined,
      tags: { "bake-rollout": "r1" },
      heldBy: "r1",
      group: undefined,
    });
    expect(nodes.slice(1).map(({ hostname, power, task }) => [hostname, power, task])).toEqual([
      ["npu-0002", "stopped", "powering-on"],
      ["npu-0003", "error", undefined],
    ]);
    expect(JSON.stringify(nodes)).not.toContain("U0VDUkVU");
  });

  test("members of AS groups are known by their group's name, more than a page of them too", async () => {
    const members = Array.from({ length: 120 }, (_, at) => add(at + 1));
    emulator.world.scalingGroups.push(scalingGroup(members, { min: 0, max: 200 }));
    add(121);
    const nodes = await mover.look();
    expect(nodes.filter(({ group }) => group?.name === "builders").length).toBe(120);
    expect(nodes[120]?.group).toBeUndefined();
    const error = await failing(mover.change(fleetServer(5).id, { image: fresh, userData }));
    expect(error.code).toBe("BK451");
    expect(error.message).toContain("builders");
    expect(callsOf(changeCall)).toBe(0);
  });

  test("who may not see AS groups is told so: nobody would know who is a member", async () => {
    add(1);
    emulator.forbid(groupCall);
    expect((await failing(mover.look())).code).toBe("BK421");
  });
});

describe("hold", () => {
  test("the tag is written and seen, taken off, and each twice; another rollout's stays", async () => {
    const { id } = add(1, { tags: { team: "ci" } });
    await mover.hold(id, "r1");
    await mover.hold(id, "r1");
    expect((await only()).heldBy).toBe("r1");
    await mover.release(id, "r2");
    expect((await only()).heldBy).toBe("r1");
    await mover.release(id, "r1");
    await mover.release(id, "r1");
    expect((await only()).heldBy).toBeUndefined();
    expect(emulator.world.servers[0]?.tags).toEqual({ team: "ci" });
  });

  test("a busy service is asked again; a server that is gone needs no release, and cannot be held", async () => {
    const { id } = add(1);
    emulator.fail(tagsCall, { status: 429 }, { status: 500 }, { lost: true });
    await mover.hold(id, "r1");
    expect((await only()).heldBy).toBe("r1");
    emulator.world.servers = [];
    await mover.release(id, "r1");
    expect((await failing(mover.hold(id, "r1"))).code).toBe("BK422");
  });
});

describe("change", () => {
  test("one call; stopped, rebuilt and running by the clock; its system starts with the new user-data", async () => {
    const server = add(1);
    const booted: string[] = [];
    emulator.world.onBooted = ({ name, imageId }) => void booted.push(`${name} ${imageId}`);
    const { job } = await mover.change(server.id, { image: fresh, userData });
    expect(await only()).toMatchObject({ image: old, power: "active", task: "powering-off" });
    expect(await mover.changeState(server.id, job)).toEqual({ state: "running" });
    emulator.advance(10_000);
    expect(await only()).toMatchObject({ power: "stopped", task: "rebuilding" });
    emulator.advance(120_000);
    expect(await only()).toMatchObject({ image: fresh, power: "active", task: undefined });
    expect(await mover.changeState(server.id, job)).toEqual({ state: "done" });
    expect(booted).toEqual([]);
    emulator.advance(60_000);
    expect(booted).toEqual([`npu-0001 ${fresh}`]);
    expect(gunzipSync(Buffer.from(server.bootedWith ?? "", "base64")).toString()).toBe(userData);
    expect(callsOf(changeCall)).toBe(1);
  });

  test("without user-data it keeps its own", async () => {
    const server = add(1, { userData: "T1dO" });
    await mover.change(server.id, { image: fresh, userData: undefined });
    emulator.advance(200_000);
    expect([server.imageId, server.bootedWith]).toEqual([fresh, "T1dO"]);
    const bare = add(2, { userData: "" });
    expect((await failing(mover.change(bare.id, { image: fresh, userData: undefined }))).code).toBe("BK452");
  });

  test("a server paid for in advance: the order is paid; a spot one is refused before anything is sent", async () => {
    const paid = add(1, { charging: "1" });
    await mover.change(paid.id, { image: fresh, userData });
    const spot = add(2, { charging: "2" });
    const error = await failing(mover.change(spot.id, { image: fresh, userData }));
    expect([error.code, error.message]).toEqual([
      "BK452",
      `npu-0002 (${spot.id}) is a spot server: the cloud does not change its system`,
    ]);
    expect(callsOf(changeCall)).toBe(1);
  });

  test("an answer that is lost, 429 and 500: sent once, and what became of it is seen by the next look", async () => {
    const server = add(1);
    emulator.fail(changeCall, { lost: true });
    const lost = await failing(mover.change(server.id, { image: fresh, userData }));
    expect([lost.code, lost.help]).toEqual([
      "BK423",
      "Nobody knows whether it was done: look into the cloud before it is tried again.",
    ]);
    expect(callsOf(changeCall)).toBe(1);
    expect((await only()).task).toBe("powering-off");
    const other = add(2);
    for (const status of [429, 500]) {
      emulator.fail(changeCall, { status });
      expect((await failing(mover.change(other.id, { image: fresh, userData }))).code).toBe("BK423");
    }
    expect(callsOf(changeCall)).toBe(3);
    // It is being changed already.
    expect((await failing(mover.change(server.id, { image: fresh, userData }))).message).toContain("powering-off");
  });

  test("a system that starts with its old user-data has the new image all the same: nothing depends on the new one", async () => {
    const server = add(1);
    server.userData = "T1dO";
    emulator.fail(changeCall, { instead: { oldUserData: true } });
    await mover.change(server.id, { image: fresh, userData });
    emulator.advance(400_000);
    expect(await only()).toMatchObject({ image: fresh, power: "active", task: undefined });
    expect(server.bootedWith).toBe("T1dO");
  });

  test("a job that succeeds with the wrong image, and one that fails, are seen as such", async () => {
    const server = add(1);
    emulator.fail(changeCall, { instead: { image: old } });
    const wrong = await mover.change(server.id, { image: fresh, userData });
    emulator.advance(200_000);
    expect(await mover.changeState(server.id, wrong.job)).toEqual({ state: "done" });
    expect((await only()).image).toBe(old);
    emulator.fail(changeCall, { job: { code: "Ecs.0319", reason: "no room" } });
    const failed = await mover.change(server.id, { image: fresh, userData });
    emulator.advance(200_000);
    const state = await mover.changeState(server.id, failed.job);
    expect(state.state).toBe("failed");
    expect(state.reason).toContain("Ecs.0319: no room");
    expect(await only()).toMatchObject({ power: "stopped", image: old, task: undefined });
    expect(await mover.changeState(server.id, undefined)).toMatchObject({ state: "unknown" });
    expect(await mover.changeState(server.id, "0123")).toMatchObject({ state: "unknown" });
  });

  test.each([
    [
      "an image that was deleted",
      (image: string) => void (emulator.world.images = emulator.world.images.filter(({ id }) => id !== image)),
      "Ecs.0007",
    ],
    ["no room for another disk", () => void (emulator.world.quotas.volumes = [400, 400]), "Ecs.0001"],
    [
      "the wrong architecture",
      (image: string) =>
        void Object.assign(emulator.world.images.find(({ id }) => id === image) ?? {}, { architecture: "x86" }),
      "Ecs.0005",
    ],
  ])("%s: the cloud's own words, and the server is as it was", async (_, happens, code) => {
    const server = add(1);
    happens(fresh);
    const error = await failing(mover.change(server.id, { image: fresh, userData }));
    expect(error.message).toContain(code);
    expect(await only()).toMatchObject({ image: old, power: "active", task: undefined });
  });

  test("a server that is gone, and user-data that is too long, are refused before anything is sent", async () => {
    add(1);
    expect((await failing(mover.change(fleetServer(9).id, { image: fresh, userData }))).code).toBe("BK450");
    let noise = "";
    for (let seed = 1; noise.length < 80_000; seed = (seed * 48_271) % 2_147_483_647) noise += seed.toString(36);
    const error = await failing(mover.change(fleetServer(1).id, { image: fresh, userData: noise }));
    expect(error.code).toBe("BK453");
    expect(error.message).not.toContain(noise.slice(0, 20));
    expect(callsOf(changeCall)).toBe(0);
  });
});
