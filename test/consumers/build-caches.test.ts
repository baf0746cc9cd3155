/**
 * Build caches with those who write and read them: two real buildkitd, of which the second has never built anything. They are
 * locked by bake's resolver, laid by bake-caches as it is rendered, and read from an agent's folder as CI's script does.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
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
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type BuildCache, filesOf } from "../../src/artifact.ts";
import { planFor } from "../../src/commands/plan.ts";
import { buildCache } from "../../src/lock/sources/build-cache.ts";
import { Store } from "../../src/store/store.ts";
import { substitute } from "../../src/trial/substitutions.ts";
import { type Buildkitd, startBuildkitd } from "../buildkitd.ts";
import { openMirror } from "../models.ts";
import { needs } from "../needs.ts";
import { readProfile, render, trialLock } from "../plan-of.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-caches-"));
const at = (...path: string[]): string => join(folder, ...path);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const started: Buildkitd[] = [];

interface Builder {
  /** Progress of a build of this context, with these options. */
  readonly build: (context: string, ...options: readonly string[]) => Promise<string>;
}

const startBuilder = async (name: string): Promise<Builder> => {
  const buildkitd = await startBuildkitd(at(name));
  started.push(buildkitd);
  return {
    build: (context, ...options) =>
      buildkitd.buildctl(
        ...["build", "--progress=plain", "--frontend", "dockerfile.v0", "--local", `context=${context}`],
        ...["--local", `dockerfile=${context}`, "--output", `type=oci,dest=${at(name, "out.tar")}`, ...options],
      ),
  };
};

/** A context of two steps. */
const contextOf = (name: string, second: string): string => {
  const context = at("contexts", name);
  mkdirSync(context, { recursive: true });
  writeFileSync(join(context, "Dockerfile"), "FROM scratch\nCOPY first /\nCOPY second /\n");
  // Files of one size and one time are the same to BuildKit.
  writeFileSync(join(context, "first"), `the first of ${name}`);
  writeFileSync(join(context, "second"), second);
  return context;
};

const store = new Store(at("store"));
const mount = at("mnt");

const locked = (name: string): Promise<BuildCache> =>
  buildCache.resolve(
    { kind: "build-cache", name, asked: name, folder: at("caches", name), path: ["caches", 0, "path"] },
    { localFile: (path: string) => store.add(path) } as Parameters<typeof buildCache.resolve>[1],
  );

const here = (text: string): string => text.replace(/(?<![\w$}])\/(opt|run|etc|var\/lib)\/bake/g, `${folder}/$1/bake`);

/** Lays the node's files of these caches, in the place of those before. */
const lay = (
  caches: readonly BuildCache[],
  { mirror, fromMirror = [] }: { mirror?: string; fromMirror?: string[] } = {},
): void => {
  const { profile } = substitute(readProfile());
  const plan = planFor({
    name: "2cards",
    trial: true,
    profile: {
      ...profile,
      storage: { ...profile.storage, mount },
      caches: caches.map(({ name }) => ({ name, path: name, from: fromMirror.includes(name) ? "mirror" : "image" })),
      ...(mirror !== undefined && { network: { ...profile.network, artifactMirror: mirror } }),
    },
    lock: {
      ...trialLock,
      artifacts: [...trialLock.artifacts.filter(({ kind }) => kind !== "build-cache"), ...caches],
    },
  });
  for (const { path, content } of render(plan).nodeFiles) {
    if (!/^\/(opt\/bake\/caches\.tsv|opt\/bake\/bin\/bake-caches|etc\/bake\/caches\.env)$/.test(path)) continue;
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), here(content));
    chmodSync(at(path), 0o755);
  }
};

/** What bake-caches says and ends with, with a data disk: the folder bound over itself, so that builders see it, too. */
const node = async (...words: readonly string[]): Promise<{ readonly code: number; readonly output: string }> => {
  const script = `umask 077; mount --bind "${mount}" "${mount}" && exec 2>&1 && "${at("opt/bake/bin/bake-caches")}" ${words.join(" ")}`;
  return promisify(execFile)("unshare", ["--mount", "--propagation", "private", "bash", "--norc", "-c", script]).then(
    ({ stdout }) => ({ code: 0, output: stdout }),
    (error: { code: number; stdout: string }) => ({ code: error.code, output: error.stdout }),
  );
};

