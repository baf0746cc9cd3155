/** Agents looked at and stopped through Buildkite's APIs: few requests, within their limits, and nothing taken for gone that is not. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { buildkiteSettings } from "../../src/buildkite/endpoints.ts";
import { makeLimit, pauseAsked } from "../../src/buildkite/limits.ts";
import { BakeError } from "../../src/errors.ts";
import { agentsOf } from "../buildkite/agents-of.ts";
import { type BuildkiteEmulator, startBuildkite } from "../buildkite/emulator.ts";

const start = Date.parse("2026-11-27T10:00:00Z");
const minute = 60_000;
const gently = { killJobs: false };

/** A page of agents that is not the last. */
const tooMany = '{"data":{"organization":{"agents":{"pageInfo":{"hasNextPage":true},"edges":[]}}}}';

let buildkite: BuildkiteEmulator;

beforeEach(async () => {
  buildkite = await startBuildkite(() => start);
});

afterEach(() => buildkite.close());

const fleet = (nodes: number, each = 4, job?: number): string[] =>
  Array.from({ length: nodes * each }, (_, at) => {
    const node = `npu-${String(Math.floor(at / each)).padStart(5, "0")}`;
    return buildkite.connect({
      name: `${node}-${(at % each) + 1}-2cards`,
      hostname: node,
      queue: "ascend",
      tags: ["bake-id=Abc"],
      ...(job !== undefined && { job }),
    }).id;
  });

const errorOf = async (work: Promise<unknown>): Promise<BakeError> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof BakeError) return error;
    throw error;
  }
  throw new Error("it worked");
};

