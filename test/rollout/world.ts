/**
 * A cloud and a Buildkite in memory, with a clock that waiting moves. It forbids what a rollout must never do: `violations` has
 * what was done nevertheless.
 */
import { CloudError } from "../../src/huaweicloud/client.ts";
import { BakeError } from "../../src/errors.ts";
import type { RolloutEvent } from "../../src/rollout/journal-events.ts";
import type { StopOutcome } from "../../src/buildkite/stop.ts";
import type { JobState } from "../../src/huaweicloud/change-os.ts";
import type { MoverKind, SeenAgent, SeenNode } from "../../src/rollout/ports.ts";
import type { KnownImage, World } from "../../src/rollout/run.ts";

interface Agent {
  readonly id: string;
  readonly connectedAt: number;
  readonly bakeId: string;
  /** When its job ends; 0 without one. */
  jobUntil: number;
  stopping: boolean;
}

export interface Server {
  readonly id: string;
  readonly name: string;
  image: string;
  kind: MoverKind;
  spawn: number;
  agents: Agent[];
  heldBy: string | undefined;
  group?: { readonly id: string; readonly name: string };
  power: SeenNode["power"];
  /** What is being done to it. */
  change: { readonly to: string; readonly until: number; readonly fails: string | undefined } | undefined;
  /** When its agents connect. */
  bootsAt: number | undefined;
  lastJob: { readonly id: string; readonly outcome: JobState } | undefined;
  changes: number;
  /** Faults of this one server. */
  faults: {
    /** Its jobs end only when they are cancelled. */
    neverDrains?: boolean;
    /** So many of its agents come back. */
    comesBack?: number;
    /** The job of a change says SUCCESS, and the image is the old one. */
    wrongImage?: boolean;
    changeFails?: string;
    neverBoots?: boolean;
    /** A stopped agent registers once more. */
    registersAgain?: boolean;
    /** The first change is accepted or not, and the answer is lost. */
    lost?: "accepted" | "not sent" | undefined;
  };
}

interface Timing {
  /** Milliseconds. */
  readonly change: number;
  readonly boot: number;
  readonly job: number;
}

const bakeIdOf = (image: string): string => `bake-of-${image}`;

/** An answer of the cloud that is none. */
export const cloudError = (status: number | undefined): CloudError =>
  new CloudError(
    status === 401 ? "BK420" : status === 403 ? "BK422" : "BK423",
    `it answers ${status ?? "nothing"}`,
    undefined,
    {
      call: "listServers",
      ...(status !== undefined && { status }),
    },
  );

export class TestWorld {
  time = Date.UTC(2026, 10, 27, 2);
  /** Buildkite's clock less this machine's. */
  skew = 0;
  readonly servers = new Map<string, Server>();
  readonly images: KnownImage[] = [];
  readonly violations: string[] = [];
  readonly calls: string[] = [];
  readonly journal: RolloutEvent[] = [];
  readonly pausedQueues: string[] = [];
  /** What is wrong with the next call; by its name. */
  fault: (call: string) => Error | undefined = () => undefined;
  alive = true;
  killJobsAllowed = false;
  minHealthy = 0;
  /** Off for benchmarks: it looks through the whole journal at each call. */
  strict = true;
  stopRequests = 0;
  stoppedAgents = 0;
  readonly #onHold = new Map<string, () => void>();
  /** Agents' servers. */
  readonly #owner = new Map<string, Server>();
  #serial = 0;
  #looked = false;
  readonly #timing: Timing;

  constructor(timing: Partial<Timing> = {}) {
    this.#timing = { change: 120_000, boot: 60_000, job: 300_000, ...timing };
  }

  add(name: string, image: string, rest: Partial<Server> = {}): Server {
    const server: Server = {
      id: `id-${name}`,
      name,
      image,
      kind: "ecs",
      spawn: 4,
      agents: [],
      heldBy: undefined,
      power: "active",
      change: undefined,
      bootsAt: undefined,
      lastJob: undefined,
      changes: 0,
      faults: {},
      ...rest,
    };
    this.servers.set(server.id, server);
    this.connect(server, server.spawn);
    return server;
  }

  addImage(id: string, rest: Partial<KnownImage> = {}): void {
    this.images.push({ id, bakeId: bakeIdOf(id), usable: true, ...rest });
  }

  get now(): number {
    return this.time;
  }

  connect(server: Server, count: number): void {
    for (let index = 0; index < count; index++) {
      const id = `agent-${(this.#serial += 1)}`;
      this.#owner.set(id, server);
      server.agents.push({
        id,
        connectedAt: this.time + this.skew,
        bakeId: bakeIdOf(server.image),
        jobUntil: 0,
        stopping: false,
      });
    }
  }

