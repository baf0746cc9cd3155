/** However a command ends, it ends, and says why: places that cannot be written, an old Node.js, options that exclude each other. */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { makeFolder } from "../../src/host/make-folder.ts";
import { fillMirror } from "../../src/store/mirror.ts";
import { Store } from "../../src/store/store.ts";

let folder = "";
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "bake-ends-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const bake = (args: readonly string[], env: Record<string, string> = {}) =>
  spawnSync(join(root, "bin/bake"), args, {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, ...env },
    timeout: 60_000,
  });
const sh = (script: string, env: Record<string, string> = {}) =>
  spawnSync("bash", ["--norc", "-c", script], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, BAKE: join(root, "bin/bake"), ...env },
    timeout: 60_000,
  });

const threeLines = /^internal error: .+\n {2}bake \d+\.\d+\.\d+\S*, Node\.js v\S+, linux \S+: bake \S+\n {2}.+\n$/;

describe("nothing else tells it", () => {
  test("a cache that cannot be made", () => {
    const { status, stdout, stderr } = bake(["store", "ls"], { XDG_CACHE_HOME: "/proc/x" });
    expect({ status, stdout, stderr }).toMatchObject({ status: 0, stderr: "" });
    const set = bake(["image", "--profile", "2cards", "--trial"], { XDG_CACHE_HOME: "/proc/x", CI: "1" });
    expect(set.status).toBe(2);
    expect(set.stderr).toMatch(/ENOENT|BK/);
    expect(set.stderr.length).toBeLessThan(2000);
  });

  test("standard output that takes nothing: three lines, exit 2", () => {
    for (const command of ["validate --profile 2cards --explain", "--help", "validate --profile 2cards"]) {
      const { status, stderr } = sh(`$BAKE ${command} >/dev/full`);
      expect([command, status]).toEqual([command, 2]);
      expect(stderr).toMatch(/^internal error: ENOSPC[^\n]*\n {2}bake [^\n]*\n[^\n]*\n$/);
    }
    expect(sh("$BAKE validate --profile 2cards --explain >/dev/full 2>/dev/full").status).toBe(2);
  });

  test("a reader that goes away: quietly", () => {
    const { stdout, stderr } = sh("$BAKE validate --profile 2cards --explain | head -n 1; echo ${PIPESTATUS[0]}");
    expect(stderr).toBe("");
    expect(stdout.split("\n").at(-2)).toBe("0");
  });

  test("a fault of bake", () => {
    const fault = join(folder, "fault.cjs");
    writeFileSync(fault, "process.cwd = () => { throw new Error('a fault\\n' + 'x'.repeat(100000)); };\n");
    const run = (env: Record<string, string>) =>
      bake(["validate", "--profile", "2cards"], { NODE_OPTIONS: `--require ${fault}`, ...env });
    const { status, stderr } = run({});
    expect(status).toBe(2);
    expect(stderr).toMatch(threeLines);
    expect(stderr).toContain("internal error: a fault\n");
    expect(run({ BAKE_DEBUG: "1" }).stderr).toContain("    at ");
  });
});

test("a folder that no file system makes is an error, not a loop", async () => {
  await expect(makeFolder("/proc/x/y")).rejects.toMatchObject({ code: "ENOENT" });
  writeFileSync(join(folder, "file"), "");
  await expect(makeFolder(join(folder, "file"))).rejects.toMatchObject({ code: "EEXIST" });
  await expect(makeFolder(join(folder, "file/x"))).rejects.toMatchObject({ code: "ENOTDIR" });
  await makeFolder(join(folder, "a/b/c"));
  await makeFolder(join(folder, "a/b/c"));
  expect(existsSync(join(folder, "a/b/c"))).toBe(true);
});

test("a folder is made while another one makes and removes those above it", async () => {
  const deep = join(folder, "x/y/z");
  const attempts = Array.from({ length: 200 }, async (_, index) => {
    if (index % 5 === 0) await rm(join(folder, "x"), { recursive: true, force: true }).catch(() => undefined);
    await makeFolder(deep);
  });
  await Promise.all(attempts);
});

test("an old Node.js is told as that", () => {
  const old = join(folder, "old.cjs");
  writeFileSync(
    old,
    "Object.defineProperty(process, 'versions', { value: { node: '20.17.0' } }); Object.defineProperty(process, 'version', { value: 'v20.17.0' });\n",
  );
  const { status, stdout, stderr } = bake(["--version"], { NODE_OPTIONS: `--require ${old}` });
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toMatch(/^bake needs Node\.js 20\.18 or newer; this is v20\.17\.0 \(\/.*\)\.\n$/);
});

