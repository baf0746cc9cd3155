/** The clock, randomness, the environment and the process are asked at the edges alone: everything else gets them as arguments. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Host, runProcess } from "../../src/host/host.ts";
import { root } from "../../src/host/root.ts";
import { system } from "../../src/host/system.ts";

/** Where a run begins, and the room that wraps the system. */
const edges = ["src/cli.ts", "src/commands/", "src/host/"];

const ambient =
  /\bprocess\.(?:env|arch|pid|platform|hrtime|uptime)\b|\bMath\.random\b|\bDate\.now\b|\bnew Date\(\)|\bperformance\b/g;

/** What lives as long as the process does: `let`, and collections that begin empty. Constant tables do not. */
const moduleState =
  /^(?:export )?(?:let|var) \w+|^(?:export )?const \w+[^\n=]*= new (?:Weak)?(?:Map|Set)(?:<[^\n]*>)?\(\)/gm;

const allowedState: Readonly<Record<string, string>> = {
  "src/commands/json-failure.ts": "what this process told so far: the one place that ends it asks",
  "src/host/process-identity.ts": "this process and its namespace do not change while it runs",
  "src/host/lock-file.ts": "locks that this process holds",
  "src/host/verbosity.ts": "said once, by the command line",
  "src/profile/slips/keys.ts": "follows from the schema, which does not change; made when a key is wrong",
  "src/profile/slips/yaml.ts": "follows from the schema, which does not change; made when a text is no YAML",
  "src/toolchain/release.ts": "kept by host: no run knows of another",
};

const withoutComments = (code: string): string =>
  code.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/[^\n]*/g, "$1");

const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => `src/${path}`)
  .toSorted();

const found = (pattern: RegExp): string[] =>
  sources.flatMap((path) =>
    [...withoutComments(readFileSync(join(root, path), "utf8")).matchAll(pattern)].map(([text]) => `${path}: ${text}`),
  );

test("nobody behind the edges looks at the clock, the environment or the process, or throws dice", () => {
  expect(sources.length).toBeGreaterThan(100);
  expect(found(ambient).filter((each) => !edges.some((edge) => each.startsWith(edge)))).toEqual([]);
  // The pattern finds what it is for.
  expect(found(ambient)).toContain("src/host/system.ts: Date.now");
});

test("no module keeps state, but for those with a reason", () => {
  const files = new Set(found(moduleState).map((each) => each.split(":")[0] ?? ""));
  expect([...files].toSorted()).toEqual(Object.keys(allowedState).toSorted());
});

test("a command gets the host's environment without its secrets, and nothing of this process's", async () => {
  const folder = mkdtempSync(join(tmpdir(), "bake-edges-"));
  try {
    const run: Host["run"] = runProcess(new AbortController().signal, {
      PATH: process.env["PATH"],
      ONE: "1",
      A_TOKEN: "x",
    });
    const { stdout } = await run("env", [], { cwd: folder, env: { TWO: "2" } });
    const names = stdout.split("\n").map((line) => line.split("=")[0] ?? "");
    const shells = new Set(["PATH", "PWD", "SHLVL", "_", ""]);
    expect(names.filter((name) => !shells.has(name)).toSorted()).toEqual(["ONE", "TWO"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a wait ends with the reason that the signal was aborted with", async () => {
  const controller = new AbortController();
  const reason = new Error("Ctrl-C");
  const waiting = system.sleep(60_000, controller.signal);
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
});
