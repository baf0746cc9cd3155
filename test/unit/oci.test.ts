/** What is refused of a registry's answers, and never reaches a lock. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { BakeError } from "../../src/errors.ts";
import type { ErrorCode } from "../../src/error-codes.ts";
import type { ContainerImage } from "../../src/artifact.ts";
import { blobRequests, resolveImage } from "../../src/lock/sources/oci.ts";
import type { Registry } from "../../src/lock/sources/registry.ts";
import type { ImageRequirement } from "../../src/node/requirement.ts";

const digestOf = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`;

const name = "quay.io/team/image:1.0";
const requirement: ImageRequirement = {
  kind: "container-image",
  name,
  asked: name,
  architecture: "x86_64",
  path: ["images", 0],
};

/** A registry of texts: the tag names the first, the others are found by their digests, under any place. */
const registryOf = (tagged: unknown, ...others: unknown[]): Registry & { readonly asked: string[] } => {
  const texts = [tagged, ...others].map((value) => (typeof value === "string" ? value : JSON.stringify(value)));
  const asked: string[] = [];
  const get = (reference: string): Promise<string> => {
    asked.push(reference);
    const digest = reference.split("@")[1];
    const text = digest === undefined ? texts[0] : texts.find((one) => digestOf(one) === digest);
    return text === undefined
      ? Promise.reject(new BakeError("BK251", `${reference} is not there`))
      : Promise.resolve(text);
  };
  return {
    asked,
    manifest: get,
    blob: get,
    tags: () => Promise.resolve([]),
    authorization: () => Promise.resolve(undefined),
    base: (registry) => Promise.resolve(`https://${registry}`),
  };
};

const resolve = (registry: Registry, mirrors: readonly string[] = []) =>
  resolveImage(requirement, { registry, sources: { registries: { "quay.io": mirrors } } });

const layer = (mediaType = "application/vnd.oci.image.layer.v1.tar+gzip") => ({
  mediaType,
  digest: digestOf("layer"),
  size: 5,
});

const configOf = (value: object = {}) => ({
  os: "linux",
  architecture: "amd64",
  rootfs: { type: "layers", diff_ids: [digestOf("diff")] },
  ...value,
});

const manifestOf = (config: unknown, value: object = {}) => {
  const text = typeof config === "string" ? config : JSON.stringify(config);
  return {
    schemaVersion: 2,
    config: {
      mediaType: "application/vnd.oci.image.config.v1+json",
      digest: digestOf(text),
      size: Buffer.byteLength(text),
    },
    layers: [layer()],
    ...value,
  };
};

const only = "Only Docker and OCI images can be baked.";

