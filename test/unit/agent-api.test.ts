import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { jobEnvironment } from "../../src/check/agent-api/job-environment.ts";
import { assembleLog, plainLog } from "../../src/check/agent-api/job-log.ts";
import { expandName, judgeRegistration } from "../../src/check/agent-api/judge.ts";
import {
  answerAccept,
  answerHeartbeat,
  answerPing,
  parseFinish,
  parseJson,
  parseOffset,
  parseRegistration,
  type RegistrationRequest,
} from "../../src/check/agent-api/protocol.ts";
import { type AgentApi, startAgentApi } from "../../src/check/agent-api/server.ts";

const expected = {
  token: "registration-token",
  nameTemplate: (index: number) => `%hostname-${index}-2cards`,
  spawn: 2,
  hostname: "node1",
  tags: ["queue=ascend", "bake-id=0123abcd"],
};

const request = (changes: Partial<RegistrationRequest> = {}): RegistrationRequest => ({
  name: "%hostname-1-2cards",
  hostname: "node1",
  tags: ["queue=ascend", "bake-id=0123abcd"],
  version: "3.59.0",
  build: "x",
  os: "linux",
  arch: "amd64",
  pid: 42,
  ...changes,
});

const judge = (
  changes: Partial<RegistrationRequest>,
  authorization: string | undefined,
  present: readonly number[] = [],
) => judgeRegistration(request(changes), authorization, expected, new Set(present));

describe("judgeRegistration", () => {
  const good = "Token registration-token";

  test("nothing is wrong with an expected agent, whatever other tags it has", () => {
    expect(judge({ tags: ["other=1", "bake-id=0123abcd", "queue=ascend"] }, good, [2])).toEqual({
      admitted: true,
      index: 1,
      problems: [],
    });
  });

  test.each([
    ["Token something-else", "registered with a token that is not the expected one"],
    ["Bearer registration-token", "registered with no token"],
    ["Token ", "registered with no token"],
    [undefined, "registered with no token"],
  ])("authorization %j is refused, without the token in the sentence", (authorization, sentence) => {
    const judgement = judge({}, authorization);
    expect(judgement).toEqual({ admitted: false, problems: [`Agent "%hostname-1-2cards" ${sentence}.`] });
    expect(JSON.stringify(judgement)).not.toMatch(/registration-token|something-else/);
  });

  test("a name that was expanded before it was sent is wrong", () => {
    const { index, problems } = judge({ name: "node1-1-2cards" }, good);
    expect(index).toBeUndefined();
    expect(problems).toEqual([
      'Agent "node1-1-2cards" has a wrong name: expected "%hostname-1-2cards", "%hostname-2-2cards" (before Buildkite expands it).',
    ]);
  });

  test("an index beyond spawn is one too many", () => {
    expect(judge({ name: "%hostname-3-2cards" }, good)).toEqual({
      admitted: true,
      problems: ['Agent "%hostname-3-2cards" is one too many: expected 2.'],
    });
  });

  test("all that is wrong is told at once", () => {
    expect(judge({ hostname: "localhost", tags: ["queue=default"] }, good, [1]).problems).toEqual([
      'Agent "%hostname-1-2cards" registered again without having disconnected: it crashed, or it runs twice.',
      'Agent "%hostname-1-2cards" has hostname "localhost", expected "node1".',
      'Agent "%hostname-1-2cards" lacks tag "queue=ascend": it has queue=default.',
      'Agent "%hostname-1-2cards" lacks tag "bake-id=0123abcd": it has queue=default.',
    ]);
    expect(judge({ tags: [] }, good).problems[0]).toContain("it has none.");
  });
});

test("expandName expands once, and only what Buildkite expands", () => {
  expect(expandName("%hostname-1-2cards", { hostname: "node1" })).toBe("node1-1-2cards");
  expect(expandName("%hostname/%pid/%random/%other", { hostname: "a%pid", pid: 7, random: "x1y2z3" })).toBe(
    "a%pid/7/x1y2z3/%other",
  );
  expect(expandName("%hostname-%random", { hostname: "node1" })).toBe("node1-%random");
});

