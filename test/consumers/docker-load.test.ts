/** A real dockerd loads images from blobs as registries have them. It is Debian's docker.io, unpacked. */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Blob, ContainerImage } from "../../src/artifact.ts";
import { imageReferenceOf } from "../../src/formats/image-reference.ts";
import { blobPath, dockerLoadManifest, dockerLoadMembers } from "../../src/node/images/docker-load.ts";
import { needs, toolPath } from "../needs.ts";
import { makeArchive } from "../registry.ts";

const tree = toolPath("docker");
const folder = mkdtempSync(join(tmpdir(), "bake-docker-"));
const images = join(folder, "images");
const socket = `unix://${join(folder, "sock")}`;
const env = {
  PATH: `${tree}/usr/sbin:${tree}/usr/bin:${process.env["PATH"] ?? ""}`,
  HOME: folder,
  DOCKER_HOST: socket,
};
let dockerd: ChildProcess | undefined;
let output = "";

const docker = async (...args: string[]): Promise<string> =>
  (await promisify(execFile)(join(tree, "usr/bin/docker"), args, { env, timeout: 20_000 })).stdout.trim();

const store = (bytes: Uint8Array, mediaType: string): Blob => {
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  mkdirSync(join(images, "blobs/sha256"), { recursive: true });
  writeFileSync(join(images, blobPath(digest)), bytes);
  return { digest, size: bytes.length, mediaType };
};

/** An image whose blobs lie where a node has them. */
const makeImage = (
  name: string,
  layers: readonly string[],
  compress: (bytes: Uint8Array) => Uint8Array,
): ContainerImage => {
  const work = mkdtempSync(join(folder, "image-"));
  makeArchive(work, { layers });
  const { tag, registry, repository } = imageReferenceOf(name);
  const config = store(readFileSync(join(work, "config.json")), "application/vnd.oci.image.config.v1+json");
  return {
    kind: "container-image",
    name,
    architecture: "x86_64",
    version: tag,
    asked: name,
    registry,
    repository,
    tagDigest: config.digest,
    manifest: config,
    config,
    layers: layers.map((_, index) =>
      store(compress(readFileSync(join(work, `layer-${index}.tar`))), "application/vnd.oci.image.layer.v1.tar+gzip"),
    ),
  };
};

const load = async (image: ContainerImage): Promise<string> => {
  const own = mkdtempSync(join(folder, "load-"));
  writeFileSync(join(own, "manifest.json"), dockerLoadManifest(image));
  const script = 'own=$1 images=$2; shift 2; tar -cf - -C "$own" manifest.json -C "$images" "$@" | docker load --quiet';
  const { stdout } = await promisify(execFile)("sh", ["-c", script, "load", own, images, ...dockerLoadMembers(image)], {
    env,
    timeout: 20_000,
  });
  return stdout.trim();
};

const inspect = async (reference: string): Promise<unknown> =>
  JSON.parse(
    await docker("image", "inspect", "--format", '{"id":"{{.Id}}","tags":{{json .RepoTags}}}', reference),
  ) as unknown;

// dockerd wants root.
needs("root", "docker").describe("docker load", () => {
  beforeAll(async () => {
    const child = spawn(
      join(tree, "usr/sbin/dockerd"),
      // biome-ignore format: an option and its value a line
      [
      "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs",
      "--data-root", join(folder, "data"), "--exec-root", join(folder, "exec"), "--pidfile", join(folder, "pid"),
      "--host", socket,
    ],
      { env, stdio: ["ignore", "ignore", "pipe"] },
    );
    dockerd = child;
    child.stderr.on("data", (data: Buffer) => (output += data.toString()));
    for (let tries = 0; tries < 150 && child.exitCode === null; tries++) {
      if (
        await docker("version").then(
          () => true,
          () => false,
        )
      )
        return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`dockerd did not start:\n${output}`);
  }, 30_000);

  afterAll(async () => {
    if (dockerd !== undefined && dockerd.exitCode === null) {
      const exited = once(dockerd, "exit");
      dockerd.kill("SIGTERM");
      await exited;
    }
    rmSync(folder, { recursive: true, force: true });
  });

  it("loads images that share a layer, in gzip, in zstd and plain; their IDs are those of the lock", async () => {
    const buildkit = makeImage("moby/buildkit:v0.19.0", ["one", "two"], gzipSync);
    const cann = makeImage("quay.io/ascend/cann:9.1.0", ["one", "three", "one"], gzipSync);
    const zstd = makeImage("team/zstd:1", ["two", "six"], (bytes) => execFileSync("zstd", ["-c"], { input: bytes }));
    const plain = makeImage("docker.io/library/busybox:1.36", ["two"], (bytes) => bytes);
    expect(cann.layers[0]?.digest).toBe(buildkit.layers[0]?.digest);
    expect(await load(buildkit)).toBe("Loaded image: moby/buildkit:v0.19.0");
    expect(await load(cann)).toBe("Loaded image: quay.io/ascend/cann:9.1.0");
    expect(await load(zstd)).toBe("Loaded image: team/zstd:1");
    expect(await load(plain)).toBe("Loaded image: busybox:1.36");
    expect(await inspect(buildkit.name)).toEqual({ id: buildkit.config.digest, tags: [buildkit.name] });
    expect(await inspect(cann.name)).toEqual({ id: cann.config.digest, tags: [cann.name] });
    expect(await inspect(zstd.name)).toEqual({ id: zstd.config.digest, tags: [zstd.name] });
    expect(await inspect(plain.name)).toEqual({ id: plain.config.digest, tags: ["busybox:1.36"] });
  });

  it("refuses a layer that is not the one of the configuration", async () => {
    const image = makeImage("team/changed:1", ["four"], gzipSync);
    const other = makeImage("team/other:1", ["five"], gzipSync);
    await expect(load({ ...image, layers: other.layers })).rejects.toThrow("invalid diffID for layer 0");
    await expect(inspect(image.name)).rejects.toThrow("No such image");
  });
});