  /** What happens on a node when it is held. */
  onHold(server: Server, happens: () => void): void {
    this.#onHold.set(server.id, happens);
  }

  work(server: Server, index: number, milliseconds: number): void {
    const agent = server.agents[index];
    if (agent !== undefined) agent.jobUntil = this.time + milliseconds;
  }

  #settle(): void {
    for (const server of this.servers.values()) {
      const { change } = server;
      if (change !== undefined && this.time >= change.until) {
        server.change = undefined;
        const fails = change.fails;
        if (fails === undefined && server.faults.wrongImage !== true) server.image = change.to;
        server.lastJob = {
          id: server.lastJob?.id ?? "",
          outcome: fails === undefined ? { state: "done" } : { state: "failed", reason: fails },
        };
        server.power = "active";
        if (server.faults.neverBoots !== true) server.bootsAt = change.until + this.#timing.boot;
      }
      if (server.bootsAt !== undefined && this.time >= server.bootsAt) {
        server.bootsAt = undefined;
        this.connect(server, server.faults.comesBack ?? server.spawn);
      }
      const gone = server.agents.filter(({ stopping, jobUntil }) => stopping && jobUntil <= this.time);
      if (gone.length > 0) {
        server.agents = server.agents.filter((agent) => !gone.includes(agent));
        if (server.faults.registersAgain === true) {
          server.faults = { ...server.faults, registersAgain: false };
          this.connect(server, 1);
        }
      }
    }
  }

  #call(name: string, node?: string): void {
    if (!this.alive) throw new Error("a dead process called");
    this.time += 20;
    if (this.strict || name === "look" || name === "agents") this.#settle();
    this.calls.push(node === undefined ? name : `${name} ${node}`);
    const error = this.fault(name);
    if (error !== undefined) throw error;
  }

  /** A call of another part of this world. */
  called(name: string): void {
    this.#call(name);
  }

  #server(id: string): Server {
    const server = this.servers.get(id);
    if (server === undefined) throw cloudError(404);
    return server;
  }

  #forbid(condition: boolean, what: string): void {
    if (condition) this.violations.push(`${what} (call ${this.calls.length})`);
  }

  /** Nodes that take jobs, seen from inside. */
  usable(): number {
    return [...this.servers.values()].filter(
      ({ agents, spawn, change }) => change === undefined && agents.filter(({ stopping }) => !stopping).length >= spawn,
    ).length;
  }

  #open(node: string): RolloutEvent | undefined {
    return this.journal.findLast((event) => "node" in event && event.node === node && event.event !== "node");
  }

  get begun() {
    const [first] = this.journal;
    return first?.event === "begun" ? first : undefined;
  }

  /** The next wave only after the last is ready and soaked. */
  requireSoaked(node: string): void {
    if (!this.strict) return;
    const begun = this.begun;
    const wave = begun?.nodes.find(({ id }) => id === node)?.wave ?? 0;
    for (let earlier = 0; earlier < wave; earlier++) {
      const done = this.journal.find(
        (event) => event.event === "wave" && event.wave === earlier && event.phase === "done",
      );
      const soaking = this.journal.findLast(
        (event) => event.event === "wave" && event.wave === earlier && event.phase === "soaking",
      );
      const soak = (earlier === 0 ? begun?.settings.canarySoak : begun?.settings.soak) ?? 0;
      const members = begun?.nodes.filter((each) => each.wave === earlier) ?? [];
      const before = (last: RolloutEvent | undefined): readonly RolloutEvent[] =>
        last === undefined ? [] : this.journal.slice(0, this.journal.indexOf(last));
      const ready = members.some(({ id }) =>
        before(done).some((event) => event.event === "node" && event.node === id && event.state === "ready"),
      );
      this.#forbid(done === undefined || soaking === undefined, `wave ${wave} before wave ${earlier} is done`);
      if (ready && done !== undefined && soaking !== undefined)
        this.#forbid(done.at - soaking.at < soak * 1000, `wave ${earlier} soaked too short`);
    }
  }

  world: World = {
    movers: [
      {
        kind: "ecs",
        look: async () => {
          this.#call("look");
          return [...this.servers.values()].map((server) => ({
            id: server.id,
            name: server.name,
            hostname: server.name,
            kind: server.kind,
            image: server.image,
            power: server.power,
            task: server.change === undefined ? undefined : "rebuilding",
            tags: {},
            heldBy: server.heldBy,
            group: server.group,
          }));
        },
        hold: async (node, rollout) => {
          this.#call("hold", node);
          this.#forbid(
            this.strict && this.begun?.already.some(({ id }) => id === node) === true,
            `${node} is right, and is held`,
          );
          this.#server(node).heldBy = rollout;
          this.#onHold.get(node)?.();
        },
        release: async (node, rollout) => {
          this.#call("release", node);
          const server = this.#server(node);
          if (server.heldBy === rollout) server.heldBy = undefined;
        },
        change: async (node, { image }) => {
          const server = this.#server(node);
          const { lost } = server.faults;
          if (lost === "not sent") {
            server.faults = { ...server.faults, lost: undefined };
            this.#call("change lost", node);
            throw cloudError(undefined);
          }
          this.#call("change", node);
          const intent = this.strict ? this.#open(node) : undefined;
          this.#forbid(
            this.strict && (intent?.event !== "intent" || intent.call !== "change"),
            `${node} is changed without an intent`,
          );
          this.#forbid(server.change !== undefined, `${node} is changed twice at a time`);
          this.#forbid(server.heldBy !== this.begun?.rollout, `${node} is changed, and not held`);
          this.#forbid(server.group !== undefined, `${node} is a member of a group`);
          this.#forbid(
            server.agents.some(({ jobUntil }) => jobUntil > this.time),
            `${node} is changed while a job runs`,
          );
          this.#forbid(
            !this.begun?.nodes.some(({ id, to }) => id === node && to === image),
            `${node} gets another image`,
          );
          this.requireSoaked(node);
          server.agents = [];
          server.changes += 1;
          const job = `job-${node}-${server.changes}`;
          server.lastJob = { id: job, outcome: { state: "running" } };
          server.change = { to: image, until: this.time + this.#timing.change, fails: server.faults.changeFails };
          server.bootsAt = undefined;
          if (lost === "accepted") {
            server.faults = { ...server.faults, lost: undefined };
            throw cloudError(undefined);
          }
          return { job };
        },
        changeState: async (node) => {
          this.#call("ask", node);
          return this.#server(node).lastJob?.outcome ?? { state: "unknown" };
        },
      },
    ],
    agents: {
      look: async () => {
        this.#call("agents");
        this.#looked = true;
        return [...this.servers.values()].flatMap((server) =>
          server.agents.map(
            (agent, index): SeenAgent => ({
              id: agent.id,
              name: `${server.name}-${index + 1}`,
              hostname: `${server.name.toUpperCase()}.example.com`,
              tags: ["queue=ascend", `bake-id=${agent.bakeId}`],
              connectedAt: agent.connectedAt,
              stopping: agent.stopping,
              paused: false,
              job: agent.jobUntil > this.time ? `https://buildkite.com/o/p/builds/1#${agent.id}` : undefined,
            }),
          ),
        );
      },
      stop: async (ids, { killJobs }) => {
        this.#call("stop");
        this.stopRequests += 1;
        this.stoppedAgents += ids.length;
        this.#forbid(killJobs && !this.killJobsAllowed, "jobs are cancelled");
        const before = this.usable();
        const outcomes = new Map<string, StopOutcome>();
        for (const id of ids) {
          const server = this.#owner.get(id);
          const agent = server?.agents.find((each) => each.id === id);
          if (server === undefined || agent === undefined) {
            outcomes.set(id, "gone");
            continue;
          }
          this.#forbid(
            this.begun?.already.some((right) => right.id === server.id) === true,
            `${server.name} is right, and is stopped`,
          );
          this.requireSoaked(server.id);
          agent.stopping = true;
          if (server.faults.neverDrains === true) agent.jobUntil = Number.POSITIVE_INFINITY;
          if (killJobs) agent.jobUntil = 0;
          outcomes.set(id, "stopping");
        }
        const after = this.usable();
        this.#forbid(after < this.minHealthy && after < before, `${after} nodes take jobs, ${this.minHealthy} have to`);
        return outcomes;
      },
      pausedQueues: async () => {
        this.#call("queues");
        return this.pausedQueues;
      },
      clockSkew: () => (this.#looked ? this.skew : undefined),
    },
    images: async () => {
      this.#call("images");
      return this.images;
    },
    userData: async (node) => `#cloud-config of ${node?.name ?? "all"}, with the secret Sesam-${node?.name ?? "all"}`,
  };

  readonly host = {
    now: (): number => this.time,
    sleep: async (milliseconds: number, signal: AbortSignal): Promise<void> => {
      signal.throwIfAborted();
      this.time += milliseconds;
    },
    signal: new AbortController().signal,
  };
}

/** Buildkite does not answer. */
export const buildkiteDown = (): BakeError => new BakeError("BK302", "api.buildkite.com answers 503");
