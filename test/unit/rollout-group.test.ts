/** Rollouts over an AS group in memory: surge, drain, removal; with faults, and killed at every line of the journal. */
import { describe, expect, test } from "vitest";
import { groupWayBack } from "../../src/rollout/back.ts";
import { groupNow } from "../../src/rollout/plan-group.ts";
import { lookAround } from "../../src/rollout/run.ts";
import { hasFailed, type RolloutState } from "../../src/rollout/state.ts";
import { BakeError } from "../../src/errors.ts";
import { beginGroup, GroupInWorld } from "../rollout/group-world.ts";
import { begin, goOn, Killed, settingsOf, stateOf } from "../rollout/rolling.ts";
import { randomOf } from "../rollout/random.ts";
import { buildkiteDown, cloudError, TestWorld } from "../rollout/world.ts";

const worldOf = (count: number, options: ConstructorParameters<typeof GroupInWorld>[2] = {}) => {
  const world = new TestWorld();
  const group = new GroupInWorld(world, count, options);
  for (const server of world.servers.values()) world.work(server, 0, 200_000);
  return { world, group };
};

const images = ({ members }: GroupInWorld): string[] =>
  members
    .filter(({ state }) => state !== "leaving")
    .map(({ server }) => server.image)
    .toSorted();
const all = (image: string, count: number): string[] => Array.from({ length: count }, () => image);
const held = (world: TestWorld): string[] =>
  [...world.servers.values()].filter(({ heldBy }) => heldBy !== undefined).map(({ name }) => name);

/** The way back, from where the rollout is. */
const goBack = async (world: TestWorld, group: GroupInWorld, state: RolloutState): Promise<RolloutState> => {
  const look = await lookAround(world.world, world.host);
  const looked = look.group;
  if (looked === undefined || state.begun.group === undefined) throw new Error("no group");
  const { configuration, image: to, ...before } = state.begun.group.before;
  const ways = groupWayBack(state, look, { looked, to });
  for (const { plan } of ways.held) await world.world.movers[0]?.release(plan.id, state.begun.rollout);
  const { nodes: going, bystanders } = ways;
  await begin(world, to, {
    nodes: going,
    bystanders,
    rollout: "rollout-2",
    back: state.begun.rollout,
    settings: settingsOf({ wave: 3 }),
    minHealthy: 0,
    look,
    group: {
      looked,
      to,
      configuration,
      before: { ...groupNow(looked, group.configurations.get(group.configuration)?.image ?? ""), ...before },
    },
  });
  return goOn(world);
};

describe("without faults", () => {
  test("seven members, min = max: a new one before each old one goes, never fewer that take jobs, all as before", async () => {
    const { world, group } = worldOf(7);
    await beginGroup(world);
    expect(world.minHealthy).toBe(7);
    const state = await goOn(world);
    expect(world.violations).toEqual([]);
    expect([state.status, new Set(stateOf(state).map((text) => text.split(" ")[1]))]).toEqual([
      "done",
      new Set(["unlocked"]),
    ]);
    expect(images(group)).toEqual(all("new", 7));
    expect([group.made, group.sizes, group.configurations.size]).toEqual([7, { min: 7, max: 7, desired: 7 }, 2]);
    expect(group.configurations.get(group.configuration)).toEqual({ name: "bake-rollout-1", image: "new" });
    expect(group.members.filter(({ isProtected }) => isProtected)).toEqual([]);
    expect(group.policies[0]?.isOn).toBe(true);
    expect(held(world)).toEqual([]);
    expect(JSON.stringify(world.journal)).not.toContain("Sesam");
    expect(JSON.stringify(world.journal)).toMatch(/"do":"configure"[^}]*"userData":"[0-9a-f]{64}"/);
  });

  test("twenty-three of a wave are removed ten a call; what is new already stays", async () => {
    const { world, group } = worldOf(25);
    const first = group.members[0]?.server;
    if (first === undefined) throw new Error("no member");
    [first.image, first.agents] = ["new", []];
    world.connect(first, 4);
    await beginGroup(world, { wave: 23 });
    expect((await goOn(world)).status).toBe("done");
    expect(world.violations).toEqual([]);
    expect(images(group)).toEqual(all("new", 25));
    expect(world.calls.filter((call) => call === "group remove")).toHaveLength(1 + 3);
    expect([world.servers.has(first.id), group.made]).toEqual([true, 24]);
  });

  test("members that are all right, of another configuration: the group gets the new one alone; without members too", async () => {
    for (const count of [2, 0]) {
      const { world, group } = worldOf(count);
      for (const { server } of group.members) {
        [server.image, server.agents] = ["new", []];
        world.connect(server, 4);
      }
      const other = world.add("elsewhere", "old");
      const plan = await beginGroup(world);
      expect([plan.nothing, plan.begun.waves]).toEqual([false, 0]);
      expect((await goOn(world)).status).toBe("done");
      expect([group.made, group.configurations.get(group.configuration)?.image]).toEqual([0, "new"]);
      expect(other.image).toBe("old");
    }
  });
});

