/** How profiles are named on the command line, and where they are found. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { root } from "../../src/host/root.ts";

// bake is started many times in each of them.
vi.setConfig({ testTimeout: 240_000 });

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-profiles-"));
  mkdirSync(join(folder, "profiles"));
  write("site", `extends: 2cards\n`);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const write = (name: string, text: string, ending = ".yaml"): void =>
  writeFileSync(join(folder, "profiles", `${name}${ending}`), text);

const { BAKE_PROFILE: _profile, ...clean } = process.env;
const bakeIn = (below: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  spawnSync(join(root, "bin/bake"), args, { cwd: join(folder, below), encoding: "utf8", env: { ...clean, ...env } });
const bake = (...args: string[]) => bakeIn("", args);

const ok = (file: string) => ({ status: 0, stdout: `${file}: ok\n`, stderr: "" });

test("a profile is named by its place, by -p, by --profile and by BAKE_PROFILE", () => {
  for (const args of [["site"], ["-p", "site"], ["--profile", "site"], ["--profile=site"]])
    expect(bake("validate", ...args)).toMatchObject(ok("profiles/site.yaml"));
  expect(bakeIn("", ["validate"], { BAKE_PROFILE: "site" })).toMatchObject(ok("profiles/site.yaml"));
  // What is on the command line counts more.
  expect(bakeIn("", ["validate", "site"], { BAKE_PROFILE: "no-such-one" })).toMatchObject(ok("profiles/site.yaml"));
  for (const command of ["validate", "render", "lock", "image", "fetch", "check", "user-data"]) {
    const { status, stderr } = bake(command);
    expect(status, command).toBe(2);
    expect(stderr).toContain(`no profile is named: bake ${command} NAME, -p NAME, or BAKE_PROFILE`);
  }
  const two = bake("user-data", "site", "--profile", "2cards");
  expect(two).toMatchObject({ status: 2, stdout: "" });
  expect(two.stderr).toContain("two profiles are named, site and 2cards");
  expect(bake("image", "one", "two").status).toBe(2);
});

test("several profiles, or all: each is told, and the worst exit code counts", () => {
  write("other", "extends: 4cards\n");
  write("base", "agents: { version: 3.137.0 }\n");
  write("over", "extends: base\n");
  expect(bake("validate", "site", "-p", "other", "site")).toMatchObject({
    status: 0,
    stdout: "profiles/site.yaml: ok\nprofiles/other.yaml: ok\n",
  });
  const missing = bake("validate", "site", "no-such-one", "other");
  expect(missing).toMatchObject({ status: 2, stdout: "profiles/site.yaml: ok\nprofiles/other.yaml: ok\n" });
  expect(missing.stderr).toContain("error[BK100]: no profile no-such-one");
  // `over` is wrong; `base` is one that others extend, and lacks nothing but what they say.
  const all = bake("validate", "--all");
  expect(all.status).toBe(1);
  expect(all.stdout).toBe("profiles/other.yaml: ok\nprofiles/site.yaml: ok\n");
  expect(all.stderr).toContain("error[BK104]");
  const json = JSON.parse(bake("validate", "--all", "--json").stdout) as {
    ok: boolean;
    profiles: { profile: string }[];
  };
  expect(json.ok).toBe(false);
  expect(json.profiles.map(({ profile }) => profile)).toEqual(["other", "over", "site"]);
  const sarif = JSON.parse(bake("validate", "over", "site", "--format", "sarif").stdout) as { runs: unknown[] };
  expect(sarif.runs).toHaveLength(1);
  rmSync(join(folder, "profiles/over.yaml"));
  rmSync(join(folder, "profiles/base.yaml"));
  expect(bake("render", "--all").status).toBe(0);
  expect(readdirSync(join(folder, "out")).toSorted()).toEqual(["other", "site"]);
  expect(bake("lock", "--all", "--check").stderr).toMatch(/other\.yaml has no lock[\s\S]*site\.yaml has no lock/);
  expect(bake("render", "--all", "site")).toMatchObject({ status: 2 });
  rmSync(join(folder, "profiles"), { recursive: true });
  expect(bake("validate", "--all").stderr).toContain("there are no profiles in profiles/");
});

test("found from a folder below: results and lock lie beside profiles/, as from above", () => {
  mkdirSync(join(folder, "deep/er"), { recursive: true });
  for (const below of ["deep/er", "profiles"]) {
    const up = below === "profiles" ? ".." : "../..";
    expect(bakeIn(below, ["validate", "site"]).stdout).toBe(
      below === "profiles" ? "site.yaml: ok\n" : `${up}/profiles/site.yaml: ok\n`,
    );
    expect(bakeIn(below, ["render", "site"]).stdout).toMatch(new RegExp(`^${up}/out/site: \\d+ files`));
    expect(existsSync(join(folder, below, "out"))).toBe(false);
  }
  expect(bake("render", "site", "--check")).toMatchObject({ status: 0, stdout: "" });
  // Not above a repository's root.
  mkdirSync(join(folder, "deep/.git"));
  expect(bakeIn("deep/er", ["validate", "site"]).status).toBe(2);
});

test("beside you, and as .yml", () => {
  renameSync(join(folder, "profiles/site.yaml"), join(folder, "profiles/site.yml"));
  expect(bake("validate", "site")).toMatchObject(ok("profiles/site.yml"));
  writeFileSync(join(folder, "near.yml"), "extends: ./profiles/site.yml\n");
  expect(bake("validate", "near")).toMatchObject(ok("near.yml"));
  writeFileSync(join(folder, "profiles/over.yaml"), "extends: site\n");
  expect(bake("validate", "over")).toMatchObject(ok("profiles/over.yaml"));
});

test("what was meant is said: names, paths, endings, and what is extended", () => {
  for (const [asked, meant] of [
    ["siet", "site"],
    ["2card", "2cards"],
    ["site.yaml", "profiles/site.yaml"],
    ["profils/site.yaml", "profiles/site.yaml"],
    ["profiles/siet.yaml", "profiles/site.yaml"],
    ["./profiles/site.yml", "./profiles/site.yaml"],
    ["profiles/site", "profiles/site.yaml"],
    ["./2cards.yaml", "2cards"],
  ] as const) {
    const { status, stderr } = bake("validate", asked);
    expect(status).toBe(2);
    expect(stderr, asked).toContain(`  did you mean ${meant}?\n`);
  }
  for (const [named, meant] of [
    ["siet", "site"],
    ["2crads", "2cards"],
    ["./siet.yaml", "./site.yaml"],
    ["./site.yml", "./site.yaml"],
    ["./site", "./site.yaml"],
    ["./2cards.yaml", "2cards"],
  ] as const) {
    write("p", `extends: ${named}\n`);
    const { status, stderr } = bake("validate", "p");
    expect(status).toBe(1);
    expect(stderr, named).toContain(`= help: did you mean ${meant}?`);
  }
});

test("ls: each profile with target, agents and lock; bases and wrong ones are told as such", () => {
  write("wrong", "agents: { spawn: four }\n");
  const { status, stdout } = bake("ls");
  expect(status).toBe(0);
  expect(stdout).toMatch(/^ {2}profile +target +agents +lock +file\n/);
  expect(stdout).toMatch(/^ {2}site +qemu +4 agents, 2 NPUs each, queue ascend +no lock +profiles\/site\.yaml$/m);
  expect(stdout).toMatch(/^ {2}wrong +\d+ errors?: bake validate +profiles\/wrong\.yaml$/m);
  expect(stdout).toMatch(/^ {2}ascend +base of site, 1card, .* +bake's own$/m);
  writeFileSync(join(folder, "profiles/site.lock.json"), "{");
  const { profiles } = JSON.parse(bake("ls", "--json").stdout) as { profiles: { name: string }[] };
  expect(profiles.find(({ name }) => name === "site")).toEqual({
    name: "site",
    file: "profiles/site.yaml",
    own: false,
    ok: true,
    base: false,
    extendedBy: [],
    targets: ["qemu"],
    agents: { spawn: 4, cards: 2, queue: "ascend" },
    lock: { file: "profiles/site.lock.json", state: "unreadable" },
    errors: 0,
    warnings: 0,
  });
});

test("-q leaves results and findings; -v tells the commands that run", () => {
  expect(bake("validate", "site", "-q")).toMatchObject({ status: 0, stdout: "", stderr: "" });
  expect(bake("render", "site", "--quiet")).toMatchObject({ status: 0, stdout: "", stderr: "" });
  writeFileSync(join(folder, "out/site/plan.json"), "{}");
  expect(bake("render", "site", "--check", "-q").stdout).toContain("differs: out/site/plan.json");
  expect(bake("validate", "site", "-q", "-v").stderr).toContain("--quiet and --verbose exclude each other");
});

test("render: another folder, JSON, and a difference that is one line is shown as one", () => {
  const made = JSON.parse(bake("render", "site", "--output", "built", "--json").stdout) as {
    ok: boolean;
    rendered: { folder: string; changed: string[]; files: number }[];
  };
  expect(made.ok).toBe(true);
  expect(made.rendered[0]).toMatchObject({ profile: "site", target: "qemu", folder: "built/site", bakeId: null });
  expect(made.rendered[0]?.changed).toHaveLength(made.rendered[0]?.files ?? 0);
  expect(existsSync(join(folder, "out"))).toBe(false);
  write("site", "extends: 2cards\nagents: { queue: npu }\n");
  const { status, stdout } = bake("render", "site", "--output", "built", "--check");
  expect(status).toBe(1);
  expect(stdout).toMatch(/^-.*queue.*ascend.*\n\+.*queue.*npu/m);
  const json = JSON.parse(bake("render", "site", "--output", "built", "--check", "--json").stdout) as {
    ok: boolean;
    rendered: { upToDate: boolean; differences: { change: string; diff: string }[] }[];
  };
  expect(json.ok).toBe(false);
  expect(json.rendered[0]?.differences[0]).toMatchObject({ change: "changed", diff: expect.any(String) as unknown });
});

test("explain: a code with its example, a setting, and what was meant", () => {
  const code = bake("explain", "bk115");
  expect(code.status).toBe(0);
  expect(code.stdout).toMatch(
    /^BK115: Docker's address pools\n\n[\s\S]*\n\n {4}error\[BK115\]: [\s\S]* {4} --> profile\.yaml:/,
  );
  expect(bake("explain", "agents.spawn").stdout).toContain("Agents started by the one service");
  expect(bake("explain", "agents").stdout).toContain("holds: version, spawn, cards");
  expect(JSON.parse(bake("explain", "BK100", "--json").stdout)).toMatchObject({
    code: "BK100",
    title: "no such profile",
  });
  for (const [asked, meant] of [
    ["BK1155", "BK115"],
    ["agents.spwan", "agents.spawn"],
  ] as const) {
    const { status, stderr } = bake("explain", asked);
    expect(status).toBe(2);
    expect(stderr).toContain(`Did you mean ${meant}?`);
  }
});
