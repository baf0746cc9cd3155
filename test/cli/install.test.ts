/** The package as npm makes it: packed from a clean commit, installed without a network, run in an empty folder. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { root } from "../../src/host/root.ts";
import { needs, type Tool, toolPath } from "../needs.ts";

// bake is started many times in each of them.
vi.setConfig({ testTimeout: 240_000 });

const folder = mkdtempSync(join(tmpdir(), "bake-install-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }), 120_000);

const clone = join(folder, "clone");
const prefix = join(folder, "prefix");
/** npm with nothing in its cache, and nobody to ask: the tarball alone has to do. */
const env = {
  PATH: process.env["PATH"],
  HOME: folder,
  npm_config_cache: join(folder, "npm"),
  npm_config_offline: "true",
  npm_config_registry: "http://127.0.0.1:1/",
};
const run = (file: string, args: readonly string[], cwd: string): string =>
  execFileSync(file, args, { cwd, encoding: "utf8", env, stdio: ["ignore", "pipe", "pipe"] });

/** What git has of this checkout, also what is not committed yet. */
const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\0")
  .filter((path) => path !== "" && !path.startsWith("test/") && !path.startsWith("bench/"));

const former = "0123456789abcdef";
let commit = "";
let tarball = "";
let packed: string[] = [];

beforeAll(() => {
  for (const path of tracked) {
    mkdirSync(dirname(join(clone, path)), { recursive: true });
    cpSync(join(root, path), join(clone, path));
  }
  // A folder of its own: whatever npm does to it stays there. What is set up has its list, newer than the lock.
  mkdirSync(join(clone, "node_modules"));
  for (const name of readdirSync(join(root, "node_modules")).filter((each) => each !== ".package-lock.json"))
    symlinkSync(join(root, "node_modules", name), join(clone, "node_modules", name));
  cpSync(join(root, "node_modules/.package-lock.json"), join(clone, "node_modules/.package-lock.json"));
  const git = (...args: string[]): string =>
    run("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", ...args], clone);
  git("init", "--quiet");
  git("add", "--all");
  git("commit", "--quiet", "--message", "all");
  commit = git("rev-parse", "--short=12", "HEAD").trim();
  // A former bundle, which a long bake may still read.
  mkdirSync(join(clone, "dist", former), { recursive: true });
  writeFileSync(join(clone, "dist", former, "cli.js"), "");
  // npm's own files are no part of what was modified.
  const [made] = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", folder], clone)) as {
    filename: string;
    files: { path: string }[];
  }[];
  tarball = join(folder, made?.filename ?? "");
  packed = (made?.files ?? []).map(({ path }) => path);
  run("npm", ["install", "--global", "--prefix", prefix, tarball], folder);
}, 180_000);

/** The folder in dist/ that has the bundle. */
const bundled = (): string => readFileSync(join(clone, "dist/current"), "utf8").trim();