test("assembleLog orders by offset and joins characters that were cut in two", () => {
  const bytes = Buffer.from("grün\n");
  const chunks = new Map([
    [10, Buffer.from("last")],
    [3, bytes.subarray(3)],
    [0, bytes.subarray(0, 3)],
  ]);
  expect(assembleLog(chunks).toString()).toBe("grün\nlast");
});

test("plainLog drops colours, times and carriage returns at line ends", () => {
  const raw =
    "\u001B_bk;t=1700000000000\u0007\u001B[90m$\u001B[0m echo a\r\n\u001B_bk;t=1700000000001\u0007a\r\n10%\r20%\r\n";
  expect(plainLog(raw)).toBe("$ echo a\na\n10%\r20%\n");
});

test("jobEnvironment carries all that the bootstrap requires, and the job's own on top", () => {
  const environment = jobEnvironment(
    { id: "job", command: "one\ntwo", env: { EXTRA: "1", BUILDKITE_LABEL: "mine" } },
    { id: "agent", name: "node1-1-2cards", tags: ["queue=ascend", "bake-id=a=b"] },
  );
  expect(environment).toMatchObject({
    BUILDKITE_AGENT_NAME: "node1-1-2cards",
    BUILDKITE_AGENT_META_DATA_QUEUE: "ascend",
    BUILDKITE_AGENT_META_DATA_BAKE_ID: "a=b",
    BUILDKITE_BOOTSTRAP_PHASES: "plugin,command",
    BUILDKITE_COMMAND: "one\ntwo",
    BUILDKITE_LABEL: "mine",
    EXTRA: "1",
  });
  const required = [
    "JOB_ID",
    "REPO",
    "COMMIT",
    "BRANCH",
    "AGENT_NAME",
    "ORGANIZATION_SLUG",
    "PIPELINE_SLUG",
    "PIPELINE_PROVIDER",
  ];
  for (const name of required) expect(environment[`BUILDKITE_${name}`], name).not.toBe("");
});

describe("the protocol", () => {
  test("a registration may leave out all but the name, and its tags may be null", () => {
    const nothing = { hostname: "", tags: [], version: "", build: "", os: "", arch: "", pid: 0 };
    expect(parseRegistration({ name: "a" })).toEqual({ name: "a", ...nothing });
    expect(parseRegistration({ name: "a", meta_data: null, features: ["x"] })).toEqual({ name: "a", ...nothing });
    expect(parseRegistration({ name: "a", meta_data: ["queue=x"], pid: 7 })).toEqual({
      ...nothing,
      name: "a",
      tags: ["queue=x"],
      pid: 7,
    });
    for (const other of [undefined, null, [], "a", {}, { name: 1 }, { name: "a", meta_data: "queue=x" }]) {
      expect(parseRegistration(other), JSON.stringify(other)).toBeUndefined();
    }
  });

  test("a job's end has a status of digits; empty signals are none", () => {
    expect(parseFinish({})).toEqual({ exitStatus: -1, lostChunks: 0 });
    expect(parseFinish({ exit_status: "7", signal: "", signal_reason: "", chunks_failed_count: 2 })).toEqual({
      exitStatus: 7,
      lostChunks: 2,
    });
    expect(parseFinish({ exit_status: "-1", signal: "SIGKILL", signal_reason: "cancel" })).toEqual({
      exitStatus: -1,
      signal: "SIGKILL",
      signalReason: "cancel",
      lostChunks: 0,
    });
    for (const other of [undefined, [], { exit_status: 0 }, { exit_status: "" }, { exit_status: "0x1" }]) {
      expect(parseFinish(other), JSON.stringify(other)).toBeUndefined();
    }
  });

  test("offsets are whole numbers from 0", () => {
    const offset = (query: string) => parseOffset(new URLSearchParams(query));
    expect([offset("offset=0"), offset("offset=4096&size=3")]).toEqual([0, 4096]);
    expect(["", "offset=x", "offset=-1", "offset=1.5", "offset=1e300"].map(offset)).toEqual(Array(5).fill(undefined));
  });

  test("an empty body is an empty object, and what is no JSON is nothing", () => {
    expect(parseJson(Buffer.from(""))).toEqual({});
    expect(parseJson(Buffer.from('{"a":1}'))).toEqual({ a: 1 });
    expect(parseJson(Buffer.from("{"))).toBeUndefined();
  });

  test("answers to calls", () => {
    expect(answerPing(undefined, false)).toEqual({ status: 200, body: {} });
    expect(answerPing({ id: "1", state: "scheduled" }, false)).toEqual({
      status: 200,
      body: { job: { id: "1", state: "scheduled" } },
    });
    expect(answerHeartbeat({ sent_at: "x" }, 0)).toEqual({
      status: 200,
      body: { sent_at: "x", received_at: "1970-01-01T00:00:00.000Z" },
    });
    expect(answerHeartbeat([1], 0).body).toEqual({ received_at: "1970-01-01T00:00:00.000Z" });
    expect(answerAccept({ id: "1", state: "accepted", env: { A: "1" }, command: "true", token: "t" })).toEqual({
      status: 200,
      body: {
        id: "1",
        state: "accepted",
        env: { A: "1" },
        step: { command: "true" },
        chunks_max_size_bytes: 102_400,
        chunks_interval_seconds: 1,
        log_max_size_bytes: 33_554_432,
        token: "t",
      },
    });
  });
});

