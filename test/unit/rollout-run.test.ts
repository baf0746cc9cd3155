/** Rollouts over a world in memory, which forbids what they must never do; with faults, and killed at every line of the journal. */
import { describe, expect, test } from "vitest";
import { hasFailed } from "../../src/rollout/state.ts";
import type { PlanRequest } from "../../src/rollout/waves.ts";
import { begin, goOn, Killed, requestOf, settingsOf, stateOf } from "../rollout/rolling.ts";
import { randomOf } from "../rollout/random.ts";
import { cloudError, buildkiteDown, type Server, TestWorld } from "../rollout/world.ts";

const fleet = (count: number, world = new TestWorld()): TestWorld => {
  world.addImage("old");
  world.addImage("new");
  for (let number = 1; number <= count; number++) {
    const server = world.add(`npu-${String(number).padStart(4, "0")}`, "old");
    world.work(server, 0, 200_000);
  }
  return world;
};

const server = (world: TestWorld, number: number): Server => {
  const found = world.servers.get(`id-npu-${String(number).padStart(4, "0")}`);
  if (found === undefined) throw new Error("no such server");
  return found;
};

const start = (world: TestWorld, settings: object = {}, rest: Partial<PlanRequest> = {}) =>
  begin(world, "new", {
    settings: settingsOf({ wave: world.servers.size > 4 ? 3 : 2, minHealthy: "50%", ...settings }),
    ...rest,
  });

const changes = (world: TestWorld): number[] => [...world.servers.values()].map((each) => each.changes);

describe("without faults", () => {
  test("ten nodes: canary, waves of three, each changed once, none below what has to take jobs", async () => {
    const world = fleet(10);
    await start(world);
    const state = await goOn(world);
    expect(state.status).toBe("done");
    expect(new Set(stateOf(state).map((text) => text.split(" ")[1]))).toEqual(new Set(["unlocked"]));
    expect(changes(world)).toEqual(Array.from({ length: 10 }, () => 1));
    expect(world.violations).toEqual([]);
    expect([...world.servers.values()].map(({ heldBy }) => heldBy)).toEqual(Array.from({ length: 10 }));
    // Hold, change, release; stops of a wave in one request.
    expect(world.calls.filter((call) => /^(?:hold|change|release|ask) /.test(call))).toHaveLength(30);
    expect(world.stopRequests).toBe(4);
  });

  test("what is right already gets no call", async () => {
    const world = fleet(6);
    for (const number of [1, 3, 5]) {
      server(world, number).image = "new";
      server(world, number).agents = [];
      world.connect(server(world, number), 4);
    }
    await start(world);
    expect((await goOn(world)).status).toBe("done");
    expect(changes(world)).toEqual([0, 1, 0, 1, 0, 1]);
    expect(world.violations).toEqual([]);
    expect(world.calls.filter((call) => /npu-000[135]$/.test(call))).toEqual([]);
  });

  test.each([16, -16])("a clock that is off by %i minutes", async (minutes) => {
    const world = new TestWorld();
    world.skew = minutes * 60_000;
    fleet(5, world);
    await start(world);
    expect((await goOn(world)).status).toBe("done");
    expect(world.violations).toEqual([]);
    expect(changes(world)).toEqual([1, 1, 1, 1, 1]);
  });

  test("no secret and no user-data in the journal, its digest alone", async () => {
    const world = fleet(2);
    await start(world, { minHealthy: 0 });
    await goOn(world);
    const text = JSON.stringify(world.journal);
    expect(text).not.toContain("Sesam");
    expect(text).toMatch(/"userData":"[0-9a-f]{64}"/);
  });
});