describe("killed", () => {
  test("at every line of the journal: gone on with, nothing is made or removed twice", {
    timeout: 120_000,
  }, async () => {
    const whole = worldOf(4);
    await beginGroup(whole.world);
    await goOn(whole.world);
    const lines = whole.world.journal.length;
    expect(lines).toBeGreaterThan(50);
    for (let line = 0; line < lines; line++) {
      const { world, group } = worldOf(4);
      await beginGroup(world);
      await goOn(world, { lines: line }).catch((error: unknown) => {
        if (!(error instanceof Killed)) throw error;
      });
      world.time += 10_000 * (line % 7);
      const state = await goOn(world);
      expect([line, state.status, world.violations, images(group)]).toEqual([line, "done", [], all("new", 4)]);
      expect([line, group.made, group.configurations.size]).toEqual([line, 4, 2]);
      expect([line, [...group.removed.values()]]).toEqual([line, [1, 1, 1, 1]]);
      expect([line, group.sizes, group.policies[0]?.isOn, held(world)]).toEqual([
        line,
        { min: 4, max: 4, desired: 4 },
        true,
        [],
      ]);
    }
  });
});

describe("gates and faults", () => {
  test("a canary that never takes jobs: paused, no old member touched; back, and all is as it was", async () => {
    const { world, group } = worldOf(5);
    group.nextFaults.push({ neverBoots: true });
    await beginGroup(world);
    const state = await goOn(world);
    expect([state.status, state.closing?.gate]).toEqual(["paused", "canary"]);
    expect(state.closing?.reason).toMatch(/1 new member does not take jobs after \d+ s: new-001 has 0 of 4 agents/);
    expect([images(group), group.removed.size]).toEqual([["new", ...all("old", 5)], 0]);
    const back = await goBack(world, group, state);
    expect([back.status, world.violations]).toEqual(["done", []]);
    expect(images(group)).toEqual(all("old", 5));
    expect([group.configuration, group.sizes, group.policies[0]?.isOn]).toEqual([
      "c-old",
      { min: 5, max: 5, desired: 5 },
      true,
    ]);
    expect([group.made, held(world)]).toEqual([1, []]);
  });

  test("resumed once the new member takes jobs it goes on; nothing more is made", async () => {
    const { world, group } = worldOf(4);
    group.nextFaults.push({ comesBack: 3 });
    await beginGroup(world);
    const state = await goOn(world);
    expect(state.closing?.reason).toContain("3 of 4 agents");
    const fresh = [...world.servers.values()].find(({ name }) => name === "new-001");
    if (fresh === undefined) throw new Error("no new member");
    world.connect(fresh, 1);
    expect((await goOn(world, { resume: {} })).status).toBe("done");
    expect([images(group), group.made, world.violations]).toEqual([all("new", 4), 4, []]);
  });

  test("one new member never ready, and one may fail: the old one stays, nobody is chosen by AS", async () => {
    const { world, group } = worldOf(6);
    group.nextFaults.push({}, {}, { neverBoots: true });
    await beginGroup(world, { maxFailed: 1 });
    const state = await goOn(world);
    expect([state.status, world.violations]).toEqual(["done", []]);
    expect(stateOf(state).filter((text) => text.endsWith("not-ready"))).toHaveLength(1);
    expect(images(group)).toEqual([...all("new", 6), "old"]);
    expect(group.sizes).toEqual({ min: 6, max: 7, desired: 7 });
    expect(group.policies[0]?.isOn).toBe(true);
  });

  test("in two waves a new member is never ready, and two may fail: neither is counted again", async () => {
    const { world, group } = worldOf(9);
    group.nextFaults.push({}, {}, { neverBoots: true }, {}, {}, { neverBoots: true });
    await beginGroup(world, { maxFailed: 2 });
    const state = await goOn(world);
    expect([state.status, world.violations]).toEqual(["done", []]);
    expect(stateOf(state).filter((text) => text.endsWith("not-ready"))).toHaveLength(2);
    expect(images(group)).toEqual([...all("new", 9), "old", "old"]);
  });

  test("a member that a person takes out of the group: its tag goes too", async () => {
    const { world, group } = worldOf(5);
    await beginGroup(world, { minHealthy: 0 });
    let taken = "";
    world.fault = (call) => {
      const [, member] = group.members;
      if (call === "group use" && taken === "" && member?.server.heldBy !== undefined) {
        taken = member.server.name;
        group.members.splice(1, 1);
        group.sizes = { min: 4, max: 5, desired: 4 };
      }
      return undefined;
    };
    const state = await goOn(world);
    expect([state.status, taken, held(world)], state.closing?.reason).toEqual(["done", "as-002", []]);
  });

  test("ended after a gate: the old configuration and sizes, nothing removed; a member without NPUs of the quota is told", async () => {
    const { world, group } = worldOf(4);
    group.quota = 5;
    await beginGroup(world);
    const state = await goOn(world);
    expect([state.status, state.closing?.gate]).toEqual(["paused", "failures"]);
    expect(state.closing?.reason).toContain("AS made none");
    const ended = await goOn(world, { stop: () => true });
    expect([ended.status, group.configuration, held(world)]).toEqual(["stopped", "c-old", []]);
    expect([group.sizes, group.policies[0]?.isOn, world.violations]).toEqual([
      { min: 4, max: 5, desired: 5 },
      true,
      [],
    ]);
  });

  test("a person stops it in a wave: what drains goes, no other wave begins", async () => {
    const { world, group } = worldOf(7);
    await beginGroup(world);
    const state = await goOn(world, {
      stop: () => world.journal.some((event) => event.event === "node" && event.state === "draining"),
    });
    expect([state.status, images(group), world.violations]).toEqual(["stopped", ["new", ...all("old", 6)], []]);
    expect([group.configuration, group.sizes]).toEqual(["c-old", { min: 7, max: 7, desired: 7 }]);
  });

  test("a member that never drains: no job is cancelled, it is not removed; with --kill-jobs it is", async () => {
    const { world, group } = worldOf(4);
    const [first] = group.members;
    if (first !== undefined) first.server.faults = { neverDrains: true };
    await beginGroup(world);
    const state = await goOn(world);
    expect([stateOf(state)[0], group.removed.size, world.violations]).toEqual(["as-001 drain-timeout", 0, []]);
    world.killJobsAllowed = true;
    expect((await goOn(world, { resume: { killJobs: true } })).status).toBe("done");
    expect([images(group), world.violations]).toEqual([all("new", 4), []]);
  });

  test("AS is busy at each call, a policy is switched on and fires in mid-wave, sizes are changed by hand", async () => {
    const { world, group } = worldOf(6, { min: 1, max: 9 });
    await beginGroup(world);
    let count = 0;
    world.fault = (call) => {
      if (!call.startsWith("group ") || call === "group look") return undefined;
      count += 1;
      const isBegun = group.members.every(({ isProtected }, at) => isProtected || at === 0);
      if (count % 7 === 3 && isBegun && group.policies[0] !== undefined) {
        group.policies[0].isOn = true;
        group.fire(-2);
      }
      return count % 2 === 0 ? cloudError(429) : undefined;
    };
    const state = await goOn(world);
    expect([state.status, world.violations]).toEqual(["done", []]);
    expect(images(group).filter((image) => image === "old")).toEqual([]);
    expect([group.sizes.min, group.sizes.desired >= 6]).toEqual([1, true]);
  });

  test("a group that a person pauses, and one whose calls are refused: paused with the reason, and gone on with", async () => {
    const { world, group } = worldOf(4);
    await beginGroup(world);
    world.fault = (call) => {
      if (call === "group use") group.isPaused = true;
      return undefined;
    };
    const paused = await goOn(world);
    expect([paused.status, paused.closing?.gate]).toEqual(["paused", "group"]);
    expect(paused.closing?.reason).toContain("is paused");
    group.isPaused = false;
    world.fault = (call) => (call === "group resize" ? cloudError(400) : undefined);
    const refused = await goOn(world, { resume: {} });
    expect([refused.status, refused.closing?.gate]).toEqual(["paused", "group"]);
    expect(refused.closing?.reason).toContain("it answers 400");
    world.fault = () => undefined;
    expect((await goOn(world, { resume: {} })).status).toBe("done");
    expect([images(group), world.violations]).toEqual([all("new", 4), []]);
  });

  test("ended though the group takes no call: the tags are off", async () => {
    const { world } = worldOf(3);
    await beginGroup(world);
    world.fault = (call) => (call === "group resize" ? cloudError(400) : undefined);
    await goOn(world);
    world.fault = (call) => (call === "group use" ? cloudError(400) : undefined);
    const state = await goOn(world, { stop: () => true });
    expect([state.status, held(world), state.group?.trouble]).toEqual(["stopped", [], expect.stringContaining("400")]);
  });

  test("members that were down before: they go too; where too few take jobs none is drained", async () => {
    const { world, group } = worldOf(5);
    await beginGroup(world);
    for (const { server } of group.members.slice(1, 3)) server.agents = [];
    const state = await goOn(world);
    expect([state.status, state.closing?.gate, world.violations]).toEqual(["paused", "capacity", []]);
    expect(group.removed.size).toBe(0);
  });

  test("another rollout takes a member", async () => {
    const { world, group } = worldOf(4);
    await beginGroup(world);
    world.fault = (call) => {
      const [, second] = group.members;
      if (call === "group use" && second !== undefined) second.server.heldBy = "other";
      return undefined;
    };
    const state = await goOn(world);
    expect([state.status, state.closing?.gate, group.removed.size]).toEqual(["paused", "held", 0]);
  });

  test("refused before anything: a paused or a busy group, a member that another rollout holds", async () => {
    const { world, group } = worldOf(3);
    group.isPaused = true;
    await expect(beginGroup(world)).rejects.toMatchObject({ code: "BK713" });
    group.isPaused = false;
    group.sizes = { min: 3, max: 4, desired: 4 };
    group.settle();
    await expect(beginGroup(world)).rejects.toMatchObject({ code: "BK713" });
    world.time += 200_000;
    const [first] = group.members;
    if (first !== undefined) first.server.heldBy = "other";
    await expect(beginGroup(world)).rejects.toBeInstanceOf(BakeError);
    // By its own ID: what the group was before, the journal knows that is not here.
    if (first !== undefined) first.server.heldBy = "rollout-1";
    await expect(beginGroup(world)).rejects.toMatchObject({ code: "BK703" });
    if (first !== undefined) [first.server.heldBy, first.state] = [undefined, "standby"];
    await expect(beginGroup(world)).rejects.toMatchObject({ code: "BK713" });
  });
});

