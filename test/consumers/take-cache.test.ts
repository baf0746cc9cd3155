/**
 * `bake cache` with those who write and read such folders: docker's buildx on a real buildkitd, another buildkitd that never built
 * anything, and bake's own lock. Only ssh stays here.
 */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { root } from "../../src/host/root.ts";
import { buildCache } from "../../src/lock/sources/build-cache.ts";
import { Store } from "../../src/store/store.ts";
import { type Buildkitd, startBuildkitd } from "../buildkitd.ts";
import { needs, toolPath } from "../needs.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const folder = mkdtempSync(join(tmpdir(), "bake-cache-command-"));
const at = (...path: string[]): string => join(folder, ...path);
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const put = (path: string, text: string, mode = 0o644): void => {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text, { mode });
};

const bake = (...args: readonly string[]) =>
  spawnSync(join(root, "bin/bake"), ["cache", ...args], {
    cwd: folder,
    encoding: "utf8",
    env: {
      ...process.env,
      CI: "true",
      HOME: folder,
      XDG_CACHE_HOME: at("cache"),
      PATH: `${at("bin")}:${toolPath("docker")}/usr/bin:${process.env["PATH"] ?? ""}`,
    },
  });

/** Each file of a folder with its bytes and its time. */
const contents = (top: string): string[] =>
  readdirSync(top, { recursive: true, encoding: "utf8" })
    .filter((path) => statSync(join(top, path)).isFile())
    .toSorted()
    .map((path) => `${path} ${statSync(join(top, path)).mtimeMs} ${readFileSync(join(top, path), "base64")}`);