describe("killed", () => {
  test("at every line of the journal: gone on with, nothing is done twice, no node is lost", async () => {
    const whole = fleet(4);
    await start(whole, { wave: 2 });
    await goOn(whole);
    const lines = whole.journal.length;
    expect(lines).toBeGreaterThan(50);
    for (let line = 0; line < lines; line++) {
      const world = fleet(4);
      await start(world, { wave: 2 });
      await goOn(world, { lines: line }).catch((error: unknown) => {
        if (!(error instanceof Killed)) throw error;
      });
      world.time += 10_000 * (line % 7);
      const state = await goOn(world);
      expect([line, state.status, world.violations, changes(world)]).toEqual([line, "done", [], [1, 1, 1, 1]]);
    }
  });

  test("an interrupt in the middle leaves what goes on", async () => {
    const world = fleet(3);
    await start(world, { minHealthy: 0 });
    const controller = new AbortController();
    const sleep = world.host.sleep;
    let sleeps = 0;
    world.host.sleep = async (milliseconds, signal) => {
      sleeps += 1;
      if (sleeps === 5) controller.abort(new Error("interrupted"));
      return sleep(milliseconds, signal);
    };
    await expect(goOn(world, { signal: controller.signal })).rejects.toThrow("interrupted");
    expect((await goOn(world)).status).toBe("done");
    expect(changes(world)).toEqual([1, 1, 1]);
  });
});

describe("the step of one node, from another machine that has no journal", () => {
  test("goes on where it was: with the image there, its agents alone are waited for", async () => {
    const world = fleet(2);
    const each = server(world, 1);
    [each.image, each.agents, each.heldBy] = ["new", [], "rollout-1"];
    each.bootsAt = world.now + 60_000;
    const request = await requestOf(world, "new");
    await start(world, { minHealthy: 0 }, { nodes: request.nodes.filter(({ seen }) => seen.id === each.id) });
    const state = await goOn(world);
    expect([state.status, stateOf(state), changes(world)]).toEqual(["done", ["npu-0001 unlocked"], [0, 0]]);
    expect(each.heldBy).toBeUndefined();
  });

  test("while the cloud changes it, nothing is sent", async () => {
    const world = fleet(2);
    const each = server(world, 1);
    [each.agents, each.heldBy] = [[], "rollout-1"];
    each.change = { to: "new", until: world.now + 300_000, fails: undefined };
    const request = await requestOf(world, "new");
    await start(world, { minHealthy: 0 }, { nodes: request.nodes.filter(({ seen }) => seen.id === each.id) });
    const state = await goOn(world);
    expect([state.status, stateOf(state), changes(world)]).toEqual(["done", ["npu-0001 unlocked"], [0, 0]]);
  });
});

