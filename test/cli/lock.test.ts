/** `bake lock` against servers in the shapes of the real ones and a real registry; then fetch, offline, outdated, update. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { BakeError } from "../../src/errors.ts";
import { followFile } from "../../src/lock/follow.ts";
import { type Lock } from "../../src/lock/lock.ts";
import { parseLock } from "../../src/lock/read.ts";
import { runProcess } from "../../src/host/host.ts";
import { root } from "../../src/host/root.ts";
import { makeArchive, push, startRegistry, type TestRegistry } from "../registry.ts";
import {
  agentRoutes,
  buildxRoutes,
  dockerStaticRoutes,
  gitHubReleasesRoutes,
  gossRoutes,
  huggingfaceRoutes,
  modelscopeAnswer,
  modelscopeListing,
  modelscopeRoutes,
  openEulerRoutes,
  type ReleaseServer,
  type Routes,
  startReleaseServer,
} from "../release-server.ts";
import { needs, toolPath } from "../needs.ts";

const { describe, test } = needs("crane", "docker-registry");

const commit = (digit: string): string => digit.repeat(40);
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

const docker = dockerStaticRoutes({
  "27.5.0": "docker 27.5.0",
  "27.5.1": "docker 27.5.1",
  "28.5.2": "28",
  "29.0.0": "29",
});
/** Of the first file the hub gives no digest. */
const qwen = (weights: string, at: string): Routes => {
  const [name, files] = [
    "Qwen/Qwen3-0.6B",
    [
      { path: "config.json", bytes: "{}", commit: commit("a") },
      { path: "model.safetensors", bytes: weights, commit: commit(at) },
    ],
  ] as const;
  const { Files, ...listing } = modelscopeListing(files, commit(at));
  return {
    ...modelscopeRoutes(name, "master", commit(at), files),
    [`/modelscope/api/v1/models/${name}/repo/files?Revision=master&Recursive=True`]: modelscopeAnswer({
      ...listing,
      Files: Files.map((file) => (file.Path === "config.json" ? { ...file, Sha256: "" } : file)),
    }),
  };
};
const models = (weights: string, at: string): Routes => ({
  ...qwen(weights, at),
  ...huggingfaceRoutes("org/small", "main", commit("c"), [
    { path: "config.json", bytes: "{ }", commit: commit("c") },
    { path: "model.safetensors", bytes: "weights of another", commit: commit("c"), large: true },
  ]),
});
const routes: Routes = {
  ...docker,
  ...buildxRoutes("0.20.0", { x86_64: "buildx" }),
  ...agentRoutes("3.137.0", { x86_64: "agent" }),
  ...gossRoutes("0.4.9", { x86_64: "goss" }),
  ...gitHubReleasesRoutes("docker/buildx", [["v0.21.0", "v0.20.1", "v0.20.0", "v0.13.1"]]),
  ...gitHubReleasesRoutes("buildkite/agent", [["v4.0.0", "v3.138.0", "v3.137.0"]]),
  ...gitHubReleasesRoutes("goss-org/goss", [["v0.4.9"]]),
  ...openEulerRoutes("22.03-LTS-SP4", "a disk"),
  ...models("weights", "b"),
  "/files/tool": "a tool",
  "/files/small@1.tgz": "a small one",
  "/files/SHA256SUMS": `${sha256("a tool")}  tool\n`,
};

/** Of a URL in the profile: nothing may say it. */
const signature = "signed-for-one-day";

let folder = "";
let registry: TestRegistry;
let server: ReleaseServer;
let live: Record<string, Routes[string]> = {};

