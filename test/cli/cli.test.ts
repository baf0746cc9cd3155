/** The command as a user runs it. */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-cli-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const bake = (...args: string[]) => spawnSync(join(root, "bin/bake"), args, { cwd: folder, encoding: "utf8" });

test("--help lists the commands", () => {
  const { status, stdout } = bake("--help");
  expect(status).toBe(0);
  for (const command of ["validate", "render", "image", "check"]) expect(stdout).toContain(`\n  ${command} `);
});

test("render writes the same bytes twice, and names what it left out", () => {
  const first = bake("render", "--profile", "2cards");
  expect(first.status, first.stderr).toBe(0);
  expect(first.stdout).toContain("left out, because");
  const second = bake("render", "--profile", "2cards");
  expect(second.stdout).toMatch(/ 0 changed/);
  expect(bake("render", "--profile", "2cards", "--check").status).toBe(0);
  writeFileSync(join(folder, "out/2cards/plan.json"), "{}");
  const { status, stdout } = bake("render", "--profile", "2cards", "--check");
  expect(status).toBe(1);
  expect(stdout).toMatch(/^differs: out\/2cards\/plan\.json\n--- .*\n\+\+\+ .*\n@@ -1 \+1,\d+ @@\n-\{\}\n.*\n\+\{\n/);
  expect(stdout).toMatch(/\nout\/2cards: 1 of \d+ files are not up to date: bake render 2cards\n$/);
});

test("two folders, two copies of a profile: the same bytes", () => {
  const trees = ["one", "two/deeper"].map((name) => {
    const cwd = join(folder, name);
    mkdirSync(join(cwd, "profiles"), { recursive: true });
    for (const file of ["ascend.yaml", "2cards.yaml"])
      cpSync(join(root, "profiles", file), join(cwd, "profiles", file));
    expect(spawnSync(join(root, "bin/bake"), ["render", "--profile", "2cards"], { cwd }).status).toBe(0);
    return cwd;
  });
  expect(spawnSync("diff", ["-r", ...trees.map((cwd) => join(cwd, "out"))], { encoding: "utf8" })).toMatchObject({
    status: 0,
    stdout: "",
  });
});

test("validate and render load no HTTP client: they start as fast as they can, and ask nobody", () => {
  const loaded = join(folder, "loaded.cjs");
  writeFileSync(loaded, 'process.on("exit", () => console.error(`loaded: ${process.moduleLoadList.join(",")}`));');
  for (const command of ["validate", "render"]) {
    const args = ["--require", loaded, join(root, "bin/cli.cjs"), command, "--profile", "2cards"];
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
    expect(status, stderr).toBe(0);
    expect(stderr).toContain("NativeModule crypto");
    expect(stderr).not.toMatch(/NativeModule (tls|http|http2)\b/);
  }
});

test("an unknown profile is an error with a suggestion, and nothing is written", () => {
  const { status, stderr } = bake("render", "--profile", "2card");
  // Not 1, which says that out/ is not up to date.
  expect(status).toBe(2);
  expect(stderr).toContain("error[BK100]: no profile 2card");
  expect(stderr).toContain("did you mean 2cards?");
  expect(readdirSync(folder)).toEqual([]);
});

test("a wrong profile exits 1 with file, line and column, and nothing is written", () => {
  writeFileSync(join(folder, "p.yaml"), "agents: { spawn: four }\n");
  for (const command of ["validate", "render", "image"]) {
    const { status, stderr } = bake(command, "--profile", "p.yaml");
    expect(status).toBe(1);
    expect(stderr).toContain("--> p.yaml:1:18");
    expect(existsSync(join(folder, "out"))).toBe(false);
  }
});

test("check: a wrong profile means that nothing was checked", () => {
  writeFileSync(join(folder, "p.yaml"), "agents: { spawn: four }\n");
  const { status, stdout, stderr } = bake("check", "--profile", "p.yaml", "--host", "root@127.0.0.1:1", "--json");
  expect(status).toBe(2);
  const told = JSON.parse(stdout) as { ok: boolean; diagnostics: { path: string; line: number }[] };
  expect(told.ok).toBe(false);
  expect(told.diagnostics.find(({ path }) => path === "agents.spawn")?.line).toBe(1);
  expect(stderr).toContain("--> p.yaml:1:18");
});

test("--json gives the diagnostics", () => {
  writeFileSync(join(folder, "p.yaml"), "nonsense: 1\n");
  const { status, stdout } = bake("validate", "--profile", "p.yaml", "--json");
  expect(status).toBe(1);
  expect((JSON.parse(stdout) as { diagnostics: { code: string }[] }).diagnostics.map(({ code }) => code)).toContain(
    "BK103",
  );
});

test("validate: programs get what they asked for, also when there is no profile", () => {
  writeFileSync(join(folder, "p.yaml"), "extends: ./site.yaml\nagents: { spawn: four }\n");
  writeFileSync(join(folder, "site.yaml"), "nonsense: 1\n");
  const github = bake("validate", "--profile", "p.yaml", "--format", "github");
  expect(github.status).toBe(1);
  expect(github.stdout).toContain("::error file=p.yaml,line=2,col=18,");
  expect(github.stdout).toContain("::error file=site.yaml,line=1,col=1,");
  expect(github.stderr).toBe("");
  const sarif = bake("validate", "--profile", "p.yaml", "--format", "sarif");
  expect((JSON.parse(sarif.stdout) as { version: string }).version).toBe("2.1.0");
  const missing = bake("validate", "--profile", "no-such-one", "--json");
  expect(missing.status).toBe(2);
  expect(JSON.parse(missing.stdout)).toMatchObject({ ok: false, diagnostics: [], failure: { code: "BK100" } });
  expect(bake("validate", "--profile", "2cards", "--format", "xml").status).toBe(2);
});

test("validate: warnings are said and do not stop anything", () => {
  const base = JSON.stringify(join(root, "profiles/2cards.yaml"));
  writeFileSync(join(folder, "p.yaml"), `extends: ${base}\ndocker: { version: 27.3.0 }\nbuildx: { version: 0.17.1 }\n`);
  const { status, stdout, stderr } = bake("validate", "--profile", "p.yaml");
  expect(status).toBe(0);
  expect(stdout).toBe("p.yaml: ok\n");
  expect(stderr).toContain("warning[BK112]");
  expect(stderr).toMatch(/\n1 warning\n$/);
});

test("validate --explain: every value with its place and what follows, or one setting with its description", () => {
  const base = JSON.stringify(join(root, "profiles/2cards.yaml"));
  writeFileSync(join(folder, "p.yaml"), `extends: ${base}\nagents: { spawn: 3 }\n`);
  const all = bake("validate", "--profile", "p.yaml", "--explain");
  expect(all.status, all.stderr).toBe(0);
  expect(all.stdout).toMatch(/^ {2}agents\.spawn +3 +p\.yaml:2:18$/m);
  expect(all.stdout).toMatch(/^ {2}agents\.cards +2 +.*profiles\/2cards\.yaml:\d+:\d+$/m);
  expect(all.stdout).toMatch(/^ {2}agents\.stopTimeout +1500 +default$/m);
  expect(all.stdout).toMatch(/^ {2}agent 3 owns +davinci4 davinci5, cachebuilder3, /m);
  const one = bake("validate", "--profile", "p.yaml", "--explain", "agents.spawn");
  expect(one.stdout).toContain("agents.spawn: 3  (p.yaml:2:18)\n      Agents started by the one service");
  expect(one.stdout).not.toContain("data disk");
  const json = bake("validate", "--profile", "p.yaml", "--explain", "storage", "--json");
  expect(JSON.parse(json.stdout)).toMatchObject({
    settings: expect.arrayContaining([expect.objectContaining({ path: "storage.mount", value: "/mnt" })]) as unknown,
    consequences: expect.arrayContaining([expect.objectContaining({ what: "fstab" })]) as unknown,
  });
  const misspelt = bake("validate", "--profile", "p.yaml", "--explain", "agents.spwan");
  expect(misspelt).toMatchObject({ status: 2, stdout: "" });
  expect(misspelt.stderr).toContain("did you mean agents.spawn?");
});

test("wrong usage exits 2", () => {
  expect(bake("render").status).toBe(2);
  expect(bake("no-such-command").status).toBe(2);
});

test("check: wrong usage exits 2 and says what is wrong", () => {
  for (const [args, message] of [
    [[], "give one of --image and --host"],
    [["--image", "--host", "node"], "give one of --image and --host"],
    [["--host", "-oProxyCommand=id"], "is no [user@]host[:port]"],
    [["--host", "root@node:99999"], "is no [user@]host[:port]"],
  ] as const) {
    const { status, stdout, stderr } = bake("check", "--profile", "2cards", ...args);
    expect(status).toBe(2);
    expect(stderr).toContain(message);
    expect(stdout).toBe("");
  }
  expect(bake("check", "--host", "node").stderr).toContain("no profile is named");
});

test("check: an image for other processors than the profile is refused before anything boots", () => {
  mkdirSync(join(folder, "arm"), { recursive: true });
  writeFileSync(join(folder, "arm/image.qcow2"), "");
  const record = { bakeId: "x".repeat(43), file: "image.qcow2", architecture: "aarch64" };
  writeFileSync(join(folder, "arm/image.json"), JSON.stringify(record));
  const { status, stderr } = bake("check", "--profile", "2cards", "--image", "arm/image.qcow2");
  expect(status).toBe(2);
  expect(stderr).toBe(
    "error[BK515]: arm/image.qcow2 is for aarch64, and profile 2cards is for x86_64\n  Its image.json says so. Take the profile that it was baked from, or bake this one: bake image --profile 2cards\n",
  );
});

test("check: a host that nobody can reach, a bundle that cannot be written and an image that is not there exit 2", () => {
  const unreachable = bake("check", "--profile", "2cards", "--host", "root@127.0.0.1:1", "--json");
  expect(unreachable.status).toBe(2);
  expect(JSON.parse(unreachable.stdout)).toMatchObject({ ok: false, failure: { code: "BK511" } });
  expect(unreachable.stderr).toContain("error[BK511]: root@127.0.0.1:1 cannot be reached by ssh");
  const bundle = bake("check", "--profile", "2cards", "--host", "root@127.0.0.1:1", "--bundle", "no/such/b.tar.gz");
  expect(bundle.status).toBe(2);
  expect(bundle.stderr).toContain("error[BK518]");
  expect(readdirSync(folder)).toEqual([]);
});

test("check: many hosts at once, side by side; one that nobody can reach does not keep the others from being told", () => {
  const hosts = ["--host", "root@127.0.0.1:1", "--host", "root@127.0.0.1:2", "--host", "root@127.0.0.1:1"];
  const files = ["--junit", "junit.xml", "--annotation", "note.md", "--report", "page.html"];
  const { status, stdout } = bake("check", "2cards", ...hosts, ...files);
  expect(status).toBe(2);
  expect(stdout).toMatch(/^ {2}guide +subject +root@127\.0\.0\.1:1 +root@127\.0\.0\.1:2$/m);
  expect(stdout).toMatch(/all of it +could not check +could not check$/m);
  expect(stdout).toMatch(/\n0 of 2 nodes passed, 2 could not be checked\n$/);
  expect(readFileSync(join(folder, "junit.xml"), "utf8").match(/<testsuite /g)).toHaveLength(2);
  expect(readFileSync(join(folder, "note.md"), "utf8")).toContain("could not check `root@127.0.0.1:2`: `BK511");
  expect(readFileSync(join(folder, "page.html"), "utf8").match(/<section id="host-\d"/g)).toHaveLength(2);
  const json = JSON.parse(bake("check", "2cards", ...hosts, "--json", "-q").stdout) as { hosts: { name: string }[] };
  expect(json.hosts).toMatchObject([
    { name: "root@127.0.0.1:1", failure: { code: "BK511" }, summary: { exitCode: 2 } },
    { name: "root@127.0.0.1:2", failure: { code: "BK511" } },
  ]);
  // One alone ends as it did, and CI has its file all the same.
  rmSync(join(folder, "junit.xml"));
  rmSync(join(folder, "page.html"));
  const one = ["--host", "root@127.0.0.1:1", "--junit", "junit.xml", "--report", "page.html"];
  expect(bake("check", "2cards", ...one)).toMatchObject({
    status: 2,
    stdout: expect.not.stringContaining("guide") as unknown,
  });
  expect(readFileSync(join(folder, "junit.xml"), "utf8")).toContain("<error");
  expect(readFileSync(join(folder, "page.html"), "utf8")).toContain("BK511: root@127.0.0.1:1 cannot be reached");
  expect(bake("check", "2cards", ...hosts, "--bundle", "b.tar.gz").stderr).toContain(
    "--bundle takes one host at a time",
  );
});