describe("gates", () => {
  test("a canary that fails pauses before any other node is touched; resumed, it is not changed again", async () => {
    const world = fleet(4);
    server(world, 1).faults = { comesBack: 3 };
    await start(world);
    const state = await goOn(world);
    expect([state.status, state.closing?.gate]).toEqual(["paused", "canary"]);
    expect(state.closing?.reason).toContain("npu-0001 not-ready: 3 of 4 agents came back");
    expect(changes(world)).toEqual([1, 0, 0, 0]);
    world.connect(server(world, 1), 1);
    const again = await goOn(world, { resume: {} });
    expect(again.status).toBe("done");
    expect(changes(world)).toEqual([1, 1, 1, 1]);
    expect(world.violations).toEqual([]);
  });

  test("failures above maxFailed pause; with more allowed it goes on without them", async () => {
    const world = fleet(8);
    server(world, 3).faults = { changeFails: "Ecs.0319 no capacity" };
    await start(world);
    const state = await goOn(world);
    expect([state.status, state.closing?.gate]).toEqual(["paused", "failures"]);
    expect(state.closing?.reason).toContain("Ecs.0319");
    const again = await goOn(world, { resume: { maxFailed: 1 } });
    expect(again.status).toBe("done");
    expect(stateOf(again)).toContain("npu-0003 change-failed");
    expect(world.violations).toEqual([]);
  });

  test("a job that ends well with the old image is a failure", async () => {
    const world = fleet(2);
    server(world, 1).faults = { wrongImage: true };
    await start(world, { minHealthy: 0 });
    const state = await goOn(world);
    expect(state.closing?.reason).toContain("instead of new");
    expect(changes(world)).toEqual([1, 0]);
  });

  test("a node that never drains: no job is cancelled, and none is changed", async () => {
    const world = fleet(3);
    server(world, 1).faults = { neverDrains: true };
    await start(world, { minHealthy: 0 });
    const state = await goOn(world);
    expect(stateOf(state)[0]).toBe("npu-0001 drain-timeout");
    expect(state.nodes.get("id-npu-0001")?.job).toMatch(/^https:/);
    expect(world.violations).toEqual([]);
    expect(changes(world)).toEqual([0, 0, 0]);
    world.killJobsAllowed = true;
    expect((await goOn(world, { resume: { killJobs: true } })).status).toBe("done");
    expect(changes(world)).toEqual([1, 1, 1]);
  });

  test("an agent that registers again between list and stop is stopped again", async () => {
    const world = fleet(3);
    for (const each of world.servers.values()) each.faults = { registersAgain: true };
    await start(world, { minHealthy: 0 });
    expect((await goOn(world)).status).toBe("done");
    expect(world.violations).toEqual([]);
  });

  test.each(["accepted", "not sent"] as const)("a change whose answer is lost, %s", async (lost) => {
    const world = fleet(3);
    for (const each of world.servers.values()) each.faults = { lost };
    await start(world, { minHealthy: 0 });
    expect((await goOn(world)).status).toBe("done");
    expect(changes(world)).toEqual([1, 1, 1]);
    expect(world.violations).toEqual([]);
  });

  test("an image that goes in the middle, and a queue that a person pauses", async () => {
    const world = fleet(4);
    await start(world);
    world.fault = (call) => {
      if (call === "change") world.images.splice(0, 1);
      return undefined;
    };
    const state = await goOn(world);
    expect([state.status, state.closing?.gate]).toEqual(["paused", "image"]);
    world.fault = () => undefined;
    world.addImage("old");
    world.pausedQueues.push("ascend");
    expect((await goOn(world, { resume: {} })).closing?.gate).toBe("queue");
    world.pausedQueues.length = 0;
    expect((await goOn(world, { resume: {} })).status).toBe("done");
    expect(changes(world)).toEqual([1, 1, 1, 1]);
  });

  test("an image that is not shared any more is one that is gone", async () => {
    const world = fleet(4);
    await start(world);
    world.fault = (call) => {
      if (call === "change") world.images.splice(0, 1, { ...world.images[0], id: "old", bakeId: "x", usable: false });
      return undefined;
    };
    const state = await goOn(world);
    expect([state.status, state.closing?.gate]).toEqual(["paused", "image"]);
  });

  test.each([429, 500])("%i at each call, twice: it goes on, and nothing is done twice", async (status) => {
    for (const call of ["look", "agents", "images", "queues", "hold", "stop", "change", "release", "ask"]) {
      const world = fleet(4);
      // A change takes longer than that: the cloud is asked about it.
      await start(world, { minHealthy: 0, changeTimeout: 100 });
      let left = 2;
      world.fault = (each) => {
        if (each !== call || left === 0) return undefined;
        left -= 1;
        return ["agents", "stop", "queues"].includes(call) ? buildkiteDown() : cloudError(status);
      };
      expect([call, (await goOn(world)).status, left]).toEqual([call, "done", 0]);
      expect([call, changes(world)]).toEqual([call, [1, 1, 1, 1]]);
      expect(world.violations).toEqual([]);
    }
  });

  test("a quota of disks below a wave: those that it lets through are new, the others are told; with more of it, gone on with", async () => {
    const world = fleet(6);
    await start(world, { wave: 5, minHealthy: 0 });
    let room = 3;
    world.fault = (call) => (call === "change" && room-- <= 0 ? cloudError(403) : undefined);
    const state = await goOn(world);
    expect([state.status, state.closing?.gate]).toEqual(["paused", "failures"]);
    expect(changes(world).toSorted((a, b) => a - b)).toEqual([0, 0, 0, 1, 1, 1]);
    expect([...state.nodes.values()].filter(hasFailed).map((each) => [each.state, each.why])).toEqual(
      Array.from({ length: 3 }, () => ["change-failed", expect.stringContaining("403")]),
    );
    world.fault = () => undefined;
    expect((await goOn(world, { resume: {} })).status).toBe("done");
    expect(changes(world)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(world.violations).toEqual([]);
  });

  test("Buildkite or the cloud is down for long: paused, not failed", async () => {
    for (const what of ["agents", "look"]) {
      const world = fleet(3);
      await start(world, { minHealthy: 0 });
      let changed = 0;
      world.fault = (call) => {
        changed += call === "change" ? 1 : 0;
        return call === what && changed > 0 ? (what === "agents" ? buildkiteDown() : cloudError(503)) : undefined;
      };
      const state = await goOn(world);
      expect([state.status, state.closing?.gate, stateOf(state)[0]]).toEqual(["paused", "api", "npu-0001 changing"]);
      world.fault = () => undefined;
      expect((await goOn(world, { resume: {} })).status).toBe("done");
      expect(changes(world)).toEqual([1, 1, 1]);
    }
  });

  test("credentials that are refused: one call, and no more", async () => {
    const world = fleet(6);
    await start(world, { canary: 6, minHealthy: 0 });
    world.fault = (call) => (call === "change" ? cloudError(401) : undefined);
    const state = await goOn(world);
    expect([state.status, state.closing?.gate]).toEqual(["paused", "api"]);
    const after = world.calls.slice(world.calls.findIndex((call) => call.startsWith("change")));
    // Those that were on their way at once.
    expect(after.length).toBeLessThanOrEqual(6);
    world.fault = () => undefined;
    expect((await goOn(world, { resume: {} })).status).toBe("done");
    expect(world.violations).toEqual([]);
  });

  test("another rollout takes a node meanwhile", async () => {
    const world = fleet(4);
    await start(world);
    world.fault = (call) => {
      if (call === "stop") server(world, 2).heldBy = "other";
      return undefined;
    };
    const state = await goOn(world);
    expect([state.status, state.closing?.gate]).toEqual(["paused", "held"]);
    expect(state.closing?.reason).toContain("npu-0002 is held by the rollout other");
    expect(changes(world)).toEqual([1, 0, 0, 0]);
  });

  test("a node that became a member of an AS group is left", async () => {
    const world = fleet(2);
    await start(world, { minHealthy: 0 });
    server(world, 1).group = { id: "g", name: "ascend-workers" };
    const state = await goOn(world);
    expect(state.closing?.reason).toContain("ascend-workers");
    expect(changes(world)).toEqual([0, 0]);
  });

  test("a person stops it: what is under way ends, nothing else begins, no tag stays", async () => {
    const world = fleet(8);
    await start(world);
    const state = await goOn(world, { stop: () => world.calls.filter((call) => call.startsWith("change")).length > 1 });
    expect(state.status).toBe("stopped");
    expect(changes(world)).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
    expect([...world.servers.values()].filter(({ heldBy }) => heldBy !== undefined)).toEqual([]);
    expect([...world.servers.values()].slice(0, 4).map(({ image }) => image)).toEqual(["new", "new", "new", "new"]);
  });

  test("a person ends it after a gate: nothing is changed, no tag stays", async () => {
    const world = fleet(3);
    server(world, 1).faults = { neverBoots: true };
    await start(world, { minHealthy: 0 });
    await goOn(world);
    const state = await goOn(world, { stop: () => true });
    expect(state.status).toBe("stopped");
    expect(changes(world)).toEqual([1, 0, 0]);
    expect([...world.servers.values()].filter(({ heldBy }) => heldBy !== undefined)).toEqual([]);
  });

  test("one that is lost while its wave soaks fails then", async () => {
    const world = fleet(3);
    await start(world, { minHealthy: 0 });
    world.fault = () => {
      const soaking = world.journal.some((event) => event.event === "wave" && event.phase === "soaking");
      if (soaking && world.time % 1000 < 999) server(world, 1).agents.length = 2;
      return undefined;
    };
    const state = await goOn(world);
    expect(state.closing?.reason).toContain("npu-0001 not-ready: it was ready, and is not any more");
    expect(changes(world)).toEqual([1, 0, 0]);
  });
});

describe("what has to take jobs", () => {
  /** Once the canary is held, the agents of these go, for another reason. */
  const withOutage = (numbers: readonly number[]): TestWorld => {
    const world = fleet(10);
    world.onHold(server(world, 1), () => {
      for (const number of numbers) server(world, number).agents = [];
    });
    return world;
  };

  test("nodes that are down elsewhere count: fewer of a wave stop at a time", async () => {
    const world = withOutage([9, 10]);
    await start(world, { minHealthy: 7 });
    const state = await goOn(world);
    expect(world.violations).toEqual([]);
    expect(state.status).toBe("done");
    expect(changes(world)).toEqual(Array.from({ length: 10 }, () => 1));
    // One of the first wave's three at a time; nodes that take no jobs cost nothing.
    expect(world.stopRequests).toBeGreaterThan(4);
  });

  test("where too few are left nothing more stops, and after the limit it pauses and says how many", async () => {
    const world = withOutage([6, 7, 8, 9, 10]);
    await start(world, { minHealthy: 7 });
    const state = await goOn(world);
    expect(world.violations).toEqual([]);
    expect([state.status, state.closing?.gate]).toEqual(["paused", "capacity"]);
    expect(state.closing?.reason).toMatch(/^\d nodes take jobs, and 7 have to/);
    expect(changes(world).slice(1, 5)).toEqual([0, 0, 0, 0]);
  });
});

describe("random fleets, faults and kills", () => {
  const seeds = Array.from({ length: Number(process.env["ROLLOUT_WORLDS"] ?? 60) }, (_, at) => at + 1);

  test("hold the invariants, and come to an end", async () => {
    const ends = new Map<string, number>();
    for (const seed of seeds) {
      const random = randomOf(seed);
      const world = new TestWorld({ change: random.between(20, 400) * 1000, boot: random.between(5, 300) * 1000 });
      world.addImage("old");
      world.addImage("older");
      world.addImage("new");
      world.skew = random.between(-16, 16) * 60_000;
      const count = random.between(1, 14);
      for (let number = 1; number <= count; number++) {
        const image = random.chance(0.2) ? "new" : random.chance(0.3) ? "older" : "old";
        const each = world.add(`n${number}`, image, { spawn: random.between(1, 4) });
        world.work(each, 0, random.between(0, 900) * 1000);
        each.faults = {
          registersAgain: random.chance(0.2),
          ...(random.chance(0.06) && { neverDrains: true }),
          ...(random.chance(0.06) && { comesBack: 0 }),
          ...(random.chance(0.04) && { wrongImage: true }),
          ...(random.chance(0.04) && { changeFails: "no capacity" }),
          ...(random.chance(0.04) && { neverBoots: true }),
          ...(random.chance(0.15) && { lost: random.chance(0.5) ? "accepted" : "not sent" }),
        };
      }
      const wave = random.between(1, 5);
      await begin(world, "new", {
        settings: settingsOf({
          canary: 1,
          wave,
          // Up to what the plan takes.
          minHealthy: random.between(0, Math.max(0, count - wave)),
          maxFailed: random.between(0, 2),
          canarySoak: random.between(0, 200),
          soak: random.between(0, 100),
        }),
      });
      const troubled = random.chance(0.5);
      world.fault = (call) =>
        troubled && random.chance(0.03) && !["images", "queues"].includes(call)
          ? call === "agents" || call === "stop"
            ? buildkiteDown()
            : cloudError(random.chance(0.5) ? 429 : call.startsWith("change") ? 403 : 500)
          : undefined;
      let status = "";
      let failed: string[] = [];
      for (let process = 0; process < 40 && status !== "done"; process++) {
        const lines = random.chance(0.6) ? random.between(0, 60) : undefined;
        try {
          const state = await goOn(world, {
            ...(lines !== undefined && { lines }),
            resume: process > 12 ? { maxFailed: count } : {},
          });
          status = state.status;
          failed = [...state.nodes.values()].filter(hasFailed).map(({ plan }) => plan.id);
          // Somebody repairs what is broken.
          if (status === "paused") {
            for (const each of world.servers.values()) {
              each.faults = {};
              if (each.image === "new" && each.agents.length < each.spawn)
                world.connect(each, each.spawn - each.agents.length);
              for (const agent of each.agents) if (agent.jobUntil === Number.POSITIVE_INFINITY) agent.jobUntil = 0;
            }
          }
        } catch (error) {
          if (!(error instanceof Killed)) throw error;
          status = "killed";
        }
      }
      ends.set(status, (ends.get(status) ?? 0) + 1);
      expect([seed, world.violations]).toEqual([seed, []]);
      expect([seed, status]).toEqual([seed, "done"]);
      const old = [...world.servers.values()].filter(({ id, image }) => image !== "new" && !failed.includes(id));
      expect([seed, old.map(({ name }) => name)]).toEqual([seed, []]);
      const held = [...world.servers.values()].filter(({ heldBy }) => heldBy !== undefined);
      expect([seed, held.map(({ name }) => name)]).toEqual([seed, []]);
    }
    expect(ends.get("done")).toBe(seeds.length);
  });
});
