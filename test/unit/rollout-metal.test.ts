/** Bare metal servers and Lite Servers against the emulated cloud. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeBmsMover } from "../../src/rollout/movers/bms.ts";
import { makeLiteServerMover } from "../../src/rollout/movers/lite-server.ts";
import { failing } from "../failing.ts";
import { cloudOf, hostOf, type TestCloud } from "../huaweicloud/cloud-of.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { bakedImage, fleetServer } from "../huaweicloud/world.ts";

const start = Date.UTC(2026, 10, 27, 3);
const [old, fresh] = ["aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"];
const { id } = fleetServer(1);
const system = { image: fresh, userData: "#cloud-config\n" };

let emulator: Emulator;
let cloud: TestCloud;
beforeEach(async () => {
  emulator = await startEmulator(() => start);
  const { world } = emulator;
  world.images.push(
    bakedImage(old, "Old", { environment: "Ironic" }),
    bakedImage(fresh, "New", { environment: "Ironic" }),
  );
  world.keyPairs.push("ops");
  world.bareMetal.push(fleetServer(1, { imageId: old }));
  world.liteServers.push({ id, name: "NPU-0001.site", imageId: old, status: "RUNNING" });
  cloud = cloudOf(emulator);
});
afterEach(() => emulator.close());

describe("bare metal", () => {
  const make = () => makeBmsMover(cloud, hostOf(emulator, cloud), { keyPair: "ops", userId: "u1" });
  const changeCall = "BMS POST /v1/{project_id}/baremetalservers/{server_id}/changeos";

  test("held, stopped first, changed, running again", async () => {
    const mover = make();
    await mover.hold(id, "r1");
    expect(await mover.look()).toMatchObject([{ id, kind: "bms", image: old, power: "active", heldBy: "r1" }]);
    const { job } = await mover.change(id, system);
    expect(await mover.look()).toMatchObject([{ power: "stopped", task: "rebuilding" }]);
    expect(await mover.changeState(id, job)).toEqual({ state: "running" });
    emulator.advance(150_000);
    expect(await mover.changeState(id, job)).toEqual({ state: "done" });
    await mover.release(id, "r1");
    expect(await mover.look()).toMatchObject([{ image: fresh, power: "active", task: undefined, heldBy: undefined }]);
  });

  test("an image for virtual servers, a server that is gone, a job that fails, an answer that is lost", async () => {
    const mover = make();
    emulator.world.images.push(bakedImage("aaaaaaaa-0000-4000-8000-000000000003", "Ecs"));
    const wrong = mover.change(id, { ...system, image: "aaaaaaaa-0000-4000-8000-000000000003" });
    expect((await failing(wrong)).message).toContain("Ironic");
    expect((await failing(mover.change(fleetServer(9).id, system))).code).toBe("BK450");
    emulator.fail(changeCall, { job: { code: "BMS.0001", reason: "no power" } });
    const { job } = await mover.change(id, system);
    emulator.advance(150_000);
    expect(await mover.changeState(id, job)).toMatchObject({ state: "failed" });
    expect(await mover.changeState(id, undefined)).toMatchObject({ state: "unknown" });
    emulator.fail(changeCall, { lost: true });
    expect((await failing(mover.change(id, system))).code).toBe("BK423");
    expect((await mover.look())[0]?.task).toBe("rebuilding");
  });
});

describe("Lite Servers", () => {
  const make = () => makeLiteServerMover(cloud, hostOf(emulator, cloud), { keyPair: "ops" });
  const changeCall = "MODELARTS POST /v1/{project_id}/dev-servers/{server_id}/changeos";

  test("stopped, changed, started; a thousand and one are two calls", async () => {
    const mover = make();
    await mover.hold(id, "r1");
    expect(await mover.look()).toMatchObject([
      { id, kind: "lite-server", hostname: "npu-0001", image: old, power: "active", heldBy: "r1" },
    ]);
    await mover.change(id, system);
    expect(await mover.look()).toMatchObject([{ image: fresh, power: "building", task: "starting" }]);
    expect(await mover.changeState(id, undefined)).toEqual({ state: "running", reason: "starting" });
    emulator.advance(60_000);
    expect(await mover.changeState(id, undefined)).toEqual({ state: "done" });
    await mover.release(id, "r2");
    expect((await mover.look())[0]?.heldBy).toBe("r1");
    await mover.release(id, "r1");
    expect((await mover.look())[0]?.heldBy).toBeUndefined();
    for (let number = 2; number <= 1001; number += 1)
      emulator.world.liteServers.push({ id: `l${number}`, name: `n${number}`, imageId: old, status: "RUNNING" });
    const before = emulator.calls.length;
    expect((await mover.look()).length).toBe(1001);
    expect(emulator.calls.length - before).toBe(2);
  });

  test("a change that was cut off at any call is gone on with, and sent once", async () => {
    for (let calls = 1; calls <= 8; calls += 1) {
      Object.assign(emulator.world.liteServers[0] ?? {}, { imageId: old, status: "RUNNING" });
      let left = calls;
      const alive = cloud.call;
      const killed: TestCloud = {
        ...cloud,
        call: async (name, request) => {
          left -= 1;
          if (left < 0) throw new Error("killed");
          return alive(name, request);
        },
      };
      const sent = (): number => emulator.calls.filter((call) => call === changeCall).length;
      const before = sent();
      await makeLiteServerMover(killed, hostOf(emulator, cloud), { keyPair: "ops" })
        .change(id, system)
        .catch(() => undefined);
      await make().change(id, system);
      emulator.advance(60_000);
      expect(emulator.world.liteServers[0]).toMatchObject({ imageId: fresh, status: "RUNNING" });
      expect(sent() - before).toBe(1);
    }
  });

  test("a change that fails is told", async () => {
    emulator.fail(changeCall, { job: { code: "x", reason: "x" } });
    const mover = make();
    expect((await failing(mover.change(id, system))).code).toBe("BK456");
    expect(await mover.changeState(id, undefined)).toMatchObject({ state: "failed" });
  });
});