const run = async (...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> => {
  const child = spawn(process.execPath, [join(root, "bin/cli.cjs"), ...args], {
    cwd: folder,
    env: {
      PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}`,
      HOME: folder,
      XDG_CACHE_HOME: join(folder, "cache"),
    },
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const [status] = (await once(child, "close")) as [number | null];
  return { status, stdout, stderr };
};

const pushImage = async (reference: string, layers: readonly string[]): Promise<void> => {
  const work = mkdtempSync(join(folder, "image-"));
  await push(makeArchive(work, { layers }), `${registry.host}/${reference}`);
};
const lockText = (): string => readFileSync(join(folder, "site.lock.json"), "utf8");
const lock = (): Lock => parseLock(lockText(), "site.lock.json");

const writeProfile = (more = ""): void => {
  const { origin } = server;
  const sources = Object.fromEntries(Object.entries(server.sources).filter(([name]) => !more.includes(`  ${name}:`)));
  writeFileSync(
    join(folder, "site.yaml"),
    `extends: 2cards
docker: { version: 27.5.x }
images: ["quay.io/ascend/cann:9.0.1"]
models:
  - { modelscope: Qwen/Qwen3-0.6B }
  - { huggingface: org/small }
files:
  - { url: "${origin}/files/tool", path: /opt/site/tool, mode: "0755", checksums: "${origin}/files/SHA256SUMS" }
  - { url: "${origin}/files/small@1.tgz?X-Signature=${signature}", path: /opt/site/small }
sources:
${Object.entries(sources)
  .flatMap(([name, url]) => (typeof url === "string" ? [`  ${name}: ${url}`] : []))
  .join("\n")}
  registries: { docker.io: ["${registry.host}"], quay.io: ["${registry.host}"] }
${more}`,
  );
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "bake-lock-"));
  registry = await startRegistry(join(folder, "registry"), "open");
  live = { ...routes };
  server = await startReleaseServer(live);
  // Not built anew in this cache.
  mkdirSync(join(folder, "bin"));
  symlinkSync(toolPath("crane"), join(folder, "bin/crane"));
  await pushImage("moby/buildkit:v0.19.0", ["one", "two"]);
  await pushImage("ascend/cann:9.0.1", ["one", "three"]);
  await pushImage("ascend/cann:9.1.0", ["one", "four"]);
  writeProfile();
});
afterAll(async () => {
  await server.close();
  await registry.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe("one after the other", () => {
  test("lock asks every source, and names every byte", async () => {
    const { status, stdout, stderr } = await run("lock", "--profile", "site.yaml");
    expect(stderr).not.toContain("error");
    expect(status).toBe(0);
    expect(stdout).toContain(
      "  trusted on first use, since nobody publishes a digest: docker, opt/site/small, Qwen/Qwen3-0.6B config.json\n",
    );
    expect(stderr).toContain(`  asking for opt/site/small ${server.origin}/files/small@1.tgz?…\n`);
    expect(stdout + stderr).not.toContain(signature);
    expect(stdout).toMatch(/^site\.lock\.json: 11 artifacts, .* in all$/m);
    const found = Object.fromEntries(lock().artifacts.map((each) => [each.name, each]));
    expect(found["docker"]).toMatchObject({
      version: "27.5.1",
      asked: "27.5.x",
      trust: "first-use",
      sha256: sha256("docker 27.5.1"),
      size: 13,
    });
    expect(found["buildx"]).toMatchObject({ version: "0.20.0", trust: "checksums", sha256: sha256("buildx"), size: 6 });
    expect(found["buildkite-agent"]).toMatchObject({ version: "3.137.0", sha256: sha256("agent") });
    expect(found["opt/site/tool"]).toMatchObject({ kind: "file", sha256: sha256("a tool"), trust: "checksums" });
    expect(found["openeuler-22.03-lts-sp4"]).toMatchObject({
      kind: "base",
      format: "qcow2.xz",
      sha256: sha256("a disk"),
    });
    expect(found["Qwen/Qwen3-0.6B"]).toMatchObject({
      kind: "model",
      hub: "modelscope",
      version: commit("b"),
      asked: "master",
    });
    expect(found["org/small"]).toMatchObject({ kind: "model", hub: "huggingface", version: commit("c") });
    const [buildkit, cann] = [found["moby/buildkit:v0.19.0"], found["quay.io/ascend/cann:9.0.1"]];
    if (buildkit?.kind !== "container-image" || cann?.kind !== "container-image") throw new Error("no images");
    // The registry's own name, whatever mirror was asked.
    expect([buildkit.registry, buildkit.repository, cann.registry]).toEqual(["docker.io", "moby/buildkit", "quay.io"]);
    expect(cann.layers[0]).toEqual(buildkit.layers[0]);
    expect(lockText()).not.toContain("bearer");
  });

  test("again it asks nobody and changes nothing; --check says so too", async () => {
    const before = { text: lockText(), requests: server.requests.length };
    const again = await run("lock", "--profile", "site.yaml");
    expect(again).toMatchObject({ status: 0, stdout: "site.lock.json: 11 artifacts, nothing changed\n" });
    expect(again.stderr).not.toContain("asking");
    expect(await run("lock", "--profile", "site.yaml", "--check")).toMatchObject({
      status: 0,
      stdout: "site.lock.json: ok\n",
    });
    expect({ text: lockText(), requests: server.requests.length }).toEqual(before);
  });

  test("fetch fills the store from all of them, layers that images share once; then no network is needed", async () => {
    const { status, stdout, stderr } = await run("fetch", "--profile", "site.yaml");
    expect(stderr).not.toContain("error");
    expect(status).toBe(0);
    expect(stdout).toMatch(/\d+ fetched \(.*\), \d+ were there/);
    expect(await run("fetch", "--profile", "site.yaml", "--offline")).toMatchObject({ status: 0 });
    expect((await run("store", "verify")).status).toBe(0);
  });

  test("render names the exact version, and the node carries the file", async () => {
    expect((await run("render", "--profile", "site.yaml")).status).toBe(0);
    const plan = JSON.parse(readFileSync(join(folder, "out/site/plan.json"), "utf8")) as {
      facts: { docker: { version: string } };
    };
    expect(plan.facts.docker.version).toBe("27.5.1");
    expect(readFileSync(join(folder, "out/site/provision/artifacts.tsv"), "utf8")).toContain(
      `file\topt/site/tool\t${sha256("a tool")}\t/opt/site/tool\t0755\n`,
    );
  });

  test("--outdated: newer releases and images, a tag that moved, a model that changed; it writes nothing", async () => {
    await pushImage("moby/buildkit:v0.19.0", ["one", "other"]);
    Object.assign(live, models("new weights", "d"));
    const before = lockText();
    const { status, stdout, stderr } = await run("lock", "--profile", "site.yaml", "--outdated");
    expect(status, stderr).toBe(1);
    const lines = stdout.split("\n").filter((line) => /^ {2}\S/.test(line));
    expect(lines).toEqual([
      "  docker (x86_64): newer version: 27.5.1 -> 28.5.2",
      "  buildx (x86_64): newer version: 0.20.0 -> 0.20.1",
      "  buildkite-agent (x86_64): newer version: 3.137.0 -> 3.138.0",
      expect.stringMatching(/^ {2}moby\/buildkit:v0\.19\.0 \(x86_64\): tag moved: v0\.19\.0 -> sha256:[0-9a-f]{64}$/),
      "  quay.io/ascend/cann:9.0.1 (x86_64): newer version: 9.0.1 -> 9.1.0",
      `  Qwen/Qwen3-0.6B: files changed: ${commit("b")} -> ${commit("d")}`,
    ]);
    expect(stdout).toContain(
      "      together with buildx 0.24.0, its pair; Docker 28.5.2 was not tried on such hosts\n",
    );
    expect(stdout).toContain("      changed: model.safetensors\n      site.yaml:5:19\n");
    expect(lockText()).toBe(before);
  });

  test("--outdated without a network is a failure, not findings", async () => {
    writeProfile("  releases: http://127.0.0.1:1\n  docker: http://127.0.0.1:1\n");
    try {
      const { status, stdout } = await run("lock", "--profile", "site.yaml", "--outdated", "--json");
      const { findings } = JSON.parse(stdout) as { findings: { name: string; what: string }[] };
      expect(findings).toContainEqual(expect.objectContaining({ name: "docker", what: "not answered" }));
      expect(status).toBe(2);
    } finally {
      writeProfile();
    }
  });

  test("another query of a file's URL is told without it", async () => {
    const [url, query] = [`${server.origin}/files/small@1.tgz`, "X-Signature=signed-for-another"];
    writeProfile();
    const text = readFileSync(join(folder, "site.yaml"), "utf8");
    writeFileSync(join(folder, "site.yaml"), text.replace(/X-Signature=[^"]*/, query));
    const check = await run("lock", "--profile", "site.yaml", "--check");
    expect(check.status).toBe(1);
    expect(check.stderr).toContain(`error[BK205]: site.lock.json does not hold opt/site/small ${url}?…\n`);
    expect(check.stderr).toMatch(/^9 \| {3}- \{ url: ".*\/files\/small@1\.tgz\?\*+, path: \/opt\/site\/small \}$/m);
    expect(check.stderr).toMatch(/\^+ the lock was made for another query of this URL$/m);
    const outdated = await run("lock", "--profile", "site.yaml", "--outdated");
    expect(outdated.stdout).toContain(`  opt/site/small: not in the lock: ${url}?…\n`);
    expect([check, outdated].map(({ stdout, stderr }) => stdout + stderr).join("")).not.toContain("signed-for");
    writeProfile();
  });

  test("--update of one name asks for that alone", async () => {
    const before = lock();
    const { status, stdout } = await run("lock", "--profile", "site.yaml", "--update", "Qwen/Qwen3-0.6B");
    expect(status).toBe(0);
    expect(stdout).toContain(`~ Qwen/Qwen3-0.6B  ${commit("b")} -> ${commit("d")}`);
    const changed = lock().artifacts.filter(
      (each, index) => JSON.stringify(each) !== JSON.stringify(before.artifacts[index]),
    );
    expect(changed.map(({ name }) => name)).toEqual(["Qwen/Qwen3-0.6B"]);
    const wrong = await run("lock", "--profile", "site.yaml", "--update", "dokcer");
    expect(wrong.stderr).toContain("error[BK131]: --update: the profile asks for no dokcer\n  Did you mean docker?");
  });

  test("a smallest data disk without room for all of it is told when the lock is made, and by --check", async () => {
    writeProfile("storage: { minSize: 12 }\n");
    try {
      for (const args of [[], ["--check"]]) {
        const { status, stderr } = await run("lock", "--profile", "site.yaml", ...args);
        expect({ args, status }).toEqual({ args, status: 0 });
        expect(stderr).toMatch(/^warning\[BK127\]: images \(.*\) do not fit into storage\.minSize \(12 GiB\)$/m);
      }
    } finally {
      writeProfile();
    }
  });

  test("what a source does not have is told at the profile's line, and the lock stays as it was", async () => {
    const before = lockText();
    writeProfile('checks: { gossVersion: 0.9.9 }\nbuilders: { image: "moby/buildkit:v0.99.0" }\n');
    const { status, stderr } = await run("lock", "--profile", "site.yaml");
    expect(status).toBe(1);
    expect(stderr).toContain(
      `error[BK230]: ${server.origin}/goss-org/goss/releases/download/v0.9.9/goss-linux-amd64.sha256 answers 404 Not Found\n`,
    );
    expect(stderr).toMatch(/ --> site\.yaml:20:24\n/);
    expect(stderr).toMatch(/error\[BK25\d\]: .*moby\/buildkit:v0\.99\.0/);
    expect(stderr).toMatch(/ --> site\.yaml:21:20\n/);
    expect(lockText()).toBe(before);
    writeProfile();
  });
});

test("what CI uses is read out of a file of a git repository", async () => {
  const repository = join(folder, "ci");
  mkdirSync(join(repository, "tests"), { recursive: true });
  writeFileSync(join(repository, "tests/vllm.cfg"), 'BASE_IMAGE_NAME="quay.io/ascend/cann:9.2.0"\n');
  const host = {
    run: runProcess(new AbortController().signal),
  } as Parameters<typeof followFile>[0];
  const git = (...args: string[]) =>
    host.run("git", ["-C", repository, "-c", "user.name=a", "-c", "user.email=a@example.com", ...args]);
  await git("init", "--quiet", "--initial-branch=main");
  await git("add", ".");
  await git("commit", "--quiet", "--message=one");
  const follows = {
    repository: `file://${repository}`,
    branch: "main",
    file: "tests/vllm.cfg",
    variable: "BASE_IMAGE_NAME",
  };
  expect(await followFile(host, follows)).toBe("quay.io/ascend/cann:9.2.0");
  await expect(followFile(host, { ...follows, branch: "no" })).rejects.toThrow(
    `branch no of file://${repository} could not be fetched: couldn't find remote ref refs/heads/no`,
  );
  await expect(followFile(host, { ...follows, file: "no.cfg" })).rejects.toThrow(
    `file://${repository} has no no.cfg on main: path 'no.cfg' does not exist in 'FETCH_HEAD'`,
  );
  await expect(followFile(host, { ...follows, repository: `${server.origin}/ci.git?private=1` })).rejects.toMatchObject(
    {
      code: "BK209",
      message: expect.stringMatching(
        /^branch main of \S+ could not be fetched: repository 'http:\/\/127\.0\.0\.1:\d+\/ci\.git\?…' not found$/,
      ) as string,
    },
  );
  await expect(followFile(host, { ...follows, variable: "NO" })).rejects.toThrow(
    `tests/vllm.cfg of file://${repository} assigns nothing to NO`,
  );
});

test.each([
  [
    "advice behind the reason",
    "git@example.com: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.",
    "Could not read from remote repository.",
  ],
  [
    "credentials",
    "fatal: unable to access 'https://user:EXAMPLE@example.com/r.git?token=EXAMPLE/': Could not resolve host: example.com",
    "unable to access 'https://example.com/r.git?…': Could not resolve host: example.com",
  ],
  ["a token by itself", "remote: ghp_EXAMPLE0000 is no token", "remote: *** is no token"],
  ["with the file that has all of it", "remote: one\nremote: two\nlog: /cache/log/git-1.log", "remote: two"],
  ["nothing", "", "timed out"],
])("git's reason is kept: %s", async (_, said, reason) => {
  const answers = (_file: string, args: readonly string[]) =>
    args.includes("fetch")
      ? Promise.reject(new BakeError("BK302", "git -C folder fetch: timed out", said))
      : Promise.resolve({ exitCode: 0, stdout: "", stderr: "" });
  const host = { run: answers } as unknown as Parameters<typeof followFile>[0];
  await expect(
    followFile(host, { repository: "https://example.com/r.git", branch: "main", file: "a", variable: "A" }),
  ).rejects.toThrow(`branch main of https://example.com/r.git could not be fetched: ${reason}`);
});

test("git that is not there is told as what it is", async () => {
  const missing = () => Promise.reject(new BakeError("BK301", "git: command not found"));
  const host = { run: missing } as unknown as Parameters<typeof followFile>[0];
  await expect(
    followFile(host, { repository: "https://example.com/r.git", branch: "main", file: "a", variable: "A" }),
  ).rejects.toThrow("git: command not found");
});
