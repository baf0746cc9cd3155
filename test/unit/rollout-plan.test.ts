/** What a rollout refuses before anything was changed, its waves, and the way back. */
import { describe, expect, test } from "vitest";
import type { BakeError } from "../../src/errors.ts";
import { wayBack } from "../../src/rollout/back.ts";
import { lookAround } from "../../src/rollout/run.ts";
import { fold } from "../../src/rollout/state.ts";
import { planRollout, type PlanRequest, type RolloutPlan } from "../../src/rollout/waves.ts";
import { begin, goOn, isPlan, requestOf, settingsOf } from "../rollout/rolling.ts";
import { TestWorld } from "../rollout/world.ts";

const fleet = (count: number): TestWorld => {
  const world = new TestWorld();
  world.addImage("old");
  world.addImage("new");
  for (let number = 1; number <= count; number++) world.add(`n${number}`, "old");
  return world;
};

const plan = async (world: TestWorld, rest: Partial<PlanRequest> = {}): Promise<RolloutPlan> => {
  const planned = planRollout(await requestOf(world, "new", rest));
  if (!isPlan(planned)) throw planned[0] ?? new Error("no reason");
  return planned;
};

const refusals = async (world: TestWorld, rest: Partial<PlanRequest> = {}): Promise<string[]> => {
  const planned = planRollout(await requestOf(world, "new", rest));
  return isPlan(planned) ? [] : planned.map(({ code, message }: BakeError) => `${code} ${message}`);
};

const first = (world: TestWorld, number = 1) => {
  const server = world.servers.get(`id-n${number}`);
  if (server === undefined) throw new Error("no such server");
  return server;
};

describe("waves", () => {
  test.each([
    [10, {}, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]],
    [10, { wave: "25%" }, [1, 2, 2, 2, 2, 1]],
    [10, { wave: 4, canary: 2, minHealthy: "50%" }, [2, 4, 4]],
    [3, { wave: 9, minHealthy: 0 }, [1, 2]],
    [1, {}, [1]],
    [200, { wave: "10%" }, [1, ...Array.from({ length: 9 }, () => 20), 19]],
  ] as const)("of %i nodes by %o", async (count, settings, sizes) => {
    const { begun } = await plan(fleet(count), { settings: settingsOf(settings) });
    expect(
      Array.from({ length: begun.waves }, (_, wave) => begun.nodes.filter((node) => node.wave === wave).length),
    ).toEqual(sizes);
  });

  test("names count as people count, and the canary takes jobs", async () => {
    const world = fleet(11);
    first(world, 1).agents = [];
    const { begun } = await plan(world);
    expect(begun.nodes.map(({ name }) => name)).toEqual([
      "n2",
      "n1",
      "n3",
      "n4",
      "n5",
      "n6",
      "n7",
      "n8",
      "n9",
      "n10",
      "n11",
    ]);
  });

  test("right nodes are not in it; one with the image and an agent too few is", async () => {
    const world = fleet(3);
    for (const number of [1, 2]) {
      first(world, number).image = "new";
      first(world, number).agents = [];
      world.connect(first(world, number), number === 1 ? 4 : 0);
    }
    const { begun } = await plan(world);
    expect(begun.already.map(({ name }) => name)).toEqual(["n1"]);
    expect(begun.nodes.map(({ name, from, to, agents }) => [name, from, to, agents])).toEqual([
      ["n3", "old", "new", 4],
      ["n2", "new", "new", 4],
    ]);
  });

  test("a rollout over what is right already has no waves", async () => {
    const world = fleet(1);
    first(world).image = "new";
    first(world).agents = [];
    world.connect(first(world), 4);
    const { begun, least, most } = await plan(world);
    expect([begun.nodes, begun.waves, least, most]).toEqual([[], 0, 0, 0]);
  });

  test("how long: its soaks, and all limits", async () => {
    const { least, most, usable } = await plan(fleet(3), {
      settings: settingsOf({
        canarySoak: 100,
        soak: 10,
        wave: 2,
        minHealthy: 1,
        drainTimeout: 60,
        changeTimeout: 70,
        readyTimeout: 80,
      }),
    });
    expect([least, most, usable]).toEqual([110, 110 + 2 * 210, 3]);
  });

  test("drains last five minutes more than a stop of the agents, unless the profile says it", async () => {
    const limit = async (settings: object) =>
      (await plan(fleet(2), { settings: settingsOf(settings), stopTimeout: 5000 })).begun.settings.drainTimeout;
    expect([await limit({}), await limit({ drainTimeout: 90 })]).toEqual([5300, 90]);
  });
});

