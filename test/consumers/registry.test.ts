/** Images looked up in real registries by the real crane: open, with logins, with tokens, with TLS, behind mirrors. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect } from "vitest";
import { BakeError } from "../../src/errors.ts";
import { type Host, runProcess } from "../../src/host/host.ts";
import { system } from "../../src/host/system.ts";
import { type Architecture, type ContainerImage } from "../../src/artifact.ts";
import { Lock, lockVersion } from "../../src/lock/lock.ts";
import { blobRequests, movedTag, newerImages, resolveImage } from "../../src/lock/sources/oci.ts";
import { makeRegistry, type Registry } from "../../src/lock/sources/registry.ts";
import type { ImageRequirement } from "../../src/node/requirement.ts";
import { login, makeArchive, push, putManifest, startRegistry, type TestRegistry } from "../registry.ts";
import { needs, toolPath } from "../needs.ts";

const { describe, test: it } = needs("crane", "docker-registry");
const crane = toolPath("crane");
const folder = mkdtempSync(join(tmpdir(), "bake-registry-"));
const started: TestRegistry[] = [];
let open: TestRegistry;
let basic: TestRegistry;
let token: TestRegistry;
let tls: TestRegistry & { readonly certificate?: string };
let archive: string;
let arm: string;

const { signal } = new AbortController();

/** A host whose user is logged in where `logins` says. */
const hostWith = (logins: Readonly<Record<string, typeof login>>, env: Readonly<Record<string, string>> = {}): Host => {
  const config = mkdtempSync(join(folder, "docker-"));
  const auths = Object.fromEntries(
    Object.entries(logins).map(([registry, { user, password }]) => [
      registry,
      { auth: Buffer.from(`${user}:${password}`).toString("base64") },
    ]),
  );
  writeFileSync(join(config, "config.json"), JSON.stringify({ auths }));
  const run = runProcess(signal);
  return {
    ...system,
    run: (file, args, options = {}) =>
      run(file, args, { ...options, env: { ...options.env, ...env, DOCKER_CONFIG: config, HOME: config } }),
    env: {},
    cacheDir: folder,
    signal,
    progress: { note: () => undefined, step: (_id, _title, work) => work(() => undefined) },
  };
};

const requirement = (name: string, architecture: Architecture = "x86_64"): ImageRequirement => ({
  kind: "container-image",
  name,
  asked: name,
  architecture,
  path: ["images", 0],
});

const from = (registry: Registry, registries: Readonly<Record<string, readonly string[]>> = {}) => ({
  registry,
  sources: { registries },
});

const anonymous = (): Registry => makeRegistry(hostWith({}), crane);