describe("look", () => {
  test("ten nodes take one request; every field is as Buildkite says it", async () => {
    const [first = "", second = ""] = fleet(10);
    buildkite.world.startJob(first, 5 * minute);
    buildkite.world.pause(second);
    const silent = buildkite.connect({ name: "another" });
    const gone = buildkite.connect({ name: "lost" });
    buildkite.disconnect(gone.id, "lost");
    buildkite.world.stop(buildkite.connect({ name: "leaves", job: minute }), true);
    const { agents } = agentsOf(buildkite);
    const seen = await agents.look();
    expect(buildkite.calls).toEqual(["GraphQL Agents"]);
    expect(seen).toHaveLength(42);
    expect(seen[0]).toEqual({
      id: first,
      name: "npu-00000-1-2cards",
      hostname: "npu-00000",
      tags: ["queue=ascend", "bake-id=Abc"],
      connectedAt: start,
      stopping: false,
      paused: false,
      job: buildkite.world.agents.get(first)?.job?.url,
    });
    expect(seen[1]?.paused).toBe(true);
    expect(seen.find(({ id }) => id === silent.id)).toMatchObject({ hostname: "", tags: [], job: undefined });
    expect(seen.some(({ id }) => id === gone.id)).toBe(false);
    expect(seen.find(({ name }) => name === "leaves")).toMatchObject({ stopping: true });
  });

  test("both ways see the same", async () => {
    const ids = fleet(30, 4, 10 * minute);
    buildkite.world.pause(ids[7] ?? "");
    const byGraphql = await agentsOf(buildkite).agents.look();
    const { agents, waits } = agentsOf(buildkite);
    buildkite.fail("GraphQL Agents", { status: 200, body: tooMany });
    expect(await agents.look()).toEqual(byGraphql);
    expect(buildkite.calls.slice(-3)).toEqual(["GraphQL Paused", "GET agents", "GET agents"]);
    // Points are short: the list comes by REST, and who is paused is what it was.
    buildkite.spend("graphql", "user", 4000);
    buildkite.fail("GraphQL Agents", { status: 200, body: tooMany });
    expect(await agents.look()).toEqual(byGraphql);
    expect(buildkite.calls.slice(-3)).toEqual(["GraphQL Agents", "GET agents", "GET agents"]);
    expect(waits).toEqual([]);
  });

  test("4,000 agents take 40 requests of REST and few points, within four fifths of the limit", async () => {
    const ids = fleet(1000, 4, 60 * minute);
    buildkite.world.pause(ids[3999] ?? "", 60);
    const { agents, waits } = agentsOf(buildkite);
    expect(await agents.look()).toHaveLength(4000);
    buildkite.calls.length = 0;
    const before = buildkite.costs.length;
    const seen = await agents.look();
    expect(new Set(seen.map(({ id }) => id)).size).toBe(4000);
    expect(seen.filter(({ paused }) => paused).map(({ id }) => id)).toEqual([ids[3999]]);
    expect(buildkite.calls.filter((call) => call === "GET agents")).toHaveLength(40);
    expect(buildkite.costs.slice(before)).toEqual([5]);
    expect(waits.length).toBeLessThanOrEqual(1);
    expect(buildkite.used.requests).toBeLessThanOrEqual(40);
    expect(buildkite.refusals()).toBe(0);
  });

  test("an agent that REST's pages miss while they shift is asked for by itself", async () => {
    const ids = fleet(150, 4);
    const { agents } = agentsOf(buildkite);
    await agents.look();
    // What goes from the first page moves the first of the second page to it, after it was read.
    buildkite.on(
      "GET agents",
      () => undefined,
      () => buildkite.disconnect(ids[0] ?? ""),
    );
    const seen = new Set((await agents.look()).map(({ id }) => id));
    expect(buildkite.calls.at(-1)).toBe("GraphQL Each");
    expect(ids.filter((id) => !seen.has(id))).toEqual([]);
    expect(await agents.look()).toHaveLength(599);
  });

  test("nobody is gone who only could not be asked for", async () => {
    const ids = fleet(150, 4);
    const { agents } = agentsOf(buildkite);
    await agents.look();
    buildkite.on(
      "GET agents",
      () => undefined,
      () => buildkite.disconnect(ids[0] ?? ""),
    );
    buildkite.fail("GraphQL Each", {
      status: 200,
      body: '{"data":{"a0":null},"errors":[{"message":"Internal error","path":["a0"]}]}',
    });
    expect((await errorOf(agents.look())).code).toBe("BK444");
  });

  test("a pause expires", async () => {
    const [id = ""] = fleet(1);
    buildkite.world.pause(id);
    const { agents } = agentsOf(buildkite);
    expect((await agents.look())[0]?.paused).toBe(true);
    buildkite.advance(5 * minute);
    expect((await agents.look())[0]?.paused).toBe(false);
  });

  test("without GraphQL REST answers, and that is said once", async () => {
    const ids = fleet(60, 4, minute);
    buildkite.forbid("GraphQL");
    const { agents, notes } = agentsOf(buildkite);
    expect(await agents.look()).toHaveLength(240);
    expect(await agents.look()).toHaveLength(240);
    expect(await agents.stop(ids.slice(0, 2), gently)).toEqual(new Map(ids.slice(0, 2).map((id) => [id, "stopping"])));
    expect(buildkite.stops.map(({ graceful }) => graceful)).toEqual([true, true]);
    expect(notes.filter((note) => note.includes("GraphQL"))).toHaveLength(1);
    expect(buildkite.calls.filter((call) => call.startsWith("GraphQL"))).toHaveLength(1);
  });

  test("the clock of Buildkite is known after an answer", async () => {
    const { agents } = agentsOf(buildkite);
    expect(agents.clockSkew()).toBeUndefined();
    await agents.look();
    expect(agents.clockSkew()).toBe(0);
  });

  test("20,000 agents cost little", { timeout: 30_000 }, async () => {
    fleet(5000);
    const { agents } = agentsOf(buildkite);
    expect(await agents.look()).toHaveLength(20_000);
    expect(buildkite.used.requests).toBeLessThanOrEqual(40);
    expect(buildkite.refusals()).toBe(0);
  });
});