describe("random groups, faults and kills", () => {
  const seeds = Array.from({ length: Number(process.env["ROLLOUT_WORLDS"] ?? 60) }, (_, at) => at + 1);

  test("hold the invariants, and come to an end", { timeout: seeds.length * 4000 }, async () => {
    for (const seed of seeds) {
      const random = randomOf(seed);
      const world = new TestWorld();
      world.skew = random.between(-16, 16) * 60_000;
      const count = random.between(1, 14);
      const group = new GroupInWorld(world, count, {
        min: random.between(0, count),
        max: count + random.between(0, 3),
        takes: random.between(5, 200) * 1000,
        boot: random.between(5, 200) * 1000,
      });
      for (const { server } of group.members) {
        world.work(server, 0, random.between(0, 900) * 1000);
        server.faults = { registersAgain: random.chance(0.2), ...(random.chance(0.06) && { neverDrains: true }) };
        if (random.chance(0.2)) {
          [server.image, server.agents] = ["new", []];
          world.connect(server, 4);
        }
      }
      for (let at = 0; at < count; at++) group.nextFaults.push(random.chance(0.08) ? { neverBoots: true } : {});
      await beginGroup(world, {
        wave: random.between(1, 5),
        maxFailed: random.between(0, 2),
        minHealthy: random.between(0, count),
        canarySoak: random.between(0, 200),
        soak: random.between(0, 100),
      });
      const troubled = random.chance(0.5);
      world.fault = (call) => {
        // From the first step on: what a policy does before is not seen by anybody.
        if (random.chance(0.005) && group.members.some(({ isProtected }) => isProtected)) {
          for (const policy of group.policies) policy.isOn = true;
          group.fire(random.between(-2, 2));
        }
        if (!troubled || !random.chance(0.03) || ["images", "queues"].includes(call)) return undefined;
        if (call === "agents" || call === "stop") return buildkiteDown();
        return cloudError(random.chance(0.5) ? 429 : 500);
      };
      let status = "";
      let state: RolloutState | undefined;
      for (let life = 0; life < 60 && status !== "done"; life++) {
        const lines = random.chance(0.6) ? random.between(0, 60) : undefined;
        try {
          state = await goOn(world, {
            ...(lines !== undefined && { lines }),
            resume: life > 20 ? { maxFailed: count } : {},
          });
          status = state.status;
          if (status !== "paused") continue;
          // Somebody repairs what is broken.
          for (const { server } of group.members) {
            server.faults = {};
            if (server.agents.length < 4 && server.bootsAt === undefined && server.image === "new")
              world.connect(server, 4 - server.agents.length);
            for (const agent of server.agents) if (agent.jobUntil === Number.POSITIVE_INFINITY) agent.jobUntil = 0;
          }
        } catch (error) {
          if (!(error instanceof Killed)) throw error;
          status = "killed";
        }
      }
      expect([seed, world.violations]).toEqual([seed, []]);
      expect([seed, status, state?.closing?.reason]).toEqual([seed, "done", undefined]);
      const failed = [...(state?.nodes.values() ?? [])].filter(hasFailed).length;
      // One that fails when all have soaked has gone already.
      const old = images(group).filter((image) => image === "old").length;
      expect([seed, old, old <= failed]).toEqual([seed, old, true]);
      expect([seed, group.members.length >= count, held(world)]).toEqual([seed, true, []]);
      expect([seed, Math.max(0, ...group.removed.values()) <= 1]).toEqual([seed, true]);
      expect([seed, group.configurations.size]).toEqual([seed, 2]);
    }
  });
});
