/** `--json` of every verb that a program would read: what it tells when there is nothing else to tell has one shape. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { runBake, userIn } from "./run-bake.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-json-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
mkdirSync(join(folder, "profiles"));
writeFileSync(join(folder, "profiles/wrong.yaml"), "extends: 2cards\nagents: { spam: 4 }\n");
writeFileSync(join(folder, "profiles/right.yaml"), "extends: 2cards\n");
writeFileSync(join(folder, "token"), `bkct_${"a".repeat(20)}`, { mode: 0o600 });
writeFileSync(
  join(folder, "profiles/token.yaml"),
  "extends: 2cards\nsecrets: { agentToken: { file: ../token } }\nrollout: {}\n",
);

const bake = async (...args: string[]) => {
  const { status, stdout, stderr } = await runBake(args, userIn(folder, {}));
  return { status, stderr, object: JSON.parse(stdout) as Record<string, unknown> };
};

const server = ["--image", "current", "--name", "npu-1", "--flavor", "f"];
test.each([
  ["render"],
  ["image"],
  ["lock"],
  ["fetch"],
  ["check", "--image", "--profile"],
  ["doctor"],
  ["user-data", "--output", "x"],
  ["catalog", "ls", "--profile"],
  ["ecs", "create", ...server, "--profile"],
  ["pipeline", "--queue", "q", "--flavor", "f"],
  ["store", "prune", "--keep"],
])(
  "%s %s: a profile that is not there, and one with an error",
  async (...command) => {
    const verb = command.filter((each): each is string => each !== undefined);
    const { status, stderr, object } = await bake(...verb, "no-such-one", "--json");
    expect(status).toBe(2);
    expect(stderr).toContain("error[BK100]");
    if (verb[0] === "render" || verb[0] === "lock") expect(object).toMatchObject({ ok: false });
    else expect(object).toMatchObject({ ok: false, diagnostics: [], failure: { code: "BK100" } });
    if (verb[0] === "store") return;
    const wrong = await bake(...verb, "wrong", "--json");
    expect(wrong.status).toBeGreaterThan(0);
    expect(wrong.stderr).toContain("error[BK103]");
    expect(wrong.object).toMatchObject({ ok: false });
    if (verb[0] !== "render" && verb[0] !== "lock")
      expect(wrong.object["diagnostics"]).toMatchObject([{ code: "BK103", path: "agents.spam", line: 2 }]);
  },
  120_000,
);

test("what is told when it went well: init, store, user-data", async () => {
  const written = await bake("init", "new", "--json");
  expect(written).toMatchObject({ status: 0, object: { ok: true, profile: "new", file: "profiles/new.yaml" } });
  expect(readFileSync(join(folder, "profiles/new.yaml"), "utf8")).toContain("agents:");
  expect(await bake("init", "new", "--json")).toMatchObject({ status: 2, object: { failure: { code: "BK130" } } });
  expect(await bake("store", "verify", "--json")).toMatchObject({
    status: 0,
    object: { ok: true, files: 0, changed: [] },
  });
  const data = await bake("user-data", "token", "--node", "npu-1", "--output", "data.yaml", "--json");
  expect(data).toMatchObject({
    status: 0,
    object: { ok: true, output: "data.yaml", node: "npu-1", holdsSecrets: true },
  });
  expect(data.object["plain"]).toBe(readFileSync(join(folder, "data.yaml")).length);
  expect(JSON.stringify(data)).not.toContain("bkct_a");
  const { status, stderr } = await runBake(["user-data", "token", "--json"], userIn(folder, {}));
  expect([status, stderr]).toEqual([2, expect.stringContaining("--json tells about the file of --output")]);
}, 120_000);