describe("stop", () => {
  test("20 agents take one request; their jobs end first", async () => {
    const ids = fleet(5, 4, 10 * minute);
    const { agents } = agentsOf(buildkite);
    await agents.look();
    buildkite.calls.length = 0;
    const outcomes = await agents.stop(ids, gently);
    expect([...outcomes.values()]).toEqual(ids.map(() => "stopping"));
    expect(buildkite.calls).toEqual(["GraphQL Stop"]);
    expect(buildkite.stops.every(({ graceful }) => graceful)).toBe(true);
    expect((await agents.look()).map(({ stopping, job }) => stopping && job !== undefined)).toEqual(
      ids.map(() => true),
    );
    buildkite.advance(11 * minute);
    expect(await agents.look()).toEqual([]);
  });

  test("jobs are cancelled only when that is asked for", async () => {
    const ids = fleet(1, 4, Number.POSITIVE_INFINITY);
    const { agents } = agentsOf(buildkite);
    await agents.stop(ids, gently);
    buildkite.advance(60 * minute);
    expect(await agents.look()).toHaveLength(4);
    await agents.stop(ids, { killJobs: true });
    buildkite.advance(minute);
    expect(await agents.look()).toEqual([]);
  });

  test("1,000 agents take 20 requests, each once, at a point each", async () => {
    const ids = fleet(250);
    const { agents } = agentsOf(buildkite);
    const outcomes = await agents.stop([...ids, ...ids], gently);
    expect(outcomes.size).toBe(1000);
    expect(buildkite.calls).toEqual(Array.from({ length: 20 }, () => "GraphQL Stop"));
    expect(buildkite.costs).toEqual(Array.from({ length: 20 }, () => 50));
    expect(buildkite.stops).toHaveLength(1000);
  });

  test("some are gone, one is refused: the others stop all the same", async () => {
    const ids = fleet(1, 3);
    buildkite.disconnect(ids[1] ?? "");
    const { agents } = agentsOf(buildkite);
    const unknown = "00000000-0000-4000-8000-000000000000";
    expect(await agents.stop([...ids, unknown], gently)).toEqual(
      new Map<string, unknown>([
        [ids[0] ?? "", "stopping"],
        [ids[1] ?? "", "gone"],
        [ids[2] ?? "", "stopping"],
        [unknown, "gone"],
      ]),
    );
    buildkite.fail("GraphQL Stop", {
      status: 200,
      body: '{"data":{"a0":null,"a1":{"clientMutationId":null}},"errors":[{"message":"It is on fire","path":["a0"]}]}',
    });
    expect(await agents.stop(["x", "y"], gently)).toEqual(
      new Map<string, unknown>([
        ["x", { refused: "It is on fire" }],
        ["y", "stopping"],
      ]),
    );
  });

  test("an error of the whole request is traced to the agent that it is about", async () => {
    const ids = fleet(1, 4);
    buildkite.fail(
      "GraphQL Stop",
      { status: 200, body: '{"errors":[{"message":"Something went wrong"}]}' },
      { status: 200, body: '{"errors":[{"message":"Something went wrong"}]}' },
      { status: 200, body: '{"errors":[{"message":"Something went wrong"}]}' },
    );
    const outcomes = await agentsOf(buildkite).agents.stop(ids, gently);
    expect([...outcomes.values()]).toEqual([{ refused: "Something went wrong" }, "stopping", "stopping", "stopping"]);
  });

  test("a lost answer is asked for again: who stops already is no failure", async () => {
    const ids = fleet(1);
    buildkite.fail("GraphQL Stop", { lost: true });
    const { agents, notes } = agentsOf(buildkite);
    const outcomes = await agents.stop(ids, gently);
    expect([...outcomes.values()].every((outcome) => outcome === "gone" || outcome === "stopping")).toBe(true);
    expect(buildkite.stops).toHaveLength(4);
    expect(notes).toEqual([expect.stringMatching(/^Buildkite: the connection was cut; trying again in /)]);
  });

  test("an agent that registers again between list and stop is a new one", async () => {
    const [id = ""] = fleet(1, 1);
    const { agents } = agentsOf(buildkite);
    await agents.look();
    let again = "";
    buildkite.on("GraphQL Stop", () => {
      buildkite.disconnect(id);
      again = buildkite.connect({ name: "npu-00000-1-2cards", hostname: "npu-00000" }).id;
    });
    expect(await agents.stop([id], gently)).toEqual(new Map([[id, "gone"]]));
    expect((await agents.look()).map((agent) => agent.id)).toEqual([again]);
  });

  test("who may not stop agents is told which permission is missing, either way", async () => {
    const ids = fleet(1);
    buildkite.forbid("write_agents");
    const byGraphql = await errorOf(agentsOf(buildkite).agents.stop(ids, gently));
    expect([byGraphql.code, byGraphql.help]).toEqual(["BK442", expect.stringContaining("write_agents")]);
    buildkite.forbid("GraphQL");
    const byRest = await errorOf(agentsOf(buildkite).agents.stop(ids, gently));
    expect([byRest.code, byRest.help]).toEqual(["BK442", byGraphql.help]);
    expect(buildkite.stops).toEqual([]);
  });
});