test("the package holds the bundle and bake's own files, and nothing of the tests or the sources", () => {
  const own = tracked.filter((path) => /^(docs|packer|profiles|schema|templates|toolchain)\//.test(path));
  expect(own.length).toBeGreaterThan(60);
  const chunks = readdirSync(join(clone, "dist", bundled())).filter((name) => name.endsWith(".js"));
  expect(chunks).toContain("cli.js");
  expect(packed.toSorted()).toEqual(
    [
      ...own,
      ...["CHANGELOG.md", "README.md", "README.zh-CN.md", "bin/bake", "bin/cli.cjs", "package.json"],
      ...["dist/LICENSES.txt", "dist/current", ...chunks.map((name) => `dist/${bundled()}/${name}`)],
    ].toSorted(),
  );
  expect(existsSync(join(clone, "dist", former, "cli.js")), "a former bundle is not packed, and stays").toBe(true);
  expect(statSync(tarball).size).toBeLessThan(3e6);
  const { dependencies } = JSON.parse(readFileSync(join(clone, "package.json"), "utf8")) as { dependencies?: object };
  expect(dependencies, "everything is in the bundle: npm install has nothing to fetch").toBeUndefined();
});

test("the licences of what is bundled go with it", () => {
  const text = readFileSync(join(clone, "dist/LICENSES.txt"), "utf8");
  for (const name of ["commander", "yaml", "zod", "undici"]) expect(text).toMatch(new RegExp(`^${name} \\d`, "m"));
});

/** Paths, sizes and times below a folder. */
const listing = (place: string): string[] =>
  readdirSync(place, { recursive: true, encoding: "utf8" }).map((path) => {
    const { size, mtimeMs, mode } = statSync(join(place, path));
    return `${path} ${size} ${mtimeMs} ${mode}`;
  });

/** Runs what was installed as a user would, with this Node.js first on PATH. */
const tryOut = (node: string) => {
  const home = mkdtempSync(join(folder, "home-"));
  const cwd = join(home, "empty");
  const path = join(home, "path");
  for (const each of [cwd, path]) mkdirSync(each);
  symlinkSync(node, join(path, "node"));
  const bake = (...args: string[]) =>
    spawnSync(join(prefix, "bin/bake"), args, {
      cwd,
      encoding: "utf8",
      env: { PATH: `${path}:/usr/bin:/bin`, HOME: home },
    });
  const before = listing(prefix);
  expect(bake("--version").stdout).toMatch(new RegExp(`^\\d+\\.\\d+\\.\\d+\\+${commit}\n$`));
  for (const [args, answer] of [
    [["init", "site"], /^profiles\/site\.yaml: written/],
    [["ls"], /^ {2}site +qemu +4 agents/m],
    [["explain", "BK115"], /^BK115: .*\n[^]*error\[BK115\]/],
    [["validate", "--profile", "site"], /^profiles\/site\.yaml: ok$/m],
    [["render", "--profile", "site"], /^out\/site: \d+ files/],
    [["render", "--profile", "site", "--check"], /^$/],
    // bake's own profiles come with the package.
    [["render", "--profile", "2cards"], /^out\/2cards: \d+ files/],
  ] as const) {
    const { status, stdout, stderr } = bake(...args);
    expect({ status, stderr }, args.join(" ")).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(answer);
  }
  // A page of a host that nobody reaches: what there is to tell stands in it.
  const unreached = bake("check", "site", "--host", "root@127.0.0.1:1", "--report", "report.html");
  expect(unreached.status, unreached.stderr).toBe(2);
  expect(unreached.stderr).toContain("error[BK");
  const page = readFileSync(join(cwd, "report.html"), "utf8");
  expect(page).toMatch(/^<!doctype html>/i);
  expect(page).toContain("root@127.0.0.1:1");
  expect(readdirSync(cwd).toSorted()).toEqual(["out", "profiles", "report.html"]);
  expect(listing(prefix), "the package stays as it was installed").toEqual(before);
  const compiled = join(home, ".cache/bake/compiled");
  expect(readdirSync(compiled)).toEqual([bundled()]);
  expect(readdirSync(join(compiled, bundled())).filter((name) => name.startsWith("cli.js."))).toHaveLength(1);
  return { bake, compiled: join(compiled, bundled()) };
};

test("installed, it works in an empty folder on this Node.js", () => void tryOut(process.execPath));

needs("root").test("compiled code that is somebody else's is not run: it is made anew", () => {
  const { bake, compiled } = tryOut(process.execPath);
  const [name = ""] = readdirSync(compiled).filter((each) => each.startsWith("cli.js."));
  const { ino } = statSync(join(compiled, name));
  expect(bake("--help").status).toBe(0);
  expect(statSync(join(compiled, name)).ino, "one's own is used").toBe(ino);
  chownSync(join(compiled, name), 65_534, 65_534);
  expect(bake("--help").status).toBe(0);
  const { uid, ino: fresh } = statSync(join(compiled, name));
  expect({ uid, isFresh: fresh !== ino }).toEqual({ uid: process.getuid?.(), isFresh: true });
});

test("compiled code that is damaged is not run: it is made anew", () => {
  const { bake, compiled } = tryOut(process.execPath);
  const [name = ""] = readdirSync(compiled).filter((each) => each.startsWith("cli.js."));
  const whole = readFileSync(join(compiled, name));
  const turned = Buffer.from(whole);
  turned[100] = (turned[100] ?? 0) ^ 0xff;
  for (const damaged of [turned, whole.subarray(0, 1000), Buffer.alloc(0)]) {
    writeFileSync(join(compiled, name), damaged);
    expect(bake("--help")).toMatchObject({ status: 0, stderr: "" });
    const again = readFileSync(join(compiled, name));
    expect(again.subarray(0, again.length / 2).equals(again.subarray(again.length / 2)), "made anew").toBe(true);
    expect(again.length).toBeGreaterThan(1000);
  }
});

for (const tool of ["Node.js 20.18", "Node.js 22", "Node.js 24"] as const satisfies readonly Tool[]) {
  needs(tool).test(`installed, it works in an empty folder on ${tool}`, () => {
    expect(run(toolPath(tool), ["--version"], folder)).toContain(`v${tool.slice("Node.js ".length)}.`);
    tryOut(toolPath(tool));
  });
}

test("a template that was changed after bake was bundled is not rendered: its compiled form is another", () => {
  const { bake } = tryOut(process.execPath);
  const file = join(prefix, "lib/node_modules/bake/templates/systemd/docker.service.hbs");
  const text = readFileSync(file);
  try {
    writeFileSync(file, `${text.toString()}# another line\n`);
    const { status, stderr } = bake("render", "--profile", "site", "--output", "other");
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: expect.stringContaining("docker.service was changed after bake was bundled: ") as unknown,
    });
  } finally {
    writeFileSync(file, text);
  }
});

test("npx runs it from the tarball", () => {
  const { status, stdout, stderr } = spawnSync("npx", ["--yes", `--package=${tarball}`, "bake", "--version"], {
    cwd: folder,
    encoding: "utf8",
    env,
  });
  expect({ status, stdout }, stderr).toMatchObject({ status: 0, stdout: expect.stringContaining(commit) as unknown });
});

test("what was changed since the commit is said in the version", () => {
  writeFileSync(join(clone, "src/host/version.ts"), `${readFileSync(join(clone, "src/host/version.ts"), "utf8")}\n`);
  run("sh", ["bin/set-up", ".", "again"], clone);
  expect(run(join(clone, "bin/bake"), ["--version"], clone)).toContain(`+${commit}.modified\n`);
});
