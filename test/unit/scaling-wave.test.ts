/** Waves over an AS group, decided step by step, against the emulated cloud: whatever happens between two steps. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ScalingGroup } from "../../src/rollout/ports.ts";
import { makeScalingGroup } from "../../src/rollout/movers/scaling.ts";
import { lastStep, nextStep, performStep, type ScalingWave } from "../../src/rollout/movers/scaling-wave.ts";
import { cloudOf, hostOf, type TestCloud } from "../huaweicloud/cloud-of.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { firePolicy } from "../huaweicloud/scaling-routes.ts";
import { bakedImage, fleetServer, scalingGroup, type ScalingGroup as Group } from "../huaweicloud/world.ts";

const start = Date.UTC(2026, 10, 27, 3);
const [old, fresh] = ["aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"];
const actCall = "AS POST /autoscaling-api/v1/{project_id}/scaling_group_instance/{scaling_group_id}/action";

let emulator: Emulator;
let cloud: TestCloud;
let group: ScalingGroup;
let inWorld: Group;
let ready: Set<string>;
let drained: Set<string>;
const size = 13;
beforeEach(async () => {
  emulator = await startEmulator(() => start);
  cloud = cloudOf(emulator);
  group = makeScalingGroup(cloud, hostOf(emulator, cloud), "g1");
  ready = new Set();
  drained = new Set();
  const { world } = emulator;
  world.onBooted = ({ id, imageId }) => void (imageId === fresh && ready.add(id));
  world.images.push(bakedImage(old, "Old"), bakedImage(fresh, "New"));
  world.scalingConfigurations.push({ id: "c1", name: "old", imageId: old }, { id: "c2", name: "new", imageId: fresh });
  const servers = Array.from({ length: size }, (_, at) => fleetServer(at + 1, { imageId: old }));
  world.servers.push(...servers);
  inWorld = scalingGroup(servers);
  world.scalingGroups.push(inWorld);
  world.scalingPolicies.push({ id: "p1", name: "shrink", groupId: "g1", isOn: true, change: -2 });
});
afterEach(() => emulator.close());

const wave = (rest: Partial<ScalingWave> = {}): ScalingWave => ({
  configuration: "c2",
  old: Array.from({ length: 12 }, (_, at) => fleetServer(at + 1).id),
  others: new Set(Array.from({ length: size }, (_, at) => fleetServer(at + 1).id)),
  wanted: 12,
  before: { sizes: { min: size, max: size, desired: size }, policies: ["p1"], protected: [] },
  ...rest,
});

/** Steps until the end, with what happens after each; what works is never less than before. */
const run = async (
  of: ScalingWave,
  after: (steps: number) => void = () => undefined,
  { isLast = true }: { readonly isLast?: boolean } = {},
): Promise<string[]> => {
  const done: string[] = [];
  let isOver = false;
  for (let steps = 1; steps < 200; steps += 1) {
    const [seen, policies] = [await group.look(), await group.policies()];
    const step = isOver
      ? lastStep(of.before, seen, policies, of.configuration)
      : nextStep(of, seen, { policies, ready, drained, removing: new Set() });
    if (step.do === "done" && isLast && !isOver) {
      isOver = true;
      continue;
    }
    if (done.at(-1) !== step.do) done.push(step.do);
    if (step.do === "done" || step.do === "stop") return done;
    if (step.do === "drain") for (const id of step.members) drained.add(id);
    else if (step.do === "wait") emulator.advance(30_000);
    else await performStep(group, step);
    after(steps);
    const works = inWorld.members.filter(
      ({ serverId, state, configurationId }) =>
        state === "INSERVICE" && (configurationId === "c1" ? !drained.has(serverId) : ready.has(serverId)),
    );
    expect(works.length).toBeGreaterThanOrEqual(size);
  }
  throw new Error(`it does not end: ${done.join(", ")}`);
};

const images = (): Record<string, number> => {
  const all: Record<string, number> = {};
  for (const { imageId } of emulator.world.servers) all[imageId] = (all[imageId] ?? 0) + 1;
  return all;
};

