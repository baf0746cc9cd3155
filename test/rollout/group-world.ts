/**
 * An AS group in the world in memory: it keeps as many members as are wanted, is busy while it makes or removes some, and lets its
 * policies fire. What it does by itself to a member that has a job is a violation, as in the rest of that world.
 */
import { begin, settingsOf } from "./rolling.ts";
import { cloudError, type Server, type TestWorld } from "./world.ts";
import type { ScalingGroup, SeenMember } from "../../src/rollout/ports.ts";
import { groupNow, replaceable, type WantedGroup } from "../../src/rollout/plan-group.ts";
import type { PlanRequest, RolloutPlan } from "../../src/rollout/waves.ts";
import { lookAround } from "../../src/rollout/run.ts";

interface Member {
  readonly server: Server;
  readonly configuration: string;
  state: SeenMember["state"];
  isProtected: boolean;
  /** When it is in service, or gone. */
  until: number;
}

interface Options {
  readonly min?: number;
  readonly max?: number;
  /** Milliseconds that AS needs to make or to remove members. */
  readonly takes?: number;
  readonly boot?: number;
}

/** Nothing is made any more beyond so many servers. */
const unlimited = Number.POSITIVE_INFINITY;

export class GroupInWorld {
  readonly members: Member[] = [];
  readonly configurations = new Map([["c-old", { name: "old", image: "old" }]]);
  readonly policies = [{ id: "p1", name: "shrink", isOn: true }];
  sizes: { min: number; max: number; desired: number };
  configuration = "c-old";
  isPaused = false;
  made = 0;
  /** Of each server, how often it was removed. */
  readonly removed = new Map<string, number>();
  /** Faults of the next new members. */
  readonly nextFaults: Server["faults"][] = [];
  quota = unlimited;
  #busyUntil = 0;
  readonly #takes: number;
  readonly #boot: number;
  readonly #world: TestWorld;

  constructor(world: TestWorld, count: number, { min, max, takes = 60_000, boot = 60_000 }: Options = {}) {
    this.#world = world;
    [this.#takes, this.#boot] = [takes, boot];
    for (const image of ["old", "new"]) world.addImage(image);
    for (let number = 1; number <= count; number++) {
      const server = world.add(`as-${String(number).padStart(3, "0")}`, "old", { kind: "as" });
      this.members.push({ server, configuration: "c-old", state: "in service", isProtected: false, until: 0 });
    }
    this.sizes = { min: min ?? count, max: max ?? count, desired: count };
    const [mover] = world.world.movers;
    if (mover === undefined) throw new Error("no mover");
    world.world = { ...world.world, movers: [{ ...mover, kind: "as" }], group: this.group };
  }

  /** A policy that is on changes what is wanted. */
  fire(change: number): void {
    if (this.policies.every(({ isOn }) => !isOn)) return;
    this.sizes.desired = Math.max(this.sizes.min, Math.min(this.sizes.max, this.sizes.desired + change));
  }

  #forbid(condition: boolean, what: string): void {
    if (condition) this.#world.violations.push(what);
  }

