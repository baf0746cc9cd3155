/**
 * bake itself is killed (kill -9) at each call of a bake in the cloud, its own and the plugin's, with Packer or without it. The same
 * command again makes nothing twice and ends with the right image; `bake catalog leftovers` names all that is there.
 * A process that is killed in the middle of its calls is a client here that hears and does nothing more; test/cli has real ones.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { findLeftovers } from "../../src/huaweicloud/leftovers.ts";
import type { Http, HttpSettings } from "../../src/store/http.ts";
import { serverName, serverPrefix } from "../../src/targets/huaweicloud.ts";
import { cloudOf } from "../huaweicloud/cloud-of.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import {
  bakeOnce,
  type Life,
  lifeVariable,
  never,
  pluginOrder,
  readyForBake,
  type Run,
  thingsIn,
} from "../huaweicloud/one-bake.ts";

type When = "before" | "after";
interface Dying extends Life {
  /** One call of it. */
  readonly call: <T>(send: () => Promise<T>) => Promise<T>;
}
const lives = new Map<string, Dying>();

vi.mock("../../src/store/http.ts", async (original) => {
  const actual = await original<{ makeHttp: (settings: HttpSettings) => Http }>();
  return {
    ...actual,
    makeHttp: (settings: HttpSettings): Http => {
      const http = actual.makeHttp(settings);
      const life = lives.get(settings.env?.[lifeVariable] ?? "");
      return life === undefined ? http : (url, options) => life.call(() => http(url, options));
    },
  };
});