const view = (agent: number, ...path: readonly string[]): string => join(mount, `docker-cache${agent}`, ...path);
const from = (agent: number): string => `--import-cache=type=local,src=${view(agent)}`;
const to = (agent: number): string => `--export-cache=type=local,dest=${view(agent)},mode=max`;
/** Files of a folder, with what is in them. */
const contents = (top: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(top, { recursive: true, encoding: "utf8" })
      .filter((path) => statSync(join(top, path)).isFile())
      .toSorted()
      .map((path) => [path, readFileSync(join(top, path), "base64")]),
  );
/** How many steps of the Dockerfile came from a cache. */
const cached = (said: string): number => {
  const steps = new Set([...said.matchAll(/^#(\d+) \[\d\/\d\] COPY /gm)].map(([, step]) => step));
  return new Set([...said.matchAll(/^#(\d+) CACHED$/gm)].map(([, step]) => step).filter((step) => steps.has(step)))
    .size;
};

needs("root", "docker", "buildkitd", "buildctl").describe("build caches", () => {
  let first: Builder;
  let second: Builder;
  let caches: readonly BuildCache[] = [];
  const one = contextOf("one", "and the second");
  const two = contextOf("other", "and another second");
  beforeAll(async () => {
    mkdirSync(mount);
    [first, second] = await Promise.all([startBuilder("first"), startBuilder("second")]);
    for (const [name, context] of [
      ["one", one],
      ["two", two],
    ] as const) {
      const said = await first.build(context, `--export-cache=type=local,dest=${at("caches", name)},mode=max`);
      expect(cached(said), said).toBe(0);
    }
    caches = [await locked("one"), await locked("two")];
  }, 90_000);
  afterAll(async () => {
    for (const buildkitd of started) await buildkitd.stop();
  });

  it("every agent has the cache, its blobs once on the disk, and a builder that never built finds every step", async () => {
    lay(caches.slice(0, 1));
    expect(await node("start")).toMatchObject({ code: 1, output: expect.stringContaining("builds begin cold") });
    expect(existsSync(view(1, "index.json"))).toBe(false);
    expect(await node("fetch", `file://${store.root}`)).toMatchObject({ code: 0 });
    expect(await node("start")).toMatchObject({ code: 0 });
    for (const agent of [1, 2, 3, 4]) {
      expect(await node("warm", String(agent))).toEqual({ code: 0, output: "warm\n" });
      for (const { digest } of caches[0]?.blobs ?? [])
        expect(statSync(view(agent, "blobs", digest.replace(":", "/")))).toMatchObject({ nlink: 5 });
      expect(statSync(view(agent, "index.json")).nlink).toBe(1);
    }
    expect(await node("whole")).toEqual({ code: 0, output: "whole\n" });
    const said = await second.build(one, from(2));
    expect(cached(said), said).toBe(2);
    // Nothing to do, nothing said.
    expect(await node("start")).toEqual({ code: 0, output: "" });
  }, 90_000);

  it("another lock reaches agents whose jobs wrote nothing: several caches are one, and each is found", async () => {
    lay(caches);
    expect(await node("fetch", `file://${store.root}`)).toMatchObject({ code: 0 });
    expect((await node("start")).output).toContain("agent 4: ");
    const third = await startBuilder("third");
    for (const context of [one, two]) {
      const said = await third.build(context, from(3));
      expect(cached(said), said).toBe(2);
    }
    expect(await node("start")).toEqual({ code: 0, output: "" });
  }, 90_000);

  it("what a job of one agent writes, no other sees, and no boot takes away", async () => {
    const others = [1, 3, 4].map((agent) => contents(view(agent)));
    const changed = contextOf("one", "a change");
    await second.build(changed, from(2), to(2));
    expect([1, 3, 4].map((agent) => contents(view(agent)))).toEqual(others);
    const own = contents(view(2));
    expect(own["index.json"]).not.toBe(others[0]?.["index.json"]);
    expect((await node("start")).output).toBe(
      "bake-caches: agent 2: a job has written a cache of its own since: it stays\n",
    );
    lay(caches.slice(0, 1));
    expect(await node("start")).toMatchObject({ code: 0 });
    expect(contents(view(2))).toEqual(own);
    expect((await node("status")).output).toMatch(
      /one: whole[^]*agent 1, .*: of this lock\n.*agent 2, .*: its own, written by a job\n/,
    );
    const fourth = await startBuilder("fourth");
    expect(cached(await fourth.build(changed, from(2)))).toBe(2);
    expect(await node("lay", "2")).toMatchObject({ code: 0 });
    expect(readFileSync(view(2, "index.json"), "utf8")).toBe(readFileSync(view(1, "index.json"), "utf8"));
  }, 90_000);

  it("a blob that was cut short takes the index along, and builds begin cold; fetched again it is warm", async () => {
    contextOf("one", "and the second");
    const [layer] = caches[0]?.blobs ?? [];
    const hex = layer?.digest.slice("sha256:".length) ?? "";
    truncateSync(join(mount, ".bake/caches/sha256", hex.slice(0, 2), hex.slice(2)), 5);
    expect(await node("warm", "3")).toEqual({ code: 1, output: "damaged\n" });
    expect(await node("start")).toMatchObject({ code: 1 });
    for (const agent of [1, 2, 3, 4]) expect(existsSync(view(agent, "index.json"))).toBe(false);
    expect(existsSync(view(3, "blobs/sha256", hex))).toBe(true);
    expect(cached(await (await startBuilder("fifth")).build(one, from(3)))).toBe(0);
    expect(await node("fetch", `file://${store.root}`)).toMatchObject({ code: 0 });
    expect(await node("start")).toMatchObject({ code: 0 });
    expect(cached(await (await startBuilder("sixth")).build(one, from(3)))).toBe(2);
  }, 90_000);

  it("a kept disk that lacks blobs gets them from the seed, and the lock's own list is not believed blindly", async () => {
    const seed = at("seed/.bake/caches");
    mkdirSync(seed, { recursive: true });
    symlinkSync(join(store.root, "sha256"), join(seed, "sha256"));
    mkdirSync(at("opt/bake/seed"));
    writeFileSync(at("opt/bake/seed/map.tsv"), "");
    const program = at("opt/bake/bin/bake-seed");
    writeFileSync(program, `#!/bin/sh\necho "$1" >>${at("asked")}\n[ "$1" = close ] || echo ${at("seed")}\n`);
    chmodSync(program, 0o755);
    const manifest = caches[0]?.manifest.digest.slice("sha256:".length) ?? "";
    const file = join(mount, ".bake/caches/sha256", manifest.slice(0, 2), manifest.slice(2));
    const bytes = readFileSync(file);
    writeFileSync(file, Buffer.alloc(bytes.length, "x"));
    expect(await node("start")).toMatchObject({ code: 1, output: expect.stringContaining("has wrong bytes") });
    expect(existsSync(view(1, "index.json"))).toBe(false);
    expect(existsSync(at("asked"))).toBe(false);
    expect(await node("start")).toMatchObject({ code: 0, output: expect.stringContaining(at("seed")) });
    expect(readFileSync(at("asked"), "utf8")).toBe("unpack\nclose\n");
    expect(await node("warm", "1")).toEqual({ code: 0, output: "warm\n" });
    rmSync(at("opt/bake/seed"), { recursive: true });
  }, 90_000);

  it("ended in the middle it leaves no unpacked seed behind", async () => {
    mkdirSync(at("opt/bake/seed"));
    writeFileSync(at("opt/bake/seed/map.tsv"), "");
    const asked = at("asked-by-ended");
    writeFileSync(at("opt/bake/bin/bake-seed"), `#!/bin/sh\necho "$1" >>${asked}\n[ "$1" = close ] || exec sleep 50\n`);
    chmodSync(at("opt/bake/bin/bake-seed"), 0o755);
    const manifest = caches[0]?.manifest.digest.slice("sha256:".length) ?? "";
    const file = join(mount, ".bake/caches/sha256", manifest.slice(0, 2), manifest.slice(2));
    const bytes = readFileSync(file);
    rmSync(file);
    const { code } = await node(
      `start & main=$!; until [ -s ${asked} ]; do sleep 0.1; done; kill $(pgrep -f '^/usr/bin/python3 -I ${at("opt/bake/bin/bake-caches")} start$'); wait $main; exit $?;`,
    );
    expect(code).toBe(143);
    expect(readFileSync(asked, "utf8")).toBe("unpack\nclose\n");
    writeFileSync(file, bytes);
    rmSync(at("opt/bake/seed"), { recursive: true });
  }, 30_000);

  it("a cache from the mirror is none of the seed's: the node fetches it, each blob compared", async () => {
    const mirror = await openMirror();
    const mine = at("mnt/.bake");
    try {
      const [, theirs] = caches;
      if (theirs === undefined) throw new Error("there are two caches");
      const [layer] = theirs.blobs;
      const hex = layer?.digest.slice("sha256:".length) ?? "";
      for (const { sha256 } of caches.flatMap(filesOf)) mirror.contents.set(sha256, readFileSync(store.path(sha256)));
      for (const gone of [mine, ...[1, 2, 3, 4].map((agent) => view(agent))])
        rmSync(gone, { recursive: true, force: true });
      // In the build VM: all that the image carries, and nothing else.
      lay(caches, { mirror: mirror.url, fromMirror: ["two"] });
      expect(await node("fetch", `file://${store.root}`, "image")).toMatchObject({ code: 0 });
      const there = (cache: BuildCache): boolean[] =>
        filesOf(cache).map(({ sha256 }) =>
          existsSync(join(mine, "caches/sha256", sha256.slice(0, 2), sha256.slice(2))),
        );
      expect(caches.slice(0, 1).flatMap(there)).not.toContain(false);
      const own = filesOf(theirs).filter(
        ({ sha256 }) =>
          !caches
            .slice(0, 1)
            .flatMap(filesOf)
            .some((each) => each.sha256 === sha256),
      );
      expect(own.length).toBeGreaterThan(0);
      expect(there(theirs).filter((each) => !each)).toHaveLength(own.length);
      expect((await node("whole")).output).toBe(
        `${own.length} of ${own.length + filesOf(caches[0] ?? theirs).length} blobs are missing\n`,
      );
      // At the first boot: the seed is not unpacked for it, and a mirror that lies is not believed.
      mkdirSync(at("opt/bake/seed"));
      writeFileSync(at("opt/bake/seed/map.tsv"), "");
      rmSync(at("asked"), { force: true });
      mirror.faults.set(hex, (content, response) => response.end(Buffer.alloc(content.length, "x")));
      expect(await node("start")).toMatchObject({
        code: 1,
        output: expect.stringContaining("has other bytes than the lock names"),
      });
      expect(existsSync(view(1, "index.json"))).toBe(false);
      mirror.faults.clear();
      expect(await node("start")).toMatchObject({ code: 0, output: expect.stringContaining(mirror.url) });
      expect(existsSync(at("asked"))).toBe(false);
      const said = await (await startBuilder("from-mirror")).build(two, from(4));
      expect(cached(said), said).toBe(2);
    } finally {
      mirror.close();
      rmSync(at("opt/bake/seed"), { recursive: true, force: true });
      lay(caches.slice(0, 1));
      await node("start");
    }
  }, 90_000);

  it("a mirror that breaks off, is slow or sends without an end: gone on with, and the disk is not filled", async () => {
    const mirror = await openMirror();
    const [cache] = caches;
    // The largest one: its part is seen.
    const blob = (cache === undefined ? [] : filesOf(cache)).toSorted((a, b) => b.size - a.size)[0];
    if (cache === undefined || blob === undefined) throw new Error("it has blobs");
    const { sha256, size } = blob;
    const file = join(mount, ".bake/caches/sha256", sha256.slice(0, 2), sha256.slice(2));
    const part = join(mount, `.bake/caches/part-${sha256}`);
    const half = Math.floor(size / 2);
    try {
      for (const each of filesOf(cache)) mirror.contents.set(each.sha256, readFileSync(store.path(each.sha256)));
      rmSync(file);
      writeFileSync(join(mount, ".bake/caches/part"), "of an earlier bake");
      writeFileSync(join(mount, `.bake/caches/part-${"0".repeat(64)}`), "of another lock");
      mirror.faults.set(sha256, (content, response) => {
        response.writeHead(200, { "content-length": size });
        response.write(content.subarray(0, half), () => response.destroy());
      });
      expect(await node("fetch", mirror.url)).toMatchObject({
        code: 1,
        output: expect.stringMatching(/: it is not to be had: curl: \(\d+\)/),
      });
      expect(readdirSync(join(mount, ".bake/caches")).filter((name) => name.startsWith("part"))).toEqual([
        `part-${sha256}`,
      ]);
      expect(statSync(part).size).toBe(half);
      mirror.faults.clear();
      mirror.asked.length = 0;
      expect(await node("fetch", mirror.url)).toMatchObject({ code: 0 });
      expect(mirror.asked).toEqual([`${sha256} ${half}`]);
      expect(existsSync(part)).toBe(false);
      // What a cut left of it are zeros, and the mirror cannot begin in the middle.
      for (const ranges of [true, false]) {
        rmSync(file);
        writeFileSync(part, Buffer.alloc(half));
        if (!ranges) mirror.faults.set(sha256, (content, response) => response.end(content));
        expect(await node("fetch", mirror.url)).toMatchObject({ code: 0 });
        expect(readFileSync(file).equals(mirror.contents.get(sha256) ?? Buffer.alloc(0))).toBe(true);
      }
      rmSync(file);
      let sent = 0;
      mirror.faults.set(sha256, (_content, response) => {
        const next = (): void => {
          sent += 65536;
          // Whoever takes all of this has no limit.
          if (!response.destroyed && sent < 64 << 20) response.write(Buffer.alloc(65536), next);
          else response.end();
        };
        next();
      });
      expect(await node("fetch", mirror.url)).toMatchObject({
        code: 1,
        output: expect.stringContaining(`${mirror.url} has more than the ${size} bytes that the lock names`),
      });
      expect(sent).toBeLessThan(64 << 20);
      expect(existsSync(part)).toBe(false);
      mirror.faults.clear();
      expect(await node("fetch", mirror.url)).toMatchObject({ code: 0 });
    } finally {
      mirror.close();
    }
  }, 60_000);

  it("without a locale it reads what names a profile in any language, as while the image is made", async () => {
    const settings = at("etc/bake/caches.env");
    const before = readFileSync(settings, "utf8");
    writeFileSync(settings, before.replace(/^# .*$/m, "# Made by bake from profile 昇腾; edit that."));
    // As Python 3.6 is there.
    const { stdout } = await promisify(execFile)(
      "/usr/bin/python3",
      ["-I", "-X", "utf8=0", at("opt/bake/bin/bake-caches"), "whole"],
      { env: { LC_ALL: "C", PATH: process.env["PATH"] ?? "" } },
    );
    expect(stdout).toBe("whole\n");
    writeFileSync(settings, before);
  });

  it("an index that a build writes just now is left alone", async () => {
    rmSync(view(3, "index.json"));
    const lock = view(3, "index.json.lock");
    const holder = spawn("bash", ["--norc", "-c", `flock "${lock}" sh -c "echo held; read -r line"`], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    expect((await node("start")).output).toContain("agent 3: a build writes to ");
    expect(existsSync(view(3, "index.json"))).toBe(false);
    holder.stdin.end("\n");
    await once(holder, "exit");
    expect(await node("start")).toMatchObject({ code: 0 });
    expect(existsSync(view(3, "index.json"))).toBe(true);
  }, 90_000);

  it("verify finds a wrong byte; a job's own index that leads to nothing goes", async () => {
    const [layer] = caches[0]?.blobs ?? [];
    const hex = layer?.digest.slice("sha256:".length) ?? "";
    expect(await node("verify")).toEqual({ code: 0, output: "bake-caches: every byte is right\n" });
    const blob = join(mount, ".bake/caches/sha256", hex.slice(0, 2), hex.slice(2));
    const bytes = readFileSync(blob);
    writeFileSync(blob, Buffer.concat([Buffer.from([(bytes[0] ?? 0) ^ 1]), bytes.subarray(1)]));
    expect(await node("start")).toEqual({ code: 0, output: "" });
    expect(await node("verify")).toMatchObject({ code: 1, output: expect.stringContaining("has wrong bytes") });
    expect(await node("warm", "1")).toEqual({ code: 1, output: "damaged\n" });
    await node("fetch", `file://${store.root}`);
    expect(await node("start")).toMatchObject({ code: 0 });
    expect(await node("verify")).toMatchObject({ code: 0 });
    // JSON of what no output can have.
    writeFileSync(view(1, "index.json"), String.raw`{"manifests":[{"digest":"sha256:\ud800 昇","size":3}]}`);
    rmSync(view(4), { recursive: true });
    writeFileSync(view(4), "a job put this here");
    expect((await node("start")).output).toMatch(/agent 1: .*index.json.damaged now[^]*docker-cache4 is not a folder/);
    for (const agent of [1, 4]) expect(await node("warm", String(agent))).toEqual({ code: 0, output: "warm\n" });
  }, 90_000);
});