describe("bin/set-up", () => {
  const checkout = (): string => {
    const place = join(folder, "checkout");
    mkdirSync(join(place, "bin"), { recursive: true });
    mkdirSync(join(place, "src"));
    for (const name of ["bake", "set-up", "cli.cjs"]) cpSync(join(root, "bin", name), join(place, "bin", name));
    for (const name of ["package-lock.json", "build.mjs"]) writeFileSync(join(place, name), "");
    return place;
  };

  test("a checkout that cannot be written is told, at once", () => {
    const place = checkout();
    // What root may not do either: a lock's name that is a file.
    writeFileSync(join(place, ".set-up.lock"), "");
    const { status, stderr } = spawnSync(join(place, "bin/bake"), ["--version"], { encoding: "utf8", timeout: 20_000 });
    expect(status).toBe(2);
    expect(stderr).toContain(`bake: ${place} has to be set up (first use or update), and cannot be written: `);
    expect(stderr).toContain("run ");
  });

  test("whoever waits says for what, and not for ever", () => {
    const place = checkout();
    mkdirSync(join(place, ".set-up.lock"));
    writeFileSync(join(place, ".set-up.lock/pid"), String(process.pid));
    const { status, stderr } = spawnSync(join(place, "bin/bake"), ["--version"], {
      encoding: "utf8",
      timeout: 30_000,
      env: { ...process.env, BAKE_SET_UP_WAIT: "2" },
    });
    expect(status).toBe(2);
    expect(stderr).toBe(
      `bake: waiting for process ${process.pid}, which sets up ${place} (at most 2 s)\nbake: process ${process.pid} still sets up ${place} after 2 s; when it does not, remove ${place}/.set-up.lock\n`,
    );
  });

  test("a lock of a process that is no more is taken over", () => {
    const place = checkout();
    mkdirSync(join(place, ".set-up.lock"));
    const gone = spawnSync("sh", ["-c", "echo $$"], { encoding: "utf8" }).stdout.trim();
    writeFileSync(join(place, ".set-up.lock/pid"), gone);
    mkdirSync(join(place, "dist"));
    writeFileSync(join(place, "dist/.built"), "");
    utimesSync(join(place, "dist/.built"), new Date(Date.now() + 60_000), new Date(Date.now() + 60_000));
    const { status, stderr } = spawnSync("sh", [join(place, "bin/set-up"), place], {
      encoding: "utf8",
      timeout: 20_000,
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(existsSync(join(place, ".set-up.lock"))).toBe(false);
  });
});

test("a bundle outside a checkout says so, and does not look for ever", () => {
  const bundle = join(folder, "x.cjs");
  execFileSync(join(root, "node_modules/.bin/esbuild"), [
    join(root, "src/host/root.ts"),
    "--bundle",
    "--platform=node",
    "--format=cjs",
    "--define:import.meta.url=bundleUrl",
    "--banner:js=const bundleUrl = require('node:url').pathToFileURL(__filename).href;",
    `--outfile=${bundle}`,
    "--log-level=error",
  ]);
  const { status, stderr } = spawnSync(process.execPath, [bundle], { encoding: "utf8", timeout: 20_000 });
  expect(status).toBe(1);
  expect(stderr).toContain(`${bundle} lies neither in dist/ nor in src/ of a checkout of bake`);
});

test.each([
  [["image", "--profile", "2cards", "-p", "4cards"], "error: option '-p, --profile <name>' is given twice"],
  [["check", "--profile", "2cards", "--image", "--image", "x"], "error: option '--image [file]' is given twice"],
  [
    ["validate", "--profile", "2cards", "--json", "--format", "sarif"],
    "option '--json' cannot be used with option '--format <format>'",
  ],
  [
    ["lock", "--profile", "2cards", "--check", "--outdated"],
    "option '--check' cannot be used with option '--outdated'",
  ],
  [
    ["lock", "--profile", "2cards", "--check", "--update"],
    "option '--check' cannot be used with option '--update [name...]'",
  ],
  [
    ["lock", "--profile", "2cards", "--outdated", "--update", "docker"],
    "option '--outdated' cannot be used with option '--update [name...]'",
  ],
  [
    ["image", "--profile", "2cards", "--trial", "--frozen-lockfile"],
    "option '--trial' cannot be used with option '--frozen-lockfile'",
  ],
  [
    ["image", "--profile", "2cards", "--trial", "--mirror", "x"],
    "option '--trial' cannot be used with option '--mirror <folder or url>'",
  ],
  [["init", "x", "--token-file", "a", "--token-env", "B"], "cannot be used with option"],
  ...[
    ["fetch", "2cards", "--to"],
    ["render", "2cards", "--output"],
    ["user-data", "2cards", "--output"],
    ["cache", "build", "--to"],
    ["cache", "harvest", "--host", "x", "--to"],
  ].map((args): [string[], string] => [[...args, ""], "' is invalid. It is empty: is a variable not set?"]),
])("%j is an error", (args, message) => {
  const { status, stdout, stderr } = bake(args);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toContain(message);
});

test("what may be given several times still may", () => {
  const { status } = bake([
    "init",
    "x",
    "--image",
    "quay.io/a/b:1",
    "--image",
    "quay.io/a/c:1",
    "--pypi-cache",
    "",
    "--git-proxy",
    "",
  ]);
  expect(status).toBe(0);
});

test("a mirror where no folder can be made is an error with its name", async () => {
  const content = Buffer.from("a file");
  await expect(fillMirror("/proc/x", new Store(join(folder, "store")), [{ name: "a", content }])).rejects.toMatchObject(
    {
      code: "BK518",
      message: expect.stringMatching(/^\/proc\/x\/sha256\/\S+ cannot be written: ENOENT/),
    },
  );
});