let folder = "";
let emulator: Emulator;
beforeEach(async () => {
  emulator = await startEmulator();
  readyForBake(emulator);
  folder = mkdtempSync(join(tmpdir(), "bake-killed-"));
});
afterEach(async () => {
  await emulator.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The calls of bake's own in a bake, in their order; those of the preflight's second question go out at a time. */
const preflightCalls = [
  "ECS GET /v2.1/{project_id}/os-availability-zone",
  "ECS GET /v2.1/{project_id}/os-availability-zone",
  "IMS GET /v2/cloudimages",
  "ECS GET /v1/{project_id}/cloudservers/flavors",
  "ECS GET /v1/{project_id}/cloudservers/limits",
  "EVS GET /v2/{project_id}/os-quota-sets/{project_id}",
  "IMS GET /v1/cloudimages/quota",
  "VPC GET /v1/{project_id}/quotas",
  "VPC GET /v1/{project_id}/vpcs/{vpc_id}",
  "VPC GET /v1/{project_id}/subnets/{subnet_id}",
  "VPC GET /v3/{project_id}/vpc/security-groups/{security_group_id}",
  "IMS GET /v2/cloudimages",
  "ECS GET /v1/{project_id}/cloudservers/detail",
  // Whether the image is there already.
  "IMS GET /v2/cloudimages",
];
const switchCall = "ECS POST /v1/{project_id}/cloudservers/{server_id}/actions/update-auto-terminate-time";
const afterCalls = [
  // What is left.
  "ECS GET /v1/{project_id}/cloudservers/detail",
  "VPC GET /v1/{project_id}/publicips",
  "ECS GET /v2.1/{project_id}/os-keypairs",
  "EVS GET /v2/{project_id}/cloudvolumes/detail",
  // Whether another bake made it too.
  "IMS GET /v2/cloudimages",
];
/** The same where a server was left: its further disks are asked for by it. */
const afterCallsWithServer = [...afterCalls.slice(0, 4), ...afterCalls.slice(3)];
const ownCalls = [...preflightCalls, switchCall, ...afterCalls];

let lastLife = 0;

/**
 * @param at Number of bake's own call that it is killed at, from 1; undefined for one that ends with Packer.
 * @param withPacker Packer is killed as well.
 */
const lifeUntil = (
  at: number | undefined,
  when: When,
  withPacker: boolean,
): { life: Dying; packerEnded: Promise<void>; pidFile: string } => {
  let [isOver, calls] = [false, 0];
  let end = (): void => undefined;
  let packerEnds = (): void => undefined;
  const over = new Promise<void>((done) => (end = done));
  const packerEnded = new Promise<void>((done) => (packerEnds = done));
  const pidFile = join(folder, `packer-${(lastLife += 1)}.pid`);
  const die = (): void => {
    isOver = true;
    if (withPacker && at !== undefined) process.kill(Number(readFileSync(pidFile, "utf8")), "SIGKILL");
    end();
  };
  const life: Dying = {
    name: `life-${lastLife}`,
    isOver: () => isOver,
    over,
    onPacker: () => {
      packerEnds();
      if (at === undefined) die();
    },
    call: async (send) => {
      if (isOver) return never();
      calls += 1;
      const last = calls === at;
      if (last && when === "before") die();
      if (isOver) return never();
      const answer = await send();
      if (last) die();
      return isOver ? never() : answer;
    },
  };
  lives.set(life.name, life);
  return { life, packerEnded, pidFile };
};

const bake = (run: Run = {}) => bakeOnce({ emulator, folder }, run);
const countOf = (route: string): number => emulator.calls.filter((call) => call === route).length;
const privateImages = () => emulator.world.images.filter(({ type }) => type === "private");
const servers = () => emulator.world.servers.map(({ id }) => id);

/** What `bake catalog leftovers` names, as another machine runs it. */
const listed = async (): Promise<string[]> =>
  (await findLeftovers(cloudOf(emulator), { serverName: serverPrefix("site"), anyBake: true })).found.map(
    ({ id }) => id,
  );

/** All that is there is named; the same command again makes nothing twice, and ends with the right image or says why not. */
const expectToGoOn = async (bakeId: string): Promise<void> => {
  const left = thingsIn(emulator);
  expect(await listed()).toEqual(expect.arrayContaining(left));
  const made = { servers: servers(), images: privateImages().length };
  const creations = countOf("ECS POST /v1/{project_id}/cloudservers");
  const again = await bake();
  expect(again.bakeId).toBe(bakeId);
  // A server or an image of this bake id is there: no second one of either.
  if (made.servers.length + made.images > 0) {
    expect(countOf("ECS POST /v1/{project_id}/cloudservers"), again.text).toBe(creations);
    expect(privateImages()).toHaveLength(made.images);
    for (const id of made.servers) expect(again.text).toContain(id);
  }
  if (made.images === 0 && made.servers.length > 0) {
    expect(again.text).toContain(`BK426`);
    expect(again.text).toContain(serverName("site", bakeId));
    return;
  }
  expect(again.error, again.text).toBeUndefined();
  const [image, ...others] = privateImages();
  expect(others).toEqual([]);
  expect(image).toMatchObject({ status: "active", tags: { "bake-id": bakeId } });
  const record = again.file("image.json");
  expect(record).toMatchObject({ bakeId, imageId: image?.id });
  expect(record).not.toHaveProperty("interrupted");
};

test("the calls of bake's own in a bake, in their order", async () => {
  const { error, text } = await bake();
  expect(error, text).toBeUndefined();
  const own = emulator.calls.filter((_, at) => emulator.headers[at]?.["user-agent"] === "bake");
  expect(own).toEqual(ownCalls);
});

test("killed before and after each call of the preflight: nothing is there, nothing was made, and the next one bakes", async () => {
  let bakeId = "";
  for (const at of preflightCalls.keys()) {
    for (const when of ["before", "after"] as const) {
      const { life } = lifeUntil(at + 1, when, false);
      const killed = await bake({ life });
      expect(killed.error, `${at}`).toEqual(new Error("killed"));
      ({ bakeId } = killed);
    }
  }
  expect(emulator.calls.every((call) => call.split(" ")[1] === "GET")).toBe(true);
  await expectToGoOn(bakeId);
});

describe.each(["before", "after"] as const)("killed %s bake's own call", (when) => {
  test.each([
    ["with Packer", true],
    ["and Packer goes on to its end", false],
  ])("that sets when the server ends by itself, %s", async (_, withPacker) => {
    const { life, packerEnded, pidFile } = lifeUntil(ownCalls.indexOf(switchCall) + 1, when, withPacker);
    // The image takes long enough for Packer to be in the middle of it.
    emulator.world.takes.stop = 200;
    const killed = await bake({ life, env: { STAND_IN_PID: pidFile } });
    expect(killed.error).toEqual(new Error("killed"));
    await packerEnded;
    expect(servers()).toHaveLength(withPacker ? 1 : 0);
    if (withPacker) expect(emulator.world.servers[0]?.endsAt !== undefined).toBe(when === "after");
    else expect(privateImages()).toHaveLength(1);
    await expectToGoOn(killed.bakeId);
  });

  test.each(afterCallsWithServer.map((route, at) => [at + 1, route] as const))(
    "%i after Packer's end, %s",
    async (at) => {
      // The cloud did not let Packer remove the server: the image is there, and so is that.
      emulator.fail("ECS POST /v1/{project_id}/cloudservers/delete", { status: 500 });
      const { life } = lifeUntil(ownCalls.indexOf(switchCall) + 1 + at, when, false);
      const killed = await bake({ life });
      expect(killed.error, killed.text).toEqual(new Error("killed"));
      // The last one comes after the record's end.
      const { imageId, interrupted = false } = killed.file("image.json");
      expect({ imageId, interrupted }).toEqual({
        imageId: privateImages()[0]?.id,
        interrupted: at < afterCallsWithServer.length,
      });
      expect(servers()).toHaveLength(1);
      await expectToGoOn(killed.bakeId);
    },
  );
});

describe("killed with Packer after each of the plugin's calls", () => {
  test.each(pluginOrder.map((route, at) => [at + 1, route] as const))("call %s, %s", async (number) => {
    const { life } = lifeUntil(undefined, "after", true);
    const killed = await bake({ life, env: { STAND_IN_DIE: `${number}:after` } });
    expect(killed.error, killed.text).toEqual(new Error("killed"));
    // What the cloud has begun it ends.
    emulator.advance(60_000);
    await expectToGoOn(killed.bakeId);
  });
});

test("killed while the cloud makes the image: the next one says so, names the server, and later takes the image", async () => {
  // Within what a clock may be off.
  const minutes = 10 * 60_000;
  emulator.world.takes.image = minutes;
  const { life } = lifeUntil(undefined, "after", true);
  const killed = await bake({ life, env: { STAND_IN_DIE: "11:after" } });
  const [image] = privateImages();
  expect(image?.status).toBe("queued");
  const { text } = await bake();
  expect(text).toContain(`BK427 an image of these inputs is being made: ${image?.id} is queued`);
  for (const id of servers()) expect(text).toContain(id);
  emulator.advance(minutes);
  await expectToGoOn(killed.bakeId);
});
