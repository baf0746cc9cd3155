import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Host, runProcess } from "../../src/host/host.ts";
import { root } from "../../src/host/root.ts";
import { system } from "../../src/host/system.ts";
import { sha256File } from "../../src/store/store.ts";
import { isAtLeast } from "../../src/formats/version.ts";
import { readPins } from "../../src/toolchain/go.ts";
import { parseDebName } from "../../src/trial/debian.ts";
import { imageConfig, type PackedImage, packImage } from "../../src/trial/docker-archive.ts";
import { trialVersions } from "../../src/trial/substitutions.ts";

const { signal } = new AbortController();

const realHost = (cacheDir: string): Host => ({
  ...system,
  run: runProcess(signal),
  env: process.env,
  cacheDir,
  signal,
  progress: { note: () => undefined, step: (_id, _title, work) => work(() => undefined) },
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "docker-archive-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** The same tree, made in another order, at another time, under another umask. */
const makeTree = async (name: string, other: boolean): Promise<string> => {
  const tree = join(folder, name);
  const files = ["bin/tool", "etc/passwd"];
  for (const file of other ? files.toReversed() : files) {
    await mkdir(join(tree, file, ".."), { recursive: true });
    await writeFile(join(tree, file), `${file}\n`);
    await utimes(join(tree, file), 1, other ? 2 : 3);
  }
  await chmod(join(tree, "bin/tool"), other ? 0o700 : 0o755);
  await chmod(join(tree, "etc/passwd"), other ? 0o600 : 0o664);
  await chmod(join(tree, "etc"), other ? 0o700 : 0o755);
  await mkdir(join(tree, "tmp"));
  await chmod(join(tree, "tmp"), other ? 0o1755 : 0o1777);
  await symlink("tool", join(tree, "bin/link"));
  return tree;
};

const pack = async (name: string, other: boolean): Promise<PackedImage> => {
  const work = join(folder, `${name}-work`);
  return packImage(realHost(folder), {
    tree: await makeTree(name, other),
    folder: work,
    architecture: "x86_64",
    config: { Cmd: ["sh"], Env: ["PATH=/bin"] },
  });
};

const members = async (archive: string, ...flags: string[]): Promise<string[]> =>
  (await realHost(folder).run("tar", ["-tf", archive, ...flags])).stdout.trimEnd().split("\n");

describe("docker archive", () => {
  it("has a configuration that names the layer, and a manifest that names both", () => {
    const config: unknown = JSON.parse(imageConfig({ Entrypoint: ["buildkitd"], Env: ["A=1"] }, "ab".repeat(32)));
    expect(config).toMatchObject({
      architecture: "amd64",
      os: "linux",
      config: { Entrypoint: ["buildkitd"], Env: ["A=1"] },
      rootfs: { type: "layers", diff_ids: [`sha256:${"ab".repeat(32)}`] },
    });
  });

  it("is the same bytes whatever order, time and umask the tree was made with", async () => {
    const one = await pack("one", false);
    const two = await pack("two", true);
    expect(two.manifest).toEqual(one.manifest);
    expect(two.layer.digest).toBe(one.layer.digest);
  });

  it("holds what its manifest says: the image ID and the layer's digest are those of the bytes", async () => {
    const { manifest, config, layer } = await pack("one", false);
    const { sha256, size } = await sha256File(layer.file);
    expect(layer).toMatchObject({ digest: `sha256:${sha256}`, size });
    expect(config.digest).toBe(`sha256:${createHash("sha256").update(config.text).digest("hex")}`);
    expect(JSON.parse(config.text)).toMatchObject({ rootfs: { diff_ids: [layer.digest] } });
    const { file: _file, ...described } = layer;
    expect(JSON.parse(manifest.text)).toEqual({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: { mediaType: config.mediaType, digest: config.digest, size: config.size },
      layers: [described],
    });
  });

  it("opens a sticky folder to all and gives every file to root", async () => {
    const { layer } = await pack("one", true);
    const lines = await members(layer.file, "-v", "--numeric-owner");
    expect(lines.find((line) => line.endsWith("./tmp/"))).toMatch(/^drwxrwxrwt 0\/0/);
    expect(lines.find((line) => line.endsWith("./bin/tool"))).toMatch(/^-rwxr-xr-x 0\/0/);
    expect(lines.find((line) => line.endsWith("./etc/passwd"))).toMatch(/^-rw-r--r-- 0\/0/);
  });
});

describe("versions", () => {
  it.each([
    ["1.11.2", "1.11", true],
    ["1.11", "1.11.0", true],
    ["1.9.5", "1.11", false],
    ["1.24.0", "1.24.3", false],
    ["2", "1.99", true],
  ])("%s is at least %s: %s", (a, b, expected) => {
    expect(isAtLeast(a, b)).toBe(expected);
  });

  it.each([
    ["goss", "github.com/goss-org/goss", trialVersions.goss],
    ["buildkite-agent", "github.com/buildkite/agent/v3", trialVersions.agent],
    ["buildkit", "github.com/moby/buildkit", trialVersions.buildkitImage.replace("moby/buildkit:v", "")],
  ])("toolchain/%s pins what a trial says", async (tool, module, version) => {
    const pins = readPins(await readFile(join(root, "toolchain", tool, "go.mod"), "utf8"), module);
    expect(pins.version).toBe(version);
    expect(isAtLeast(pins.go, "1.24")).toBe(true);
  });

  it("are read from apt's file names", () => {
    expect(parseDebName("docker.io_26.1.5+dfsg1-9+b11_amd64.deb")).toEqual({
      name: "docker.io",
      version: "26.1.5+dfsg1-9+b11",
    });
    expect(parseDebName("golang-go_2%3a1.24~2_amd64.deb")).toEqual({ name: "golang-go", version: "1.24~2" });
    expect(parseDebName("lock")).toBeUndefined();
  });
});