const sha256 = (bytes: string | Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Gets every blob as a downloader would. @returns what was wrong with the bytes. */
const fetchAll = async (image: ContainerImage, source: ReturnType<typeof from>): Promise<string[]> => {
  const wrong: string[] = [];
  for (const { name, urls, sha256: expected, size, headers } of await blobRequests(image, source)) {
    const url = urls[0] ?? "";
    const response = await fetch(url, { headers: await headers(url) });
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (response.status !== 200 || sha256(bytes) !== expected || bytes.length !== size) {
      wrong.push(`${name}: ${response.status}, ${bytes.length} bytes`);
    }
  }
  return wrong;
};

const pushIndex = async (repository: string, tag: string): Promise<string> => {
  await push(archive, `${open.host}/${repository}:amd64`);
  await push(arm, `${open.host}/${repository}:arm64`);
  const texts = await Promise.all(
    ["amd64", "arm64"].map((architecture) => anonymous().manifest(`${open.host}/${repository}:${architecture}`)),
  );
  const [amd64 = "", arm64 = ""] = texts;
  const mediaType = "application/vnd.docker.distribution.manifest.v2+json";
  const entry = (text: string, platform: object, annotations: object = {}) => ({
    mediaType,
    digest: `sha256:${sha256(text)}`,
    size: text.length,
    platform,
    ...annotations,
  });
  const index = {
    schemaVersion: 2,
    mediaType: "application/vnd.docker.distribution.manifest.list.v2+json",
    manifests: [
      entry(arm64, { os: "unknown", architecture: "unknown" }),
      entry(arm64, { os: "linux", architecture: "arm64", variant: "v8" }),
      entry(arm64, { os: "linux", architecture: "amd64", variant: "v3" }),
      entry(amd64, { os: "linux", architecture: "amd64" }),
    ],
  };
  return putManifest(open.host, repository, tag, index.mediaType, JSON.stringify(index));
};

beforeAll(async () => {
  [open, basic, token, tls] = (await Promise.all(
    (["open", "basic", "token", "tls"] as const).map(async (kind) => {
      const registry = await startRegistry(join(folder, kind), kind);
      started.push(registry);
      return registry;
    }),
  )) as [TestRegistry, TestRegistry, TestRegistry, TestRegistry];
  archive = makeArchive(join(folder, "amd64"), { layers: ["one", "two"] });
  arm = makeArchive(join(folder, "arm64"), { layers: ["one"], architecture: "arm64" });
  await push(archive, `${open.host}/team/image:1.0`);
  await push(archive, `${basic.host}/team/image:1.0`, { as: login });
  await push(archive, `${token.host}/team/image:1.0`, { as: login });
  await push(archive, `${tls.host}/team/image:1.0`);
});

afterAll(async () => {
  await Promise.all(started.map(({ stop }) => stop()));
  rmSync(folder, { recursive: true, force: true });
});

describe("an open registry", () => {
  it("gives the digests of an image, the texts that belong to them, and its blobs", async () => {
    const name = `${open.host}/team/image:1.0`;
    const source = from(anonymous());
    const { image, manifest, config } = await resolveImage({ ...requirement(name), pin: { reason: "why" } }, source);
    const read = JSON.parse(manifest) as { layers: { digest: string; size: number }[] };
    expect(image).toEqual({
      kind: "container-image",
      name,
      architecture: "x86_64",
      version: "1.0",
      asked: name,
      reason: "why",
      registry: open.host,
      repository: "team/image",
      tagDigest: `sha256:${sha256(manifest)}`,
      manifest: {
        digest: `sha256:${sha256(manifest)}`,
        size: manifest.length,
        mediaType: "application/vnd.docker.distribution.manifest.v2+json",
      },
      config: {
        digest: `sha256:${sha256(config)}`,
        size: config.length,
        mediaType: "application/vnd.docker.container.image.v1+json",
      },
      layers: read.layers.map(({ digest, size }) => ({
        digest,
        size,
        mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip",
      })),
    });
    expect(Lock.parse({ lockVersion, profile: "2cards", artifacts: [image] }).artifacts).toEqual([image]);
    const digest = await promisify(execFile)("skopeo", [
      "inspect",
      "--tls-verify=false",
      "--format",
      "{{.Digest}}",
      `docker://${name}`,
    ]);
    expect(digest.stdout.trim()).toBe(image.tagDigest);
    const requests = await blobRequests(image, source);
    expect(requests.map((request) => [request.name, request.urls])).toEqual([
      [`${name} manifest`, [`http://${open.host}/v2/team/image/manifests/${image.manifest.digest}`]],
      [`${name} config`, [`http://${open.host}/v2/team/image/blobs/${image.config.digest}`]],
      [`${name} layer 1 of 2`, [`http://${open.host}/v2/team/image/blobs/${image.layers[0]?.digest}`]],
      [`${name} layer 2 of 2`, [`http://${open.host}/v2/team/image/blobs/${image.layers[1]?.digest}`]],
    ]);
    expect(await requests[0]?.headers(requests[0].urls[0] ?? "")).toEqual({ accept: image.manifest.mediaType });
    expect(await requests[1]?.headers(requests[1].urls[0] ?? "")).toEqual({});
    expect(await fetchAll(image, source)).toEqual([]);
  });

  it("takes OCI images and layers in zstd", async () => {
    const name = `${open.host}/team/zstd:1.0`;
    // Layers that are there in gzip already would be used again.
    const other = makeArchive(join(folder, "zstd"), { layers: ["three", "four"] });
    await push(other, name, { format: "oci", compress: "zstd" });
    const source = from(anonymous());
    const { image } = await resolveImage(requirement(name), source);
    expect([image.manifest, image.config, ...image.layers].map(({ mediaType }) => mediaType)).toEqual([
      "application/vnd.oci.image.manifest.v1+json",
      "application/vnd.oci.image.config.v1+json",
      "application/vnd.oci.image.layer.v1.tar+zstd",
      "application/vnd.oci.image.layer.v1.tar+zstd",
    ]);
    expect(await fetchAll(image, source)).toEqual([]);
  });

  it("picks the platform from an index, and locks what the tag named", async () => {
    const index = await pushIndex("team/many", "1.0");
    const source = from(anonymous());
    const name = `${open.host}/team/many:1.0`;
    const x86 = await resolveImage(requirement(name), source);
    const aarch64 = await resolveImage(requirement(name, "aarch64"), source);
    expect([x86.image.tagDigest, aarch64.image.tagDigest]).toEqual([index, index]);
    expect(JSON.parse(x86.config)).toMatchObject({ architecture: "amd64" });
    expect(JSON.parse(aarch64.config)).toMatchObject({ architecture: "arm64" });
    expect(await fetchAll(aarch64.image, source)).toEqual([]);
  });

  it("says that a tag or an image is not there", async () => {
    for (const name of [`${open.host}/team/image:9.9`, `${open.host}/team/no-image:1.0`]) {
      await expect(resolveImage(requirement(name), from(anonymous()))).rejects.toEqual(
        new BakeError("BK251", `${name} is not there`, `${open.host} was reached, and does not have it.`),
      );
    }
  });

  it("says that a name is too short for crane", async () => {
    await expect(resolveImage(requirement(`${open.host}/x:y`), from(anonymous()))).rejects.toEqual(
      new BakeError(
        "BK250",
        `${open.host}/x:y is no name that crane takes`,
        "A repository's name has two characters or more.",
      ),
    );
  });

  it("says for what an image is made instead", async () => {
    const single = `${open.host}/team/image:1.0`;
    await expect(resolveImage(requirement(single, "aarch64"), from(anonymous()))).rejects.toEqual(
      new BakeError("BK254", `${single} is not made for linux/arm64`, "It is made for linux/amd64."),
    );
  });

  it("lists newer tags, and sees a tag that moved", async () => {
    for (const tag of ["v1.0.0", "v1.2.0", "v1.10.0", "v2.0.0-rc1", "latest"])
      await push(archive, `${open.host}/team/tags:${tag}`);
    const source = from(anonymous());
    const name = `${open.host}/team/tags:v1.0.0`;
    expect(await newerImages(requirement(name), source)).toEqual(["v1.10.0", "v1.2.0"]);
    const { image } = await resolveImage(requirement(name), source);
    expect(await movedTag(image, source)).toBeUndefined();
    await push(arm, name);
    const now = await movedTag(image, source);
    expect(now).toBe(`sha256:${sha256(await source.registry.manifest(name))}`);
    expect(now).not.toBe(image.tagDigest);
    // What is locked is still there by its digest.
    expect(await fetchAll(image, source)).toEqual([]);
  });
});

describe("logins", () => {
  it.each([
    ["basic", () => basic, `Basic ${Buffer.from(`${login.user}:${login.password}`).toString("base64")}`],
    ["token", () => token, expect.stringMatching(/^Bearer [\w-]+\.[\w-]+\.[\w-]+$/) as string],
  ] as const)(
    "%s: the header reads every blob, and the registry refuses without one",
    async (_kind, registry, header) => {
      const { host } = registry();
      const source = from(makeRegistry(hostWith({ [host]: login }), crane));
      const name = `${host}/team/image:1.0`;
      const { image } = await resolveImage(requirement(name), source);
      expect(await source.registry.authorization(`${host}/team/image`)).toEqual(header);
      expect(await fetchAll(image, source)).toEqual([]);
      const [, config] = await blobRequests(image, source);
      expect((await fetch(config?.urls[0] ?? "")).status).toBe(401);
      expect(await config?.headers("http://other.example/v2/team/image")).toEqual({});
    },
  );

  it.each([
    ["basic", () => basic, {}],
    ["basic", () => basic, login],
    ["token", () => token, {}],
    ["token", () => token, login],
  ] as const)("%s: says which login is missing, or does not fit", async (_kind, registry, known) => {
    const { host } = registry();
    const logins: Record<string, typeof login> =
      "user" in known ? { [host]: { ...known, password: "wrong-pass" } } : {};
    const source = from(makeRegistry(hostWith(logins), crane));
    const help = `Log in to ${host} on this machine, with an account that may read it:\ndocker login ${host}`;
    const name = `${host}/team/image:1.0`;
    await expect(resolveImage(requirement(name), source)).rejects.toEqual(
      new BakeError("BK252", `${host} does not let this machine read ${name}`, help),
    );
  });

  it("basic: asks for a login before a blob is asked for", async () => {
    await expect(anonymous().authorization(`${basic.host}/team/image`)).rejects.toMatchObject({ code: "BK252" });
  });
});

describe("the way to a registry", () => {
  it("with TLS takes a private authority from SSL_CERT_FILE", async () => {
    const registry = makeRegistry(hostWith({}, { SSL_CERT_FILE: tls.certificate ?? "" }), crane);
    const { image } = await resolveImage(requirement(`${tls.host}/team/image:1.0`), from(registry));
    const requests = await blobRequests(image, from(registry));
    expect(requests[1]?.urls).toEqual([`https://${tls.host}/v2/team/image/blobs/${image.config.digest}`]);
    expect(await requests[1]?.headers(requests[1].urls[0] ?? "")).toEqual({});
  });

  it("with TLS does not accept an unknown authority", async () => {
    const name = `${tls.host}/team/image:1.0`;
    await expect(resolveImage(requirement(name), from(anonymous()))).rejects.toMatchObject({
      code: "BK253",
      message: `${tls.host} does not answer for ${name}`,
      help: expect.stringMatching(/x509: certificate signed by unknown authority[^]*SSL_CERT_FILE/) as string,
    });
  });

  it("without TLS is taken on loopback, and elsewhere only where it is listed", async () => {
    const port = open.host.split(":")[1] ?? "";
    // Not loopback by its name, and reaches it all the same.
    const name = `0.0.0.0:${port}/team/image:1.0`;
    await expect(resolveImage(requirement(name), from(anonymous()))).rejects.toMatchObject({
      code: "BK253",
      help: expect.stringContaining("server gave HTTP response to HTTPS client") as string,
    });
    const registry = makeRegistry(hostWith({}), crane, { insecure: [`0.0.0.0:${port}`] });
    const { image } = await resolveImage(requirement(name), from(registry));
    expect(await fetchAll(image, from(registry))).toEqual([]);
  });

  it("without TLS sends a login to a listed registry", async () => {
    const host = `0.0.0.0:${basic.host.split(":")[1] ?? ""}`;
    const registry = makeRegistry(hostWith({ [host]: login }), crane, { insecure: [host] });
    const { image } = await resolveImage(requirement(`${host}/team/image:1.0`), from(registry));
    expect(await fetchAll(image, from(registry))).toEqual([]);
  });

  it("without TLS is refused to a private address before crane is asked", async () => {
    const host: Host = {
      ...hostWith({}),
      run: () => {
        throw new Error("crane would send a login there");
      },
    };
    const registry = makeRegistry(host, crane, { plainStatus: () => Promise.resolve(401) });
    await expect(resolveImage(requirement("10.1.2.3:5000/team/image:1.0"), from(registry))).rejects.toEqual(
      new BakeError(
        "BK253",
        "10.1.2.3:5000 speaks http without TLS",
        "Logins and images would cross the network in plain sight. Say so if that is meant: `sources.insecureRegistries` of the profile.",
      ),
    );
  });

  it("of docker.io leads to Docker Hub, with its own images in library/", async () => {
    const asked: string[] = [];
    const host: Host = {
      ...hostWith({}),
      run: (_file, args) => {
        asked.push(args.join(" "));
        return Promise.resolve({ exitCode: 1, stdout: "", stderr: "Error: UNAUTHORIZED: authentication required" });
      },
    };
    const registry = makeRegistry(host, crane);
    await expect(resolveImage(requirement("busybox:1.36"), from(registry))).rejects.toEqual(
      new BakeError(
        "BK252",
        "docker.io does not let this machine read docker.io/library/busybox:1.36",
        "Log in to docker.io on this machine, with an account that may read it:\ndocker login",
      ),
    );
    expect(asked).toEqual(["manifest docker.io/library/busybox:1.36"]);
    expect(await registry.base("docker.io")).toBe("https://index.docker.io");
    expect(await registry.base("quay.io")).toBe("https://quay.io");
  });

  it("that does not answer ends in time", async () => {
    const host = hostWith({});
    const script = join(folder, "hanging");
    writeFileSync(script, "#!/bin/sh\nexec sleep 60\n", { mode: 0o755 });
    const registry = makeRegistry(host, script, { timeout: 50 });
    await expect(registry.manifest("quay.io/a/b:1")).rejects.toEqual(
      new BakeError(
        "BK253",
        "quay.io does not answer for quay.io/a/b:1",
        "no answer in 0.05 s\nA proxy is taken from HTTPS_PROXY, a private certificate authority from SSL_CERT_FILE.",
      ),
    );
  });
});

describe("mirrors", () => {
  it("are asked first, keep their own logins, and do not reach the lock", async () => {
    const mirror = `${basic.host}/cache`;
    await push(archive, `${mirror}/team/image:1.0`, { as: login });
    const source = from(makeRegistry(hostWith({ [basic.host]: login }), crane), {
      [open.host]: [`${open.host}/nothing-here`, mirror],
    });
    const { image } = await resolveImage(requirement(`${open.host}/team/image:1.0`), source);
    expect([image.registry, image.repository]).toEqual([open.host, "team/image"]);
    const [, config] = await blobRequests(image, source);
    const blob = `blobs/${image.config.digest}`;
    expect(config?.urls).toEqual([
      `http://${open.host}/v2/nothing-here/team/image/${blob}`,
      `http://${basic.host}/v2/cache/team/image/${blob}`,
      `http://${open.host}/v2/team/image/${blob}`,
    ]);
    const sent = await Promise.all((config?.urls ?? []).map(async (url) => config?.headers(url)));
    expect(sent.map((headers) => Object.keys(headers ?? {}))).toEqual([[], ["authorization"], []]);
  });

  it("are named when the registry has nothing either", async () => {
    const name = `${open.host}/team/image:9.9`;
    const source = from(anonymous(), { [open.host]: [`${basic.host}/cache`] });
    await expect(resolveImage(requirement(name), source)).rejects.toEqual(
      new BakeError(
        "BK251",
        `${name} is not there`,
        `${open.host} was reached, and does not have it.\nasked before: ${basic.host} does not let this machine read ${basic.host}/cache/team/image:9.9`,
      ),
    );
  });
});

it("a header is used again until it is old", async () => {
  let now = 0;
  let asked = 0;
  const host: Host = {
    ...hostWith({}),
    now: () => now,
    run: () => {
      asked += 1;
      return Promise.resolve({ exitCode: 0, stdout: `Authorization: Bearer ${asked}`, stderr: "" });
    },
  };
  const registry = makeRegistry(host, crane, { keep: 100 });
  const ask = (): Promise<string | undefined> => registry.authorization("quay.io/a/b");
  expect(await Promise.all([ask(), ask()])).toEqual(["Bearer 1", "Bearer 1"]);
  now = 99;
  expect(await ask()).toBe("Bearer 1");
  now = 100;
  expect(await ask()).toBe("Bearer 2");
});