needs("root", "docker", "buildx", "buildkitd", "buildctl").describe("bake cache", () => {
  const started: Buildkitd[] = [];
  const start = async (name: string): Promise<Buildkitd> => {
    const buildkitd = await startBuildkitd(at(name));
    started.push(buildkitd);
    return buildkitd;
  };
  /** How many of the two steps a builder that never built finds in a cache. */
  const found = async (name: string, cache: string): Promise<number> => {
    const said = await (await start(name)).buildctl(
      ...["build", "--progress=plain", "--frontend", "dockerfile.v0", "--local", `context=${at("context")}`],
      ...["--local", `dockerfile=${at("context")}`, "--opt", "filename=Dockerfile.npu", "--opt", "build-arg:PART=one"],
      ...["--output", `type=oci,dest=${at(name, "out.tar")}`, `--import-cache=type=local,src=${at(cache)}`],
    );
    return [...said.matchAll(/^#\d+ CACHED$/gm)].length;
  };
  const build = ["--builder", "ci", "--context", "context", "--file", "context/Dockerfile.npu"];
  const arg = ["--build-arg", "PART=one"];
  beforeAll(async () => {
    put("context/Dockerfile.npu", "FROM scratch\nARG PART\nCOPY $PART /\nCOPY two /\n");
    put("context/one", "the first");
    put("context/two", "and the second");
    // The last word is the command, for the shell of the host.
    put(
      "bin/ssh",
      `#!/bin/bash
case " $* " in *" -O exit "*) exit 0 ;; esac
[ ! -e ${at("gone")} ] || exit 255
exec bash --norc -c "\${!#}"
`,
      0o755,
    );
    mkdirSync(at(".docker/cli-plugins"), { recursive: true });
    symlinkSync(toolPath("buildx"), at(".docker/cli-plugins/docker-buildx"));
    const { address } = await start("first");
    const { status, stderr } = spawnSync(
      join(toolPath("docker"), "usr/bin/docker"),
      ["buildx", "create", "--name", "ci", "--driver", "remote", address],
      { encoding: "utf8", env: { ...process.env, HOME: folder } },
    );
    expect(status, stderr).toBe(0);
  });
  afterAll(async () => {
    for (const buildkitd of started) await buildkitd.stop();
  });

  it("built here: the folder is one that the lock takes, and another builder finds every step", async () => {
    const { status, stdout, stderr } = bake("build", ...build, ...arg, "--to", "caches/ci", "--json");
    expect(status, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, caches: [{ name: "ci", path: "../caches/ci" }] });
    const locked = await buildCache.resolve(
      { kind: "build-cache", name: "ci", asked: "ci", folder: at("caches/ci"), path: ["caches", 0, "path"] },
      { localFile: (path: string) => new Store(at("store")).add(path) } as Parameters<typeof buildCache.resolve>[1],
    );
    expect(locked.blobs.length).toBeGreaterThan(2);
    expect(await found("second", "caches/ci")).toBe(2);
    expect(readdirSync(at("cache/bake/work"))).toEqual([]);
  });

  it("a build that fails leaves the folder as it was, and says why", () => {
    const before = contents(at("caches/ci"));
    put("context/Dockerfile.wrong", "FROM scratch\nCOPY nothing /\n");
    const { status, stderr } = bake(
      ...["build", "--builder", "ci", "--context", "context", "--file", "context/Dockerfile.wrong"],
      ...["--to", "caches/ci"],
    );
    expect(status).toBe(2);
    expect(stderr).toContain("error[BK258]: the build ended with 1 and exported no build cache");
    expect(stderr).toContain('"/nothing": not found');
    expect(contents(at("caches/ci"))).toEqual(before);
  });

  it("a command that fails after its export: the cache counts; one that exports nothing is an error", async () => {
    const command = `docker buildx build --builder ci --file context/Dockerfile.npu ${arg.join(" ")} --cache-to "type=local,dest=\${here:-$BAKE_CACHE},mode=max" context && exit 3`;
    const { status, stdout, stderr } = bake("build", "--command", command, "--to", "caches/by-command");
    expect(status, stderr).toBe(0);
    expect(stderr).toContain("the command ended with 3 after it had exported its build cache: the cache counts");
    expect(stdout).toMatch(/caches:\n {2}- name: by-command\n {4}path: "\.\.\/caches\/by-command"\n$/);
    expect(await found("third", "caches/by-command")).toBe(2);
    // As a script of CI, whose folder stands in it, and which has exported the very same there before.
    const script = `here=${at("docker-cache1")}; ${command}`;
    for (const _ of [1, 2])
      expect(bake("build", "--command", script, "--exports", "docker-cache1", "--to", "caches/site").status).toBe(0);
    expect(existsSync(at("caches/site/index.json"))).toBe(true);
    for (const nothing of ["true", "echo no device >&2; exit 3"]) {
      const refused = bake("build", "--command", nothing, "--exports", "docker-cache1", "--to", "caches/none");
      expect(refused.status).toBe(2);
      expect(refused.stderr).toMatch(/error\[BK258\]: the command ended with [03] and exported no build cache/);
    }
    expect(existsSync(at("caches/none"))).toBe(false);
  });

  it("harvested from a host: whole, as its builds export it, and nothing is changed there", async () => {
    const from = at("docker-cache1");
    const before = contents(from);
    const harvest = ["harvest", "--host", "root@192.0.2.8", "--from", from, "--to", "caches/harvested"];
    const { status, stdout, stderr } = bake(...harvest);
    expect(status, stderr).toBe(0);
    expect(stdout).toContain("caches/harvested: ");
    expect(contents(from)).toEqual(before);
    expect(await found("fourth", "caches/harvested")).toBe(2);
    expect(JSON.parse(bake(...harvest, "--json").stdout)).toMatchObject({ copied: 0 });
  });

  it("of a host: no cache, one that is not whole, and a connection that is lost", () => {
    const harvest = (from: string, to: string) =>
      bake("harvest", "--host", "root@192.0.2.8", "--from", from, "--to", to).stderr;
    expect(harvest("/nowhere", "caches/a")).toContain("error[BK247]: root@192.0.2.8:/nowhere is no build cache");
    cpSync(at("docker-cache1"), at("damaged here"), { recursive: true });
    const [blob = ""] = readdirSync(at("damaged here/blobs/sha256")).toSorted(
      (a, b) => statSync(at("damaged here/blobs/sha256", a)).size - statSync(at("damaged here/blobs/sha256", b)).size,
    );
    truncateSync(at("damaged here/blobs/sha256", blob), 5);
    expect(harvest(at("damaged here"), "caches/b")).toMatch(
      new RegExp(`error\\[BK248\\]: .*damaged here is not whole: blobs/sha256/${blob} has other bytes: 5 in the place`),
    );
    expect(existsSync(at("caches/b/index.json"))).toBe(false);
    put("gone", "");
    expect(harvest(at("docker-cache1"), "caches/c")).toContain("error[BK511]");
    rmSync(at("gone"));
    expect(bake("harvest", "--host", "-x", "--to", "caches/d").stderr).toContain("error[BK131]");
  });
});
