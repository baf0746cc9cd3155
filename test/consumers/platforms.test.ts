/** Platforms of an index in all their spellings: the lock takes what Docker takes, and the same image of several. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Architecture } from "../../src/artifact.ts";
import { BakeError } from "../../src/errors.ts";
import { resolveImage } from "../../src/lock/sources/oci.ts";
import type { Registry } from "../../src/lock/sources/registry.ts";
import { type DockerDaemon, startDockerDaemon } from "../docker-daemon.ts";
import { needs } from "../needs.ts";
import { makeArchive, push, putManifest, startRegistry, type TestRegistry } from "../registry.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-platforms-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const manifestType = "application/vnd.oci.image.manifest.v1+json";
const indexType = "application/vnd.oci.image.index.v1+json";

interface Entry {
  readonly platform?: object;
  /** Of the image's configuration, and a layer that tells images apart. */
  readonly image: readonly [architecture: string, layer: string];
  readonly annotations?: object;
}
const arm = (platform: object = {}, layer = "one", architecture = "arm64"): Entry => ({
  platform: { os: "linux", architecture: "arm64", ...platform },
  image: [architecture, layer],
});

/** By tag: what the index lists, and for which of our architectures it is to be found there. */
const cases: Readonly<
  Record<
    string,
    // `newer`: this Docker does not know the spelling yet, later ones do.
    { readonly entries: readonly Entry[]; readonly for: readonly Architecture[]; readonly newer?: true }
  >
> = {
  plain: { entries: [arm()], for: ["aarch64"] },
  v8: { entries: [arm({ variant: "v8" })], for: ["aarch64"] },
  "empty-variant": {
    entries: [
      { platform: { os: "linux", architecture: "amd64", variant: "" }, image: ["amd64", "one"] },
      arm({ variant: "" }),
    ],
    for: ["x86_64", "aarch64"],
  },
  "variant-8": { entries: [arm({ variant: "8" })], for: ["aarch64"] },
  "variant-8.0": { entries: [arm({ variant: "v8.0" })], for: ["aarch64"], newer: true },
  names: {
    entries: [
      { platform: { os: "linux", architecture: "x86_64" }, image: ["x86_64", "one"] },
      arm({ architecture: "aarch64" }, "one", "aarch64"),
    ],
    for: ["x86_64", "aarch64"],
  },
  "amd64-v1": {
    entries: [{ platform: { os: "linux", architecture: "amd64", variant: "v1" }, image: ["amd64", "one"] }],
    for: ["x86_64"],
  },
  "attestation-first": {
    entries: [
      {
        platform: { os: "unknown", architecture: "unknown" },
        image: ["unknown", "two"],
        annotations: { "vnd.docker.reference.type": "attestation-manifest" },
      },
      arm(),
    ],
    for: ["aarch64"],
  },
  "v8-twice": { entries: [arm({ variant: "v8" }, "two"), arm({ variant: "v8" }, "one")], for: ["aarch64"] },
  "v8-then-none": { entries: [arm({ variant: "v8" }, "two"), arm({}, "one")], for: ["aarch64"] },
  "os-version": { entries: [arm({ "os.version": "22.03" })], for: ["aarch64"] },
  // Of these Docker says that there is nothing for the platform.
  armv8: { entries: [arm({ variant: "armv8" })], for: [] },
  v9: { entries: [arm({ variant: "v9" })], for: [] },
  other: { entries: [{ platform: { os: "windows", architecture: "arm64" }, image: ["arm64", "one"] }], for: [] },
};

needs("root", "docker", "docker-registry").describe("an index", () => {
  let server: TestRegistry;
  let daemon: DockerDaemon;

  const get = async (reference: string): Promise<string> => {
    const [, path = "", what = ""] = /^[^/]+\/(.*?)[:@]((?:sha256:)?[^:@]+)$/.exec(reference) ?? [];
    for (const kind of ["manifests", "blobs"]) {
      const response = await fetch(`http://${server.host}/v2/${path}/${kind}/${what}`, {
        headers: { accept: [manifestType, indexType].join(",") },
      });
      if (response.status === 200) return response.text();
    }
    throw new BakeError("BK251", `${reference} is not there`);
  };
  const registry: Registry = {
    manifest: get,
    blob: get,
    tags: () => Promise.resolve([]),
    authorization: () => Promise.resolve(undefined),
    base: (host) => Promise.resolve(`http://${host}`),
  };

  beforeAll(async () => {
    server = await startRegistry(join(folder, "registry"), "open");
    daemon = await startDockerDaemon(join(folder, "docker"));
    const manifests = new Map<string, string>();
    for (const { entries } of Object.values(cases)) {
      for (const { image } of entries) {
        const key = image.join("-");
        if (manifests.has(key)) continue;
        const [architecture, layer] = image;
        const name = `${server.host}/team/image:${key}`;
        await push(makeArchive(join(folder, key), { architecture, layers: [layer] }), name, { format: "oci" });
        manifests.set(key, await get(name));
      }
    }
    for (const [tag, { entries }] of Object.entries(cases)) {
      const listed = entries.map(({ image, platform, annotations }) => {
        const text = manifests.get(image.join("-")) ?? "";
        const digest = `sha256:${createHash("sha256").update(text).digest("hex")}`;
        return {
          mediaType: manifestType,
          digest,
          size: text.length,
          platform,
          ...(annotations !== undefined && { annotations }),
        };
      });
      const index = { schemaVersion: 2, mediaType: indexType, manifests: listed };
      await putManifest(server.host, "team/image", tag, indexType, JSON.stringify(index));
    }
  }, 120_000);
  afterAll(async () => {
    await daemon.stop();
    await server.stop();
  });

  it.each(Object.keys(cases).flatMap((tag) => [[tag, "x86_64"] as const, [tag, "aarch64"] as const]))(
    "%s for %s: the lock and Docker say the same",
    async (tag, architecture) => {
      const name = `${server.host}/team/image:${tag}`;
      const platform = architecture === "x86_64" ? "linux/amd64" : "linux/arm64";
      const ofDocker = await daemon.docker("pull", "--quiet", "--platform", platform, name).then(
        () => daemon.docker("image", "inspect", "--format", "{{.Id}}", name),
        () => undefined,
      );
      const ofLock = await resolveImage(
        { kind: "container-image", name, asked: name, architecture, path: ["images", 0] },
        { registry, sources: { registries: {} } },
      ).then(
        ({ image }) => image.config.digest,
        (error: unknown) => {
          expect(error).toMatchObject({ code: "BK254" });
          return undefined;
        },
      );
      if (cases[tag]?.newer !== true) expect(ofLock).toBe(ofDocker);
      expect(ofLock !== undefined).toBe(cases[tag]?.for.includes(architecture));
    },
    60_000,
  );
});