test("a group whose minimum is its maximum: raised, ready, drained, removed ten at a time, and as before", async () => {
  expect(await run(wave())).toEqual([
    "switch policies",
    "use",
    "protect",
    "resize",
    "wait",
    "protect",
    "wait",
    "drain",
    "resize",
    "protect",
    "remove",
    "wait",
    "remove",
    "wait",
    "resize",
    "protect",
    "switch policies",
    "done",
  ]);
  expect(images()).toEqual({ [old]: 1, [fresh]: 12 });
  expect(inWorld).toMatchObject({ min: size, max: size, desired: size, configurationId: "c2" });
  expect(inWorld.members.some(({ isProtected }) => isProtected)).toBe(false);
  expect(emulator.world.scalingPolicies[0]?.isOn).toBe(true);
});

test("a second wave counts the members of the first; between them policies stay off and members protected", async () => {
  await run(wave({ old: [1, 2, 3].map((number) => fleetServer(number).id), wanted: 3 }), undefined, { isLast: false });
  expect(emulator.world.scalingPolicies[0]?.isOn).toBe(false);
  expect(inWorld.members.map(({ isProtected }) => isProtected)).toEqual(Array(size).fill(true));
  const rest = Array.from({ length: 10 }, (_, at) => fleetServer(at + 4).id);
  await run(wave({ old: rest, wanted: 13 }));
  expect(images()).toEqual({ [fresh]: 13 });
});

test("a policy that somebody switches on again in mid-wave, and that fires, costs no member that is counted", async () => {
  await run(wave(), (steps) => {
    if (steps !== 5) return;
    for (const policy of emulator.world.scalingPolicies) policy.isOn = true;
    firePolicy(emulator.world, "p1", emulator.now());
  });
  expect(inWorld).toMatchObject({ min: size, max: size, desired: size });
  expect(images()).toEqual({ [old]: 1, [fresh]: 12 });
});

test("new members that never take jobs: nothing old is touched; a group that a person paused stops the wave", async () => {
  emulator.world.onBooted = () => undefined;
  await expect(run(wave())).rejects.toThrow("it does not end");
  expect(drained.size).toBe(0);
  expect(images()).toEqual({ [old]: size, [fresh]: 12 });
  inWorld.status = "PAUSED";
  expect((await run(wave())).at(-1)).toBe("stop");
});

test("a removal that was asked for is not asked for again; members in standby stop the wave", async () => {
  const seen = await group.look();
  const [first, second] = [fleetServer(1).id, fleetServer(2).id];
  const before = { sizes: { min: 0, max: size, desired: size }, policies: [], protected: [] };
  const of = wave({ configuration: "c1", old: [first, second], wanted: 0, before });
  const members = seen.members.map((member) => ({ ...member, isProtected: !of.old.includes(member.id) }));
  const asked = (removing: readonly string[], state = members) =>
    nextStep(
      of,
      { ...seen, members: state, sizes: { min: size - 2, max: size, desired: size } },
      { policies: [], ready: new Set(), drained: new Set(of.old), removing: new Set(removing) },
    );
  expect(asked([])).toEqual({ do: "remove", members: [first, second] });
  expect(asked([first])).toEqual({ do: "remove", members: [second] });
  expect(asked([first, second])).toEqual({ do: "wait", until: "AS has settled what becomes of the old members" });
  expect(
    asked([], [...members.slice(1), ...members.slice(0, 1).map((each) => ({ ...each, state: "standby" as const }))]).do,
  ).toBe("stop");
});

test("an answer that is lost: the next step is decided by what there is", async () => {
  const lost = { lost: true as const };
  emulator.fail(actCall, lost);
  for (let tries = 0; ; tries += 1) {
    try {
      await run(wave());
      break;
    } catch (error) {
      if (tries > 3 || !(error as Error).message.includes("no answer")) throw error;
    }
  }
  expect(images()).toEqual({ [old]: 1, [fresh]: 12 });
});
