/** Agents, queues and their time: what the emulated Buildkite knows. */
import { uuidOf } from "../../src/formats/uuid.ts";

interface EmulatedJob {
  readonly id: string;
  readonly url: string;
  /** Milliseconds since the epoch. */
  endsAt: number;
}

export interface EmulatedAgent {
  readonly id: string;
  readonly node: string;
  readonly name: string;
  readonly hostname: string | null;
  readonly tags: readonly string[];
  readonly queue: string | undefined;
  connectedAt: number;
  state: "connected" | "stopping" | "stopped" | "disconnected" | "lost";
  job: EmulatedJob | undefined;
  pausedUntil: number | undefined;
  /** When it was told to stop. */
  stoppedAt: number;
}

interface EmulatedQueue {
  readonly id: string;
  readonly node: string;
  readonly key: string;
  readonly cluster: string;
  paused: boolean;
}

export interface NewAgent {
  readonly name: string;
  readonly hostname?: string | null;
  readonly tags?: readonly string[];
  /** Key of a queue of a cluster; without it the agent is in none. */
  readonly queue?: string;
  /** Milliseconds that its job takes; Infinity for one that never ends. */
  readonly job?: number;
}

const nodeOf = (kind: string, id: string): string => Buffer.from(`${kind}---${id}`).toString("base64");

/** Milliseconds from the end of the last job until a stopping agent is gone. */
const leaving = 2000;

export class World {
  readonly agents = new Map<string, EmulatedAgent>();
  readonly byNode = new Map<string, EmulatedAgent>();
  /** Connected or stopping, in the order in which they came. */
  readonly #there = new Map<string, EmulatedAgent>();
  readonly #stopping = new Set<EmulatedAgent>();
  readonly queues: EmulatedQueue[] = [];
  readonly now: () => number;
  #made = 0;

  constructor(now: () => number) {
    this.now = now;
  }

  addQueue(key: string, cluster = "main"): EmulatedQueue {
    const id = uuidOf(`queue ${cluster} ${key}`, 4);
    const queue = {
      id,
      node: nodeOf("ClusterQueue", id),
      key,
      cluster: uuidOf(`cluster ${cluster}`, 4),
      paused: false,
    };
    this.queues.push(queue);
    return queue;
  }

  connect({ name, hostname = null, tags = [], queue, job }: NewAgent): EmulatedAgent {
    if (queue !== undefined && !this.queues.some(({ key }) => key === queue)) this.addQueue(queue);
    const id = uuidOf(`agent ${(this.#made += 1)}`, 4);
    const agent: EmulatedAgent = {
      id,
      node: nodeOf("Agent", id),
      name,
      hostname,
      tags: [...(queue === undefined ? [] : [`queue=${queue}`]), ...tags],
      queue,
      connectedAt: this.now(),
      state: "connected",
      job: undefined,
      pausedUntil: undefined,
      stoppedAt: 0,
    };
    this.agents.set(id, agent);
    this.byNode.set(agent.node, agent);
    this.#there.set(id, agent);
    if (job !== undefined) this.startJob(id, job);
    return agent;
  }

  #get(id: string): EmulatedAgent {
    const agent = this.agents.get(id);
    if (agent === undefined) throw new Error(`no agent ${id}`);
    return agent;
  }

  startJob(id: string, milliseconds: number): void {
    const job = uuidOf(`job ${(this.#made += 1)}`, 4);
    this.#get(id).job = {
      id: job,
      url: `https://buildkite.com/acme/ci/builds/7#${job}`,
      endsAt: this.now() + milliseconds,
    };
  }

  finishJob(id: string): void {
    const { job } = this.#get(id);
    if (job !== undefined) job.endsAt = this.now();
  }

  /** The job that runs now. */
  running(agent: EmulatedAgent): EmulatedJob | undefined {
    return agent.job !== undefined && agent.job.endsAt > this.now() ? agent.job : undefined;
  }

  isPaused(agent: EmulatedAgent): boolean {
    return agent.pausedUntil !== undefined && agent.pausedUntil > this.now();
  }

  pause(id: string, minutes = 5): void {
    this.#get(id).pausedUntil = this.now() + minutes * 60_000;
  }

  resume(id: string): void {
    this.#get(id).pausedUntil = undefined;
  }

  /** @returns what it is refused for. */
  stop(agent: EmulatedAgent, graceful: boolean): string | undefined {
    this.settle();
    if (agent.state !== "connected" && !(agent.state === "stopping" && !graceful))
      return "Can only stop connected agents";
    agent.state = "stopping";
    agent.stoppedAt ||= this.now();
    const job = this.running(agent);
    if (!graceful && job !== undefined) job.endsAt = this.now();
    this.#stopping.add(agent);
    return undefined;
  }

  /** The connection ends, whatever it was doing. */
  disconnect(id: string, state: "disconnected" | "lost" | "stopped" = "disconnected"): void {
    const agent = this.#get(id);
    agent.state = state;
    this.#there.delete(id);
    this.#stopping.delete(agent);
  }

  /** Agents that stop and have no job any more go. */
  settle(): void {
    for (const agent of this.#stopping) {
      if (this.running(agent) !== undefined) continue;
      const idle = Math.max(agent.stoppedAt, agent.job?.endsAt ?? 0);
      if (idle + leaving <= this.now()) this.disconnect(agent.id, "stopped");
    }
  }

  /** Connected or stopping. */
  there(): EmulatedAgent[] {
    this.settle();
    return [...this.#there.values()];
  }
}