describe("queues", () => {
  test("those that a person paused, of all clusters", async () => {
    for (let at = 0; at < 130; at++) buildkite.world.addQueue(`queue-${at}`);
    const paused = buildkite.world.addQueue("ascend", "second");
    const { agents } = agentsOf(buildkite);
    expect(await agents.pausedQueues()).toEqual([]);
    paused.paused = true;
    buildkite.world.queues.slice(129, 130).forEach((queue) => (queue.paused = true));
    expect(await agents.pausedQueues()).toEqual(["queue-129", "ascend"]);
  });

  test("the scope that is missing is named", async () => {
    buildkite.forbid("read_clusters");
    const error = await errorOf(agentsOf(buildkite).agents.pausedQueues());
    expect([error.code, error.help]).toEqual(["BK442", expect.stringContaining("read_clusters")]);
  });
});

describe("limits", () => {
  test("four fifths are taken, whoever else takes the rest; waits are said", async () => {
    fleet(200);
    const { agents, notes, waits } = agentsOf(buildkite);
    buildkite.forbid("GraphQL");
    await agents.look();
    // Somebody of the organisation asks a lot.
    buildkite.spend("rest", "organization", 150);
    for (let look = 0; look < 5; look++) await agents.look();
    expect(buildkite.refusals()).toBe(0);
    expect(waits.length).toBeGreaterThan(0);
    expect(notes.join("\n")).toMatch(/^Buildkite: \d+ of (?:50|200) used of the requests of this minute; waiting \d+/m);
  });

  test("a refusal for too many requests is waited out, as long as it says", async () => {
    fleet(1);
    const { agents, waits } = agentsOf(buildkite);
    buildkite.fail("GraphQL Agents", { status: 429, headers: { "retry-after": "17" } }, { status: 429 });
    expect(await agents.look()).toHaveLength(4);
    expect(waits[0]).toBe(18_000);
    expect(buildkite.calls).toHaveLength(3);
  });

  test("a broken service is asked five times, and then it is said", async () => {
    const { agents, waits } = agentsOf(buildkite);
    buildkite.fail("GraphQL Agents", ...Array.from({ length: 9 }, () => ({ status: 503, body: "<html>down</html>" })));
    const error = await errorOf(agents.look());
    expect([error.code, buildkite.calls.length, waits.length]).toEqual(["BK443", 5, 4]);
  });

  test("two lost answers do no harm to a look", async () => {
    fleet(1);
    buildkite.fail("GraphQL Agents", { lost: true }, { lost: true });
    expect(await agentsOf(buildkite).agents.look()).toHaveLength(4);
  });

  test("headers are read as they are; hostile ones are ignored", () => {
    const limit = makeLimit();
    expect([limit.pauseFor(1, start), limit.room(start)]).toEqual([0, Number.POSITIVE_INFINITY]);
    limit.learn({ "ratelimit-limit": "many", "ratelimit-remaining": "-1", "ratelimit-reset": "1e9" }, start);
    expect(limit.pauseFor(1, start)).toBe(0);
    limit.learn({ "ratelimit-limit": "50", "ratelimit-remaining": "11", "ratelimit-reset": "42" }, start);
    expect([limit.pauseFor(1, start), limit.shown()]).toEqual([0, "39 of 50 used"]);
    limit.spend(1);
    expect(limit.pauseFor(1, start)).toBe(42_000);
    expect(limit.pauseFor(1, start + 42_000)).toBe(0);
    limit.learn({ "ratelimit-limit": "5000", "ratelimit-remaining": "5000", "ratelimit-reset": "300" }, start);
    // More than ever fits waits for a window of its own.
    expect([limit.pauseFor(9000, start), limit.pauseFor(9000, start + 300_000)]).toEqual([0, 0]);
    expect(pauseAsked({ "retry-after": "99999" }, start)).toBe(310_000);
    expect(pauseAsked({}, start)).toBeUndefined();
  });
});

