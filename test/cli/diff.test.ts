/** `bake diff` as a user runs it: locks, profiles, images. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Artifact, type ContainerImage, type Release } from "../../src/artifact.ts";
import { formatLock, type Lock } from "../../src/lock/lock.ts";
import { root } from "../../src/host/root.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-diff-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const diff = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(join(root, "bin/bake"), ["diff", ...args], {
    cwd: folder,
    encoding: "utf8",
  });
  return { status, stdout, stderr: stderr.replace("bake: bundling the CLI\n", "") };
};

const release = (kind: Release["kind"], name: string, version: string, size: number, digit: string): Release => ({
  kind,
  name,
  architecture: "x86_64",
  version,
  asked: version,
  url: `https://example.com/${name}-${version}`,
  size,
  sha256: digit.repeat(64),
  trust: "checksums",
});
const blob = (digit: string, size: number) => ({ digest: `sha256:${digit.repeat(64)}`, size, mediaType: "layer" });
const image = (
  repository: string,
  tag: string,
  layers: readonly (readonly [string, number])[],
  digit: string,
): ContainerImage => ({
  kind: "container-image",
  name: `${repository}:${tag}`,
  architecture: "x86_64",
  version: tag,
  asked: `${repository}:${tag}`,
  registry: "quay.io",
  repository,
  tagDigest: `sha256:${digit.repeat(64)}`,
  manifest: blob(digit, 1000),
  config: blob(digit === "a" ? "c" : "d", 2000),
  layers: layers.map(([each, size]) => blob(each, size)),
});
const lock = (name: string, artifacts: readonly Artifact[]): string => {
  const text: Lock = { lockVersion: 1, profile: name, artifacts: [...artifacts] };
  writeFileSync(join(folder, `${name}.lock.json`), formatLock(text));
  return `${name}.lock.json`;
};

const old = (): string =>
  lock("old", [
    release("docker-static", "docker", "26.1.3", 68_400_000, "1"),
    release("buildx", "buildx", "0.13.1", 53_000_000, "2"),
    release("goss", "goss", "0.4.9", 15_000_000, "3"),
    image(
      "ascend/cann",
      "9.0.1",
      [
        ["4", 1_000_000_000],
        ["5", 2_000_000_000],
      ],
      "a",
    ),
  ]);

test("two locks: versions, sizes, and how much of an image is new", () => {
  const now = lock("now", [
    release("docker-static", "docker", "27.5.1", 75_100_000, "6"),
    release("buildx", "buildx", "0.20.0", 60_000_000, "7"),
    release("goss", "goss", "0.4.9", 15_000_000, "3"),
    image(
      "ascend/cann",
      "9.1.0",
      [
        ["4", 1_000_000_000],
        ["8", 2_500_000_000],
      ],
      "b",
    ),
    image("moby/buildkit", "v0.19.0", [["9", 90_000_000]], "b"),
  ]);
  const { status, stdout, stderr } = diff(old(), now);
  expect(stderr).toBe("");
  expect(status).toBe(1);
  expect(stdout).toBe(`from lock old.lock.json
to   lock now.lock.json

artifacts
  ~ buildx (x86_64)  0.13.1 -> 0.20.0  53.0 MB -> 60.0 MB (+7.0 MB)
  ~ ascend/cann:9.1.0 (x86_64)  9.0.1 -> 9.1.0  3.00 GB -> 3.50 GB (+500.0 MB)  2.50 GB of it new
  + moby/buildkit:v0.19.0 (x86_64)  v0.19.0  90.0 MB
  ~ docker (x86_64)  26.1.3 -> 27.5.1  68.4 MB -> 75.1 MB (+6.7 MB)
  all of them: 3.14 GB -> 3.74 GB (+603.7 MB), 2.73 GB to download
`);
});

test("the same version with other bytes is told by its digest; what goes is told too", () => {
  const now = lock("now", [release("goss", "goss", "0.4.9", 15_000_000, "f")]);
  expect(
    diff(
      lock("before", [
        release("goss", "goss", "0.4.9", 15_000_000, "3"),
        release("buildx", "buildx", "0.13.1", 1000, "2"),
      ]),
      now,
    ).stdout,
  ).toBe(
    `from lock before.lock.json
to   lock now.lock.json

artifacts
  - buildx (x86_64)  0.13.1  1.0 kB
  ~ goss (x86_64)  0.4.9, other bytes: sha256:333333333333 -> sha256:ffffffffffff  15.0 MB -> 15.0 MB (+0 B)
  all of them: 15.0 MB -> 15.0 MB (-1.0 kB), 15.0 MB to download
`,
  );
});

test("nothing differs: exit 0", () => {
  const same = diff(old(), "old.lock.json");
  expect(same.status).toBe(0);
  expect(same.stdout).toContain("artifacts\n  the same\n");
});

test("two profiles: settings, and files of the node", () => {
  const { status, stdout } = diff("2cards", "4cards");
  expect(status).toBe(1);
  expect(stdout).toContain("settings\n  agents.cards: 2 -> 4\n  agents.spawn: 4 -> 2\n");
  expect(stdout).toContain("files of the node\n");
  expect(stdout).toMatch(/\n {2}~ \/root\/\.buildkite-agent\/buildkite-agent\.cfg\n {6}@@ /);
  expect(stdout).toMatch(/\n {6}-spawn="4"\n(?: {6}\S.*\n)* {6}\+spawn="2"\n/);
  const names = diff("2cards", "4cards", "--names").stdout;
  expect(names).toMatch(/\n {2}~ \/root\/\.buildkite-agent\/buildkite-agent\.cfg\n(?: {2}[~+-] |\n)/);
  const { files } = JSON.parse(diff("2cards", "4cards", "--json").stdout) as {
    files: { path: string; diff: string }[];
  };
  expect(files.find(({ path }) => path.endsWith("buildkite-agent.cfg"))?.diff).toMatch(
    /\n-spawn="4"\n[^]*\n\+spawn="2"\n/,
  );
  expect(stdout).toContain("artifacts\n  not compared: a profile without a lock says nothing about bytes\n");
});

test("what is added to a list or taken from it is told as that, wherever it stands", () => {
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, `${name}.yaml`), `extends: 2cards\n${text}`);
    return `${name}.yaml`;
  };
  const none = write("none", "images: [quay.io/a/one:1, quay.io/a/two:1]\n");
  const one = write("one", "models: [{ modelscope: Qwen/Qwen3-0.6B }]\nimages: [quay.io/a/two:1]\n");
  const added = diff(none, one);
  expect(added.stdout).toContain(
    'settings\n  - images[0]: "quay.io/a/one:1"\n  + models[0]: {"modelscope":"Qwen/Qwen3-0.6B","from":"image"}\n\n',
  );
  const { settings } = JSON.parse(diff(none, one, "--json").stdout) as { settings: unknown };
  expect(settings).toEqual([
    { path: "images[0]", from: '"quay.io/a/one:1"', entry: true },
    { path: "models[0]", to: '{"modelscope":"Qwen/Qwen3-0.6B","from":"image"}', entry: true },
  ]);
  expect(diff(one, none).stdout).toContain('  - models[0]: {"modelscope":"Qwen/Qwen3-0.6B","from":"image"}\n');
  const mirrored = write(
    "mirrored",
    "images: [{ image: quay.io/a/one:1, from: mirror }, { image: quay.io/a/two:1 }]\nnetwork: { artifactMirror: http://10.0.0.9 }\n",
  );
  expect(diff(none, mirrored).stdout).toContain(
    'settings\n  - images[0]: "quay.io/a/one:1"\n  + images[0]: {"image":"quay.io/a/one:1","from":"mirror"}\n  network.artifactMirror: not set -> "http://10.0.0.9"\n',
  );
  // One that stays keeps quiet, wherever it stands; a section that was not there is told setting by setting.
  const two = write(
    "two",
    "models: [{ huggingface: org/small }, { modelscope: Qwen/Qwen3-0.6B }]\nimages: [quay.io/a/two:1]\n",
  );
  expect(diff(one, two).stdout).toContain('settings\n  + models[0]: {"huggingface":"org/small","from":"image"}\n\n');
  const proxied = write(
    "proxied",
    "images: [quay.io/a/two:1, quay.io/a/one:1]\nnetwork: { httpProxy: { url: 'http://proxy.example.com:3128' } }\n",
  );
  expect(diff(none, proxied).stdout).toContain(
    'settings\n  images: ["quay.io/a/one:1","quay.io/a/two:1"] -> ["quay.io/a/two:1","quay.io/a/one:1"]\n  network.httpProxy.except: not set -> []\n  network.httpProxy.url: not set -> "http://proxy.example.com:3128"\n\n',
  );
});

test("an image and a lock are compared by digest, as JSON", () => {
  mkdirSync(join(folder, "out/site"), { recursive: true });
  writeFileSync(
    join(folder, "out/site/image.json"),
    JSON.stringify({
      bakeId: "id",
      base: { name: "base", sha256: "b".repeat(64) },
      artifacts: [
        { name: "docker", version: "26.1.3", sha256: "1".repeat(64) },
        { name: "goss", version: "0.4.8", sha256: "e".repeat(64) },
      ],
    }),
  );
  const now = lock("now", [
    release("docker-static", "docker", "26.1.3", 1, "1"),
    release("goss", "goss", "0.4.9", 1, "3"),
  ]);
  const { status, stdout } = diff("out/site", now, "--json");
  expect(status).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({
    differs: true,
    artifacts: { changes: [{ change: "changed", name: "goss", from: { version: "0.4.8" }, to: { version: "0.4.9" } }] },
  });
});

test("a profile that has gone on without its lock is not the same as its lock", () => {
  writeFileSync(join(folder, "site.yaml"), "extends: 2cards\n");
  const locked = lock("site", [release("buildx", "buildx", "0.19.0", 1000, "2")]);
  const { status, stdout, stderr } = diff(locked, "site.yaml");
  expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
  expect(stdout).toContain("artifacts\n  not compared: bake lock first, a profile has gone on without its lock\n");
  expect(stdout).toContain("\n  site.lock.json does not hold buildx 0.20.0 for x86_64\n");
  expect(stdout).not.toContain("the same");
  const json = JSON.parse(diff(locked, "site.yaml", "--json").stdout) as { differs: boolean; stale: string[] };
  expect(json.differs).toBe(true);
  expect(json.stale.some((each) => each.includes("buildx 0.20.0"))).toBe(true);
});

test("what is neither lock nor image nor profile is a failure", () => {
  expect(diff("nothing.lock.json", "2cards")).toMatchObject({
    status: 2,
    stderr: "error[BK520]: there is no lock nothing.lock.json\n",
  });
  writeFileSync(join(folder, "image.json"), "{}");
  // As after bake render alone.
  mkdirSync(join(folder, "out/2cards"), { recursive: true });
  mkdirSync(join(folder, "2cards"));
  const rendered = diff("out/2cards", "2cards");
  expect(rendered.status).toBe(2);
  expect(rendered.stderr).toMatch(
    /^error\[BK520\]: there is no image in out\/2cards: it has no image\.json\n {2}bake image /,
  );
  expect(diff("2cards", "2cards").status).toBe(0);
  expect(diff("image.json", "2cards").stderr).toBe("error[BK520]: image.json is no image.json of a bake\n");
});