  get #isBusy(): boolean {
    return this.#busyUntil > this.#world.time;
  }

  #leave(member: Member): void {
    const { server } = member;
    this.#forbid(
      server.agents.some(({ jobUntil }) => jobUntil > this.#world.time),
      `${server.name} is removed while a job runs`,
    );
    this.removed.set(server.name, (this.removed.get(server.name) ?? 0) + 1);
    member.state = "leaving";
    server.agents = [];
    member.until = this.#busyUntil = this.#world.time + this.#takes;
  }

  /** What AS does by itself. */
  settle(): void {
    const { time } = this.#world;
    for (const member of [...this.members]) {
      if (member.until > time || (member.state !== "leaving" && member.state !== "coming")) continue;
      if (member.state === "leaving") {
        this.members.splice(this.members.indexOf(member), 1);
        this.#world.servers.delete(member.server.id);
        continue;
      }
      member.state = "in service";
      member.server.power = "active";
      if (member.server.faults.neverBoots !== true) member.server.bootsAt = member.until + this.#boot;
    }
    if (this.isPaused) return;
    const staying = this.members.filter(({ state }) => state !== "leaving");
    for (let missing = this.sizes.desired - staying.length; missing > 0; missing--) {
      if (this.#world.servers.size >= this.quota) break;
      this.made += 1;
      const image = this.configurations.get(this.configuration)?.image ?? "";
      const server = this.#world.add(`new-${String(this.made).padStart(3, "0")}`, image, {
        kind: "as",
        spawn: 0,
        power: "building",
        faults: this.nextFaults.shift() ?? {},
      });
      server.spawn = 4;
      this.#busyUntil = time + this.#takes;
      const { configuration } = this;
      this.members.push({ server, configuration, state: "coming", isProtected: false, until: this.#busyUntil });
    }
    if (this.#isBusy) return;
    const mayGo = staying.filter(({ isProtected, state }) => !isProtected && state === "in service");
    const order = mayGo.toSorted(
      (a, b) => Number(a.configuration === this.configuration) - Number(b.configuration === this.configuration),
    );
    for (const member of order.slice(0, Math.max(0, staying.length - this.sizes.desired))) this.#leave(member);
  }

  #call(name: string): void {
    this.#world.called(name);
    this.settle();
  }

  #requireFree(): void {
    if (this.#isBusy) throw cloudError(429);
  }

  readonly group: ScalingGroup = {
    look: async () => {
      this.#call("group look");
      return {
        id: "g1",
        name: "builders",
        sizes: { ...this.sizes },
        configuration: this.configuration,
        isScaling: this.#isBusy,
        isPaused: this.isPaused,
        members: this.members.map(({ server, configuration, state, isProtected }) => ({
          id: server.id,
          configuration,
          state,
          health: state === "coming" ? ("starting" as const) : ("good" as const),
          isProtected,
        })),
      };
    },
    configure: async ({ image }, name) => {
      this.#call("group configure");
      const there = [...this.configurations].find(([, each]) => each.name === name);
      if (there !== undefined) return there[0];
      const id = `c-${this.configurations.size}`;
      this.configurations.set(id, { name, image });
      return id;
    },
    use: async (configuration) => {
      this.#call("group use");
      this.configuration = configuration;
    },
    resize: async (sizes) => {
      this.#call("group resize");
      if (sizes.desired !== this.sizes.desired) this.#requireFree();
      this.#forbid(sizes.min > sizes.desired || sizes.desired > sizes.max, "sizes that AS does not take");
      const staying = this.members.filter(({ state }) => state !== "leaving").length;
      this.#forbid(sizes.desired < staying, `${staying} members, ${sizes.desired} wanted: AS chooses who goes`);
      this.sizes = { ...sizes };
    },
    protect: async (members, isProtected) => {
      this.#call("group protect");
      for (const member of this.members) if (members.includes(member.server.id)) member.isProtected = isProtected;
    },
    remove: async (members) => {
      this.#call("group remove");
      this.#forbid(members.length > 10, "more than ten at once");
      const intent = this.#world.journal.findLast((event) => event.event === "intent");
      this.#forbid(intent?.event !== "intent" || intent.call !== "group", "removed without an intent");
      this.#requireFree();
      const going = this.members.filter(({ server, state }) => members.includes(server.id) && state === "in service");
      const staying = this.members.filter(({ state }) => state !== "leaving").length;
      if (staying - going.length < this.sizes.min) throw cloudError(400);
      for (const { server } of going) {
        this.#forbid(server.agents.length > 0, `${server.name} is removed before it has drained`);
        this.#world.requireSoaked(server.id);
      }
      this.sizes.desired -= going.length;
      for (const member of going) this.#leave(member);
    },
    policies: async () => this.policies.map((policy) => ({ ...policy })),
    switchPolicies: async (policies, on) => {
      this.#call("group policies");
      for (const policy of this.policies) if (policies.includes(policy.id)) policy.isOn = on;
    },
  };
}

/** Plans a rollout over the group, and puts it into the journal. */
export const beginGroup = async (
  world: TestWorld,
  settings: object = {},
  { group = {}, ...rest }: Omit<Partial<PlanRequest>, "group"> & { readonly group?: Partial<WantedGroup> } = {},
): Promise<RolloutPlan> => {
  const around = await lookAround(world.world, world.host);
  const looked = around.group;
  if (looked === undefined) throw new Error("no group");
  const to = group.to ?? "new";
  const nodes = replaceable(looked).flatMap(({ id }) => around.nodes.get(id) ?? []);
  return begin(world, to, {
    settings: settingsOf({ wave: 3, minHealthy: "100%", ...settings }),
    nodes: nodes.map((seen) => ({ seen, to })),
    group: { looked, to, before: groupNow(looked, "old"), ...group },
    ...rest,
  });
};