describe("the token", () => {
  test("is asked once when it is refused, and never again", async () => {
    const { agents } = agentsOf(buildkite, { env: { BUILDKITE_API_TOKEN: "bkua_wrongwrongwrongwrong" } });
    const error = await errorOf(agents.look());
    expect([error.code, error.help]).toEqual(["BK441", expect.stringContaining("BUILDKITE_API_TOKEN")]);
    await errorOf(agents.look());
    await errorOf(agents.stop(["x"], gently));
    await errorOf(agents.pausedQueues());
    expect(buildkite.calls).toHaveLength(1);
  });

  test("is in no message, whatever Buildkite says", async () => {
    const token = buildkite.env["BUILDKITE_API_TOKEN"] ?? "";
    for (const status of [400, 401, 404, 418, 500]) {
      buildkite.fail(
        "GraphQL Agents",
        ...Array.from({ length: 5 }, () => ({ status, body: JSON.stringify({ message: `no: ${token}\u001b[31m` }) })),
      );
      const { agents, notes } = agentsOf(buildkite);
      const { message, help } = await errorOf(agents.look());
      const said = [message, help, ...notes].join("\n");
      expect(said).not.toContain(token);
      expect(said).not.toContain("\u001b");
    }
  });

  test("that no header can carry is refused before anything is sent", () => {
    for (const env of [{ BUILDKITE_API_TOKEN: "a\nb" }, { BUILDKITE_API_TOKEN: "tök en" }]) {
      expect(() => agentsOf(buildkite, { env })).toThrow(/refuses the API access token/);
    }
    expect(() => buildkiteSettings({})).toThrow(/BUILDKITE_API_TOKEN and BUILDKITE_ORGANIZATION_SLUG are not set/);
    expect(buildkite.calls).toEqual([]);
  });

  test("for another organisation: said so, with a hostile slug too", async () => {
    for (const slug of ["other", "../../v2/x", "a b?c#d", '"}']) {
      const { agents } = agentsOf(buildkite, { env: { BUILDKITE_ORGANIZATION_SLUG: slug } });
      expect((await errorOf(agents.look())).code).toBe("BK445");
      expect((await errorOf(agents.pausedQueues())).code).toBe("BK445");
    }
  });

  test("an answer of something in between is no answer", async () => {
    const { agents } = agentsOf(buildkite);
    for (const body of ["<html>log in</html>", "[]", '{"data":{"organization":{"agents":{"edges":7}}}}']) {
      buildkite.fail("GraphQL Agents", { status: 200, body });
      expect((await errorOf(agents.look())).code).toBe("BK444");
    }
    buildkite.fail("GraphQL Agents", { status: 302, headers: { location: "https://example.com/" }, body: "" });
    expect((await errorOf(agents.look())).code).toBe("BK444");
  });
});

test("the emulator refuses a field and an argument that Buildkite does not have", async () => {
  const ask = async (query: string): Promise<string> => {
    const response = await fetch(buildkite.env["BUILDKITE_GRAPHQL_ENDPOINT"] ?? "", {
      method: "POST",
      headers: { authorization: `Bearer ${buildkite.env["BUILDKITE_API_TOKEN"]}`, "content-type": "application/json" },
      body: JSON.stringify({ query }),
    });
    return response.text();
  };
  expect(await ask("{ organization(slug: 1) { agents(first: 1) { edges { node { os } } } } }")).toContain("os");
  expect(await ask("{ organization(id: 1) { name } }")).toContain("Unknown argument");
  expect(await ask("{ organization(slug")).toContain("Syntax Error");
});