describe("an image is refused", () => {
  it.each<[what: string, registry: Registry, code: ErrorCode, message: string, help: string]>([
    [
      "in schema 1",
      registryOf({ schemaVersion: 1, name: "team/image", fsLayers: [] }),
      "BK255",
      `${name} has a manifest of schema 1, which names no image ID`,
      "Push the image anew with a current Docker.",
    ],
    [
      "with a foreign layer",
      registryOf(
        manifestOf(configOf(), {
          layers: [layer(), layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")],
        }),
      ),
      "BK255",
      `${name}: layer 2 of 2 lies outside the registry (application/vnd.docker.image.rootfs.foreign.diff.tar.gzip)`,
      "Its maker does not let registries hand it out. Rebuild the image from a base without such layers.",
    ],
    [
      "with a layer that may not be handed out",
      registryOf(
        manifestOf(configOf(), { layers: [layer("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd")] }),
      ),
      "BK255",
      `${name}: layer 1 of 1 lies outside the registry (application/vnd.oci.image.layer.nondistributable.v1.tar+zstd)`,
      "Its maker does not let registries hand it out. Rebuild the image from a base without such layers.",
    ],
    [
      "with a layer that is no archive",
      registryOf(manifestOf(configOf(), { layers: [layer("application/vnd.in-toto+json")] })),
      "BK255",
      `${name}: no layer that Docker reads: application/vnd.in-toto+json`,
      "Docker reads tar archives, plain or compressed with gzip or zstd.",
    ],
    [
      "without layers",
      registryOf(manifestOf(configOf(), { layers: [] })),
      "BK255",
      `${name}: it has no layers`,
      "Docker reads tar archives, plain or compressed with gzip or zstd.",
    ],
    [
      "that is a chart",
      registryOf({
        schemaVersion: 2,
        config: { mediaType: "application/vnd.cncf.helm.config.v1+json", digest: digestOf("x"), size: 1 },
        layers: [layer()],
      }),
      "BK255",
      `${name} is no container image, but application/vnd.cncf.helm.config.v1+json`,
      only,
    ],
    ["that is no JSON", registryOf("<html>Sign in</html>"), "BK255", `${name}: its manifest is none of an image`, only],
    [
      "whose manifest names nothing",
      registryOf({ schemaVersion: 2 }),
      "BK255",
      `${name}: its manifest is none of an image`,
      only,
    ],
    [
      "whose configuration says nothing",
      registryOf(manifestOf("{}"), "{}"),
      "BK255",
      `${name}: its configuration is none of an image`,
      only,
    ],
    [
      "whose configuration counts other layers",
      registryOf(manifestOf(configOf(), { layers: [layer(), layer()] }), configOf()),
      "BK255",
      `${name}: its configuration names 1 layers, its manifest 2`,
      "Docker would refuse it. Push the image anew.",
    ],
    [
      "for another architecture",
      registryOf(manifestOf(configOf({ architecture: "arm64" })), configOf({ architecture: "arm64" })),
      "BK254",
      `${name} is not made for linux/amd64`,
      "It is made for linux/arm64.",
    ],
    [
      "for another system",
      registryOf(manifestOf(configOf({ os: "windows" })), configOf({ os: "windows" })),
      "BK254",
      `${name} is not made for linux/amd64`,
      "It is made for windows/amd64.",
    ],
    [
      "whose index lists other platforms",
      registryOf({
        schemaVersion: 2,
        manifests: [
          { ...layer(), platform: { os: "linux", architecture: "arm64", variant: "v8" } },
          { ...layer(), platform: { os: "linux", architecture: "amd64", variant: "v3" } },
          { ...layer(), platform: { os: "windows", architecture: "amd64" } },
          { ...layer(), platform: { os: "unknown", architecture: "unknown" } },
        ],
      }),
      "BK254",
      `${name} is not made for linux/amd64`,
      "Its tag is for linux/arm64/v8, linux/amd64/v3, windows/amd64.",
    ],
    [
      "whose index is empty",
      registryOf({ schemaVersion: 2, manifests: [] }),
      "BK254",
      `${name} is not made for linux/amd64`,
      "Its tag is for no platform at all.",
    ],
    [
      "whose configuration is not there",
      registryOf(manifestOf("gone")),
      "BK251",
      `quay.io/team/image@${digestOf("gone")} is not there`,
      "",
    ],
  ])("%s", async (_what, registry, code, message, help) => {
    await expect(resolve(registry)).rejects.toEqual(new BakeError(code, message, help));
  });
});

it("takes nothing whose digest or size is another one", async () => {
  const config = JSON.stringify(configOf());
  const registry = registryOf(manifestOf(config));
  const changed = { ...registry, blob: () => Promise.resolve(`${config} `) };
  await expect(resolve(changed)).rejects.toEqual(
    new BakeError(
      "BK256",
      `quay.io/team/image answers something else than what ${name} names\n  expected ${digestOf(config)}, ${config.length} bytes\n  found    ${digestOf(`${config} `)}, ${config.length + 1} bytes`,
      "The registry, a mirror or a proxy between changes what it hands out. Nothing of it was used.",
    ),
  );
  const manifest = manifestOf(config);
  const wrongSize = registryOf({ ...manifest, config: { ...manifest.config, size: 1 } }, config);
  await expect(resolve(wrongSize)).rejects.toMatchObject({ code: "BK256" });
});

it("takes from the registry what a mirror changes, and does not go back to a mirror that had no answer", async () => {
  const config = JSON.stringify(configOf());
  const real = registryOf(manifestOf(config), config);
  const registry: Registry = {
    ...real,
    manifest: (reference) =>
      reference.startsWith("dead") ? Promise.reject(new BakeError("BK253", "dead")) : real.manifest(reference),
    blob: async (reference) => `${await real.blob(reference)}${reference.startsWith("mirror") ? " " : ""}`,
  };
  const { image } = await resolve(registry, ["dead.example", "mirror.example/path"]);
  expect(image).toMatchObject({ registry: "quay.io", repository: "team/image", config: { digest: digestOf(config) } });
  expect(real.asked).toEqual([
    "mirror.example/path/team/image:1.0",
    `mirror.example/path/team/image@${digestOf(config)}`,
    `quay.io/team/image@${digestOf(config)}`,
  ]);
});

it("lets pass what no registry threw", async () => {
  const registry = { ...registryOf({}), manifest: () => Promise.reject(new DOMException("stopped", "AbortError")) };
  await expect(resolve(registry, ["mirror.example"])).rejects.toThrow(new DOMException("stopped", "AbortError"));
});

it("asks for a layer once that stands twice in an image", async () => {
  const blob = layer();
  const image: ContainerImage = {
    kind: "container-image",
    name: "moby/buildkit:v0.19.0",
    architecture: "x86_64",
    version: "v0.19.0",
    asked: "moby/buildkit:v0.19.0",
    registry: "docker.io",
    repository: "moby/buildkit",
    tagDigest: digestOf("tag"),
    manifest: { ...blob, digest: digestOf("manifest") },
    config: { ...blob, digest: digestOf("config") },
    layers: [blob, { ...blob, digest: digestOf("second") }, blob],
  };
  const requests = await blobRequests(image, { registry: registryOf({}), sources: { registries: {} } });
  expect(requests.flatMap(({ urls }) => urls)).toEqual([
    `https://docker.io/v2/moby/buildkit/manifests/${digestOf("manifest")}`,
    `https://docker.io/v2/moby/buildkit/blobs/${digestOf("config")}`,
    `https://docker.io/v2/moby/buildkit/blobs/${digestOf("layer")}`,
    `https://docker.io/v2/moby/buildkit/blobs/${digestOf("second")}`,
  ]);
});

it("a mirror that may not be asked is no reason not to ask the registry", async () => {
  const { image } = await resolveImage(requirement, {
    registry: registryOf(manifestOf(configOf()), configOf()),
    sources: { registries: {} },
  });
  const refusal = new BakeError("BK253", "10.1.2.3:5000 speaks http without TLS");
  const registry: Registry = {
    ...registryOf({}),
    base: (host) => (host === "10.1.2.3:5000" ? Promise.reject(refusal) : Promise.resolve(`https://${host}`)),
    authorization: () => Promise.resolve("Bearer of-quay"),
  };
  const [first] = await blobRequests(image, {
    registry,
    sources: { registries: { "quay.io": ["10.1.2.3:5000/quay"] } },
  });
  expect(first?.urls).toEqual([
    `https://10.1.2.3:5000/v2/quay/team/image/manifests/${image.manifest.digest}`,
    `https://quay.io/v2/team/image/manifests/${image.manifest.digest}`,
  ]);
  await expect(first?.headers(first.urls[0] ?? "")).rejects.toBe(refusal);
  expect(await first?.headers(first.urls[1] ?? "")).toMatchObject({ authorization: "Bearer of-quay" });
});