describe("the API", () => {
  let api: AgentApi;
  let time: number;

  interface Answer {
    readonly status: number;
    // oxlint-disable-next-line typescript/no-explicit-any -- JSON of many shapes
    readonly body: any;
  }

  const call = async (method: string, path: string, token: string | undefined, body?: unknown): Promise<Answer> => {
    const response = await fetch(`${api.endpoint("127.0.0.1")}/${path}`, {
      method,
      headers: {
        ...(token !== undefined && { authorization: `Token ${token}` }),
        ...(body instanceof Uint8Array ? { "content-encoding": "gzip", "content-type": "text/plain" } : {}),
      },
      ...(body !== undefined && { body: body instanceof Uint8Array ? new Uint8Array(body) : JSON.stringify(body) }),
    });
    return { status: response.status, body: await response.json() };
  };

  const register = (changes: Partial<RegistrationRequest> = {}, token = expected.token) => {
    const { tags, ...rest } = request(changes);
    return call("POST", "register", token, { ...rest, meta_data: tags, script_eval_enabled: true, features: [] });
  };

  /** Registers and connects agent `index`; its access token. */
  const connect = async (index: number): Promise<string> => {
    const { body } = await register({ name: `%hostname-${index}-2cards` });
    await call("POST", "connect", body.access_token);
    return body.access_token;
  };

  /** Takes and starts the agent's next job. */
  const take = async (token: string): Promise<{ id: string; token: string; accepted: Answer }> => {
    const { body: ping } = await call("GET", "ping", token);
    const accepted = await call("PUT", `jobs/${ping.job.id}/accept`, token);
    await call("PUT", `jobs/${ping.job.id}/start`, accepted.body.token, { started_at: "now" });
    return { id: ping.job.id, token: accepted.body.token, accepted };
  };

  /** Sends a part of the log. */
  const chunk = (job: { id: string; token: string }, sequence: number, offset: number, text: string) =>
    call(
      "POST",
      `jobs/${job.id}/chunks?sequence=${sequence}&offset=${offset}&size=${text.length}`,
      job.token,
      gzipSync(text),
    );

  beforeEach(async () => {
    time = 1_700_000_000_000;
    api = await startAgentApi({ expected, now: () => time, silenceMs: 20_000 });
  });
  afterEach(() => api.close());

  test("registers an agent under its expanded name, with intervals that its tickers take", async () => {
    const { status, body } = await register();
    expect(status).toBe(200);
    expect(body).toMatchObject({ name: "node1-1-2cards", ping_interval: 1, meta_data: expected.tags });
    expect(Math.min(body.ping_interval, body.job_status_interval, body.heartbeat_interval)).toBeGreaterThan(0);
    expect(api.registrations()).toEqual([
      { request: request(), name: "node1-1-2cards", index: 1, state: "registered", at: time },
    ]);
    expect(api.problems()).toEqual([]);
  });

  test("answers 401 to a wrong token, and waiting ends at once", async () => {
    const waiting = api.waitForAgents(60_000);
    waiting.catch(() => undefined);
    expect((await register({}, "wrong")).status).toBe(401);
    expect((await register({}, "wrong")).status).toBe(401);
    expect(api.problems()).toHaveLength(1);
    expect(api.registrations()).toEqual([]);
    await expect(waiting).rejects.toMatchObject({
      code: "BK502",
      message: "An agent was refused for its token; not registered: node1-1-2cards, node1-2-2cards",
      help: expect.stringContaining("Arrived: none\nAgent"),
    });
  });

  test("lets an agent with wrong tags in and says so", async () => {
    expect((await register({ tags: ["queue=default", "bake-id=0123abcd"] })).status).toBe(200);
    expect(api.problems()).toEqual([
      'Agent "%hostname-1-2cards" lacks tag "queue=ascend": it has queue=default, bake-id=0123abcd.',
    ]);
  });

  test("a second registration without a disconnect is a problem, one after it is not", async () => {
    const first = await connect(1);
    await call("POST", "disconnect", first);
    await connect(1);
    expect(api.problems()).toEqual([]);
    await connect(1);
    expect(api.problems()).toEqual([expect.stringContaining("registered again without having disconnected")]);
    expect(api.registrations().map(({ state }) => state)).toEqual(["disconnected", "replaced", "connected"]);
  });

  test("refuses what is no registration", async () => {
    expect((await call("POST", "register", expected.token, { hostname: "node1" })).status).toBe(422);
    expect(api.problems()).toHaveLength(1);
  });

  test("waits until all agents are connected, in the order of their index", async () => {
    const waiting = api.waitForAgents(60_000);
    await connect(2);
    await connect(1);
    expect((await waiting).map(({ name }) => name)).toEqual(["node1-1-2cards", "node1-2-2cards"]);
    // Also when they are there already.
    expect(await api.waitForAgents(60_000)).toHaveLength(2);
  });

  test("names the agents that are missing after the time-out", async () => {
    await connect(1);
    await expect(api.waitForAgents(50)).rejects.toMatchObject({
      code: "BK502",
      message: "Agents did not register within 0 s: node1-2-2cards",
      help: "Arrived: node1-1-2cards (connected)",
    });
  });

  test("does not wait for the time-out when as many agents of other names came", async () => {
    for (const name of ["%hostname-1-4cards", "%hostname-2-4cards"]) {
      const { body } = await register({ name });
      await call("POST", "connect", body.access_token);
    }
    await expect(api.waitForAgents(60_000)).rejects.toMatchObject({
      code: "BK502",
      help: expect.stringContaining('Agent "%hostname-2-4cards" has a wrong name'),
    });
  });

  test("waiting and jobs end with the signal and with the API", async () => {
    await expect(api.waitForAgents(60_000, AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop");
    await connect(1);
    const controller = new AbortController();
    const job = api.runJob({ agent: "node1-1-2cards", command: "true", timeoutMs: 60_000 }, controller.signal);
    controller.abort(new Error("stop"));
    await expect(job).rejects.toThrow("stop");
    const others = [
      api.waitForAgents(60_000),
      api.runJob({ agent: "node1-1-2cards", command: "true", timeoutMs: 60_000 }),
    ];
    const outcomes = Promise.allSettled(others);
    await api.close();
    expect(await outcomes).toMatchObject([{ reason: { code: "BK502" } }, { reason: { code: "BK501" } }]);
  });

  test("an agent that is stopped is told so until it goes, and may come again", async () => {
    const token = await connect(1);
    const other = await connect(2);
    api.stopAgent("node1-1-2cards");
    expect((await call("GET", "ping", token)).body).toMatchObject({ action: "disconnect" });
    expect((await call("GET", "ping", other)).body).toEqual({});
    await call("POST", "disconnect", token);
    const again = await connect(1);
    expect((await call("GET", "ping", again)).body).toEqual({});
  });

  test("a job from ping to finish, with chunks out of order and one of them twice", async () => {
    const token = await connect(1);
    const other = await connect(2);
    expect((await call("GET", "ping", token)).body).toEqual({});
    const result = api.runJob({
      agent: "node1-1-2cards",
      command: "echo one\necho two",
      env: { A: "b" },
      timeoutMs: 60_000,
    });
    expect((await call("GET", "ping", other)).body).toEqual({});

    const job = await take(token);
    expect(job.accepted.body).toMatchObject({
      env: { A: "b", BUILDKITE_COMMAND: "echo one\necho two", BUILDKITE_AGENT_NAME: "node1-1-2cards" },
      step: { command: "echo one\necho two" },
    });
    expect(job.accepted.body.chunks_max_size_bytes).toBeGreaterThan(0);
    expect((await call("GET", "ping", token)).body).toEqual({});
    expect((await call("GET", `jobs/${job.id}`, job.token)).body.state).toBe("running");
    expect((await chunk(job, 2, 5, "two\r\n")).status).toBe(200);
    await chunk(job, 1, 0, "one\r\n");
    await chunk(job, 2, 5, "two\r\n");
    expect((await call("POST", `jobs/${job.id}/header_times`, job.token, { header_times: {} })).status).toBe(200);
    time += 2500;
    expect(
      (await call("PUT", `jobs/${job.id}/finish`, job.token, { exit_status: "3", signal: "SIGTERM" })).status,
    ).toBe(200);
    expect(await result).toEqual({
      agent: "node1-1-2cards",
      exitStatus: 3,
      signal: "SIGTERM",
      log: "one\ntwo\n",
      seconds: 2.5,
    });
  });

  test("says when parts of the log were lost, and what the agent refused", async () => {
    const token = await connect(1);
    const result = api.runJob({ agent: "node1-1-2cards", command: "true", timeoutMs: 60_000 });
    const job = await take(token);
    const end = { exit_status: "-1", signal_reason: "agent_refused", chunks_failed_count: 2 };
    await call("PUT", `jobs/${job.id}/finish`, job.token, end);
    expect(await result).toMatchObject({
      exitStatus: -1,
      signalReason: "agent_refused",
      log: expect.stringContaining("2 parts"),
    });
  });

  test("an exit status that is no number is no success", async () => {
    const token = await connect(1);
    const result = api.runJob({ agent: "node1-1-2cards", command: "true", timeoutMs: 60_000 });
    const job = await take(token);
    expect((await call("PUT", `jobs/${job.id}/finish`, job.token, { exit_status: "" })).status).toBe(422);
    await call("PUT", `jobs/${job.id}/finish`, job.token, {});
    expect(await result).toMatchObject({ exitStatus: -1 });
  });

  test("a job belongs to its agent", async () => {
    const token = await connect(1);
    const other = await connect(2);
    const result = api.runJob({ agent: "node1-1-2cards", command: "true", timeoutMs: 60_000 });
    const job = await take(token);
    expect((await call("PUT", `jobs/${job.id}/finish`, other, { exit_status: "0" })).status).toBe(404);
    expect((await call("PUT", `jobs/${job.id}/finish`, "nobody", { exit_status: "0" })).status).toBe(401);
    expect((await call("POST", `jobs/${job.id}/chunks?offset=0`, job.token, Buffer.from("not gzip"))).status).toBe(400);
    await call("PUT", `jobs/${job.id}/finish`, job.token, { exit_status: "0" });
    expect(await result).toMatchObject({ exitStatus: 0 });
  });

  test("jobs for one agent come one after the other", async () => {
    const token = await connect(1);
    const results = ["one", "two"].map((command) =>
      api.runJob({ agent: "node1-1-2cards", command, timeoutMs: 60_000 }),
    );
    for (const command of ["one", "two"]) {
      const job = await take(token);
      expect(job.accepted.body.step.command).toBe(command);
      await call("PUT", `jobs/${job.id}/finish`, job.token, { exit_status: "0" });
    }
    expect(await Promise.all(results)).toHaveLength(2);
  });

  test("a time-out cancels the job and shows the end of its log; its late end is taken", async () => {
    const token = await connect(1);
    const result = api.runJob({ agent: "node1-1-2cards", command: "sleep 9", timeoutMs: 400 });
    result.catch(() => undefined);
    const job = await take(token);
    await chunk(job, 1, 0, Array.from({ length: 40 }, (_, line) => `line ${line}\n`).join(""));
    const failure = await result.catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "BK501", message: "The job on agent node1-1-2cards did not end within 0 s" });
    expect(failure).toMatchObject({ help: expect.stringMatching(/^line 25\n[^]*line 39$/) });
    expect((await call("GET", `jobs/${job.id}`, job.token)).body.state).toBe("canceling");
    expect((await call("PUT", `jobs/${job.id}/finish`, job.token, { exit_status: "-1" })).status).toBe(200);
  });

  test("a job that no agent took is not handed out later", async () => {
    const token = await connect(1);
    await expect(api.runJob({ agent: "node1-1-2cards", command: "true", timeoutMs: 20 })).rejects.toMatchObject({
      message: expect.stringContaining("was not taken"),
      help: "It had printed nothing.",
    });
    expect((await call("GET", "ping", token)).body).toEqual({});
  });

  test("a job for an agent that is not there fails at once", async () => {
    await connect(1);
    await expect(api.runJob({ agent: "node2-1-2cards", command: "true", timeoutMs: 60_000 })).rejects.toMatchObject({
      code: "BK501",
      help: "Connected: node1-1-2cards",
    });
  });

  test.each([
    ["disconnects", async (token: string) => void (await call("POST", "disconnect", token)), "its agent disconnected"],
    ["registers again", async () => void (await connect(1)), "its agent registered again"],
    ["is silent", async () => void (time += 60_000), "its agent was silent for 60 s"],
  ])("a job fails when its agent %s", async (_, lose, why) => {
    const token = await connect(1);
    const result = api.runJob({ agent: "node1-1-2cards", command: "sleep 9", timeoutMs: 30_000 });
    result.catch(() => undefined);
    await take(token);
    await lose(token);
    await expect(result).rejects.toMatchObject({ code: "BK501", message: expect.stringContaining(why) });
  });

  test("has no stream, and answers heartbeats", async () => {
    const token = await connect(1);
    expect((await call("GET", "stream", token)).status).toBe(404);
    expect((await call("GET", "ping", "nobody")).status).toBe(401);
    const { body } = await call("POST", "heartbeat", token, { sent_at: "then" });
    expect(body).toEqual({ sent_at: "then", received_at: new Date(time).toISOString() });
  });

  test("says that a port is taken", async () => {
    await expect(startAgentApi({ expected, now: () => time, port: api.port })).rejects.toMatchObject({
      code: "BK503",
      message: `The agent API cannot listen on 127.0.0.1:${api.port}: the port is taken`,
      help: expect.stringContaining("free one"),
    });
  });
});
