/** The agents that have registered: who they are, whether they are there, and whether all that are expected have come. */
import { BakeError } from "../../errors.ts";
import { type ExpectedAgents, expandName, judgeRegistration, upTo } from "./judge.ts";
import { inSeconds, pending } from "./pending.ts";
import { answerRegister, parseRegistration, refuse, type RegistrationRequest, type Reply } from "./protocol.ts";

export interface Registration {
  readonly request: RegistrationRequest;
  /** After the server's expansion. */
  readonly name: string;
  /** Which of the expected agents it is; missing when its name is none of theirs. */
  readonly index?: number;
  /** An agent connects after all agents of its process have registered. `replaced`: the same name registered again. */
  readonly state: "registered" | "connected" | "disconnected" | "replaced";
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export interface Agent {
  readonly id: string;
  readonly accessToken: string;
  readonly registration: Registration;
  state: Registration["state"];
  /** When it was last heard of, in milliseconds since the epoch. */
  seen: number;
}

export interface AgentPool {
  /** Answers `POST register`. */
  readonly register: (authorization: string | undefined, body: unknown) => Reply;
  readonly connect: (agent: Agent) => void;
  readonly disconnect: (agent: Agent) => void;
  /** The agent that sent this Authorization header. */
  readonly authorized: (authorization: string | undefined) => Agent | undefined;
  /** Agents that are registered or connected now. */
  readonly present: () => Agent[];
  /** All that ever registered, as they are now. */
  readonly registrations: () => Registration[];
  /** What is wrong with the registrations so far, one sentence each, none twice. */
  readonly problems: () => string[];
  /** From now on agents register with this token. */
  readonly rotateToken: (token: string) => void;
  /** Resolves, in order of their index, when all expected agents are connected. @throws BakeError BK502 */
  readonly waitForAll: (timeoutMs: number, signal?: AbortSignal) => Promise<Registration[]>;
  /** Ends all waiting. */
  readonly close: () => void;
}

const isPresent = ({ state }: Agent): boolean => state === "registered" || state === "connected";

/** @returns no agents yet. */
export const createAgentPool = (options: {
  readonly expected: ExpectedAgents;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly random: {
    readonly id: () => string;
    readonly secret: () => string;
    /** For `%random` of a name. */
    readonly word: () => string;
  };
  /** Called when an agent is not there any more, with what its jobs say about it. */
  readonly onLost: (agent: Agent, why: string) => void;
}): AgentPool => {
  const { now, random, onLost } = options;
  let { expected } = options;
  const agents: Agent[] = [];
  const problems = new Set<string>();
  /** Called after everything that `waitForAll` may wait for. */
  const watchers = new Set<() => void>();
  let tokenRefused = false;
  let closed = false;

  const changed = (): void => {
    for (const watcher of watchers) watcher();
  };
  const connected = (index: number): Agent | undefined =>
    agents.find(({ registration, state }) => registration.index === index && state === "connected");
  const snapshot = ({ registration, state }: Agent): Registration => ({ ...registration, state });

  const leave = (agent: Agent, state: "disconnected" | "replaced", why: string): void => {
    agent.state = state;
    onLost(agent, why);
    changed();
  };

  const register: AgentPool["register"] = (authorization, body) => {
    const request = parseRegistration(body);
    if (request === undefined) {
      problems.add("An agent sent a registration of another shape than agents of version 3 send.");
      return refuse(422, "not a registration");
    }
    const indexes = agents.filter(isPresent).flatMap(({ registration }) => registration.index ?? []);
    const judgement = judgeRegistration(request, authorization, expected, new Set(indexes));
    for (const problem of judgement.problems) problems.add(problem);
    if (!judgement.admitted) {
      tokenRefused = true;
      changed();
      return refuse(401, "Invalid access token");
    }
    const name = expandName(request.name, { hostname: request.hostname, pid: request.pid, random: random.word() });
    for (const agent of agents) {
      if (isPresent(agent) && agent.registration.name === name) {
        leave(agent, "replaced", "was lost: its agent registered again, so it had died");
      }
    }
    const { index } = judgement;
    const agent: Agent = {
      id: random.id(),
      accessToken: random.secret(),
      registration: { request, name, state: "registered", at: now(), ...(index !== undefined && { index }) },
      state: "registered",
      seen: now(),
    };
    agents.push(agent);
    changed();
    return answerRegister({ ...agent, name }, request);
  };

  const notThere = (why: string, missing: readonly number[]): BakeError => {
    const names = missing.map((index) => expandName(expected.nameTemplate(index), { hostname: expected.hostname }));
    const arrived = agents.map(({ registration: { name }, state }) => `${name} (${state})`);
    const help = [`Arrived: ${arrived.join(", ") || "none"}`, ...problems].join("\n");
    return new BakeError("BK502", `${why}: ${names.join(", ")}`, help);
  };

  const missing = (): number[] => upTo(expected.spawn).filter((index) => connected(index) === undefined);
  /** As many as expected connected, and none of those that did not has even registered. */
  const othersCame = (absent: readonly number[]): boolean =>
    agents.filter(({ state }) => state === "connected").length >= expected.spawn &&
    !agents.some((agent) => isPresent(agent) && absent.includes(agent.registration.index ?? 0));

  /** Why waiting is over before `absent` came; undefined while they may still come. */
  const hopeless = (absent: readonly number[]): string | undefined => {
    // Some agents try the same token for five minutes.
    if (tokenRefused) return "An agent was refused for its token; not registered";
    if (closed) return "The check ended before these agents registered";
    // They register one after the other and connect when all have: nobody else comes.
    return othersCame(absent) ? "As many agents as expected came, but not these" : undefined;
  };

  const waitForAll: AgentPool["waitForAll"] = (timeoutMs, signal) =>
    pending<Registration[]>(timeoutMs, signal, ({ resolve, reject }) => {
      const look = (): void => {
        const absent = missing();
        if (absent.length === 0) {
          const all = upTo(expected.spawn).flatMap((index) => connected(index) ?? []);
          resolve(all.map(snapshot));
          return;
        }
        const why = hopeless(absent);
        if (why !== undefined) reject(notThere(why, absent));
      };
      watchers.add(look);
      // Not before `pending` has set everything up; it may be settled by then.
      queueMicrotask(() => watchers.has(look) && look());
      return {
        onTimeout: () => reject(notThere(`Agents did not register within ${inSeconds(timeoutMs)}`, missing())),
        stop: () => watchers.delete(look),
      };
    });

  return {
    register,
    connect: (agent) => {
      agent.state = "connected";
      changed();
    },
    disconnect: (agent) => leave(agent, "disconnected", "was lost: its agent disconnected"),
    authorized: (authorization) => agents.find(({ accessToken }) => authorization === `Token ${accessToken}`),
    present: () => agents.filter(isPresent),
    registrations: () => agents.map(snapshot),
    problems: () => [...problems],
    rotateToken: (token) => {
      expected = { ...expected, token };
    },
    waitForAll,
    close: () => {
      closed = true;
      changed();
    },
  };
};