describe("refused", () => {
  test("without nodes", async () => {
    expect(await refusals(fleet(0))).toEqual([expect.stringContaining("BK701")]);
  });

  test("where Buildkite shows no agents at all", async () => {
    const world = fleet(2);
    for (const number of [1, 2]) first(world, number).agents = [];
    expect(await refusals(world)).toEqual([expect.stringContaining("BK712")]);
  });

  test("members of an AS group, by its name", async () => {
    const world = fleet(2);
    first(world).group = { id: "g", name: "ascend-workers" };
    expect(await refusals(world)).toEqual([expect.stringMatching(/^BK702 [^]*n1: ascend-workers$/)]);
  });

  test("nodes of another rollout, by its ID and age; not those of its own, and of the one it takes back", async () => {
    const world = fleet(3);
    first(world).heldBy = "other";
    const [text] = await refusals(world, { begunAt: () => world.now - 7_200_000 });
    expect(text).toMatch(/^BK703 [^]*n1: other, begun 2 hours ago$/);
    expect((await refusals(world))[0]).toMatch(/n1: other$/);
    first(world).heldBy = "rollout-1";
    expect(await refusals(world)).toEqual([]);
    first(world).heldBy = "other";
    expect(await refusals(world, { back: "other" })).toEqual([]);
  });

  test("images that are gone, that no bake made, that are for another processor; new ones and old ones", async () => {
    const codes = async (change: (world: TestWorld) => void): Promise<string[]> => {
      const world = fleet(2);
      change(world);
      return refusals(world);
    };
    const replace = (id: string, rest: object) => (world: TestWorld) => {
      const at = world.images.findIndex((image) => image.id === id);
      const image = world.images[at];
      if (image !== undefined) world.images[at] = { ...image, ...rest };
    };
    expect(await codes((world) => void world.images.splice(1, 1))).toEqual([
      "BK704 the image new is not there, or cannot be used",
    ]);
    expect(await codes((world) => void world.images.splice(0, 1))).toEqual([
      "BK704 the image old, which nodes have, is there no more: there would be no way back",
    ]);
    expect(await codes(replace("new", { usable: false }))).toHaveLength(1);
    expect(await codes(replace("new", { bakeId: "" }))).toEqual([expect.stringContaining("has no bake id")]);
    expect(await codes(replace("old", { bakeId: "" }))).toEqual([
      expect.stringContaining("which nodes have, has no bake id"),
    ]);
    expect(
      await codes((world) => {
        replace("new", { architecture: "arm" })(world);
        replace("old", { architecture: "x86" })(world);
      }),
    ).toEqual(["BK704 old and new images are for different processors: arm, x86"]);
  });

  test("a wave that leaves too few", async () => {
    expect(await refusals(fleet(10), { settings: settingsOf({ wave: "50%" }) })).toEqual([
      "BK705 a wave of 5 of 10 nodes leaves 5, and 7 have to take jobs",
    ]);
    expect(await refusals(fleet(10), { wave: 3 })).toEqual([]);
    expect(await refusals(fleet(10), { wave: 4 })).toHaveLength(1);
  });

  test.each([
    { agentId: "agent-6", agentName: undefined, hostname: "runner" },
    { agentId: undefined, agentName: "n2-1", hostname: "runner" },
    { agentId: undefined, agentName: undefined, hostname: "N2.example.com" },
  ])("on a node that it replaces: %o", async (self) => {
    expect(await refusals(fleet(3), { self })).toEqual([expect.stringMatching(/^BK706 [^]*n2$/)]);
  });

  test("on a node that is right already it may run", async () => {
    const world = fleet(2);
    first(world).image = "new";
    expect(await refusals(world, { self: { agentId: undefined, agentName: undefined, hostname: "n1" } })).toEqual([]);
  });

  test("two nodes of one host name, none, and one whose image nobody knows", async () => {
    const world = fleet(2);
    const request = await requestOf(world, "new");
    const change = (rest: object) => ({
      ...request,
      nodes: request.nodes.map(({ seen, to }) => ({ to, seen: { ...seen, ...rest } })),
    });
    for (const rest of [{ hostname: "n1" }, { hostname: "" }, { image: undefined }]) {
      const planned = planRollout(change(rest));
      expect(isPlan(planned) ? [] : planned.map(({ code }) => code)).toEqual(["BK707"]);
    }
  });
});

describe("the way back", () => {
  test("only what was touched, each to the image that it had", async () => {
    const world = fleet(6);
    world.addImage("older");
    first(world, 4).image = "older";
    first(world, 4).agents = [];
    world.connect(first(world, 4), 4);
    const settings = settingsOf({ wave: 3, minHealthy: "50%" });
    first(world, 3).faults = { comesBack: 1 };
    await begin(world, "new", { settings });
    const state = await goOn(world);
    expect(state.status).toBe("paused");
    first(world, 3).faults = {};
    const look = await lookAround(world.world, world.host);
    const old = fold(world.journal);
    if (old === undefined) throw new Error("no rollout");
    const back = wayBack(old, look);
    expect(back.nodes.map(({ seen, to }) => [seen.name, to])).toEqual([
      ["n1", "old"],
      ["n2", "old"],
      ["n3", "old"],
      ["n4", "older"],
    ]);
    expect(back.bystanders.map(({ name }) => name)).toEqual(["n5", "n6"]);
    await begin(world, "old", { ...back, settings, rollout: "rollout-2", back: "rollout-1", minHealthy: 3 });
    const end = await goOn(world);
    expect(end.status).toBe("done");
    expect(world.violations).toEqual([]);
    expect([...world.servers.values()].map(({ image }) => image)).toEqual(["old", "old", "old", "older", "old", "old"]);
    expect([...world.servers.values()].filter(({ heldBy }) => heldBy !== undefined)).toEqual([]);
  });

  test("a node whose agents were stopped, and which was not changed, gets its image anew", async () => {
    const world = fleet(4);
    first(world, 2).faults = { neverDrains: true };
    first(world, 3).faults = { changeFails: "no capacity" };
    const settings = settingsOf({ wave: 3, minHealthy: 0, drainTimeout: 7200 });
    await begin(world, "new", { settings });
    expect((await goOn(world)).status).toBe("paused");
    first(world, 2).faults = {};
    first(world, 3).faults = {};
    first(world, 2).agents = [];
    const look = await lookAround(world.world, world.host);
    const old = fold(world.journal);
    if (old === undefined) throw new Error("no rollout");
    const back = wayBack(old, look);
    await begin(world, "old", { ...back, settings, rollout: "rollout-2", back: "rollout-1" });
    expect((await goOn(world)).status).toBe("done");
    expect(world.violations).toEqual([]);
    expect(world.usable()).toBe(4);
    expect([...world.servers.values()].map(({ image }) => image)).toEqual(["old", "old", "old", "old"]);
  });
});
