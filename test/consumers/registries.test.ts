/** Mirrors and registries without TLS, as Docker and BuildKit themselves read what bake writes. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer, type Server } from "node:https";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { planFor } from "../../src/commands/plan.ts";
import { lockSources } from "../../src/profile/registries.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { type DockerDaemon, startDockerDaemon } from "../docker-daemon.ts";
import { certificatesFor } from "../huaweicloud/certificates.ts";
import { type Buildkitd, startBuildkitd } from "../buildkitd.ts";
import { needs, toolPath } from "../needs.ts";
import { readProfile, render } from "../plan-of.ts";
import { makeArchive, push, startRegistry, type TestRegistry } from "../registry.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-registries-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const base = readProfile();

/** GiB. */
const maxCacheSize = 200;
/** 2cards at a site with mirrors. */
const profileWith = (insecure: readonly string[], mirrors: Profile["network"]["registryMirrors"]): Profile => ({
  ...base,
  builders: { ...base.builders, maxCacheSize },
  docker: { ...base.docker, mtu: 1450 },
  network: { ...base.network, registryMirrors: mirrors },
  sources: { ...base.sources, insecureRegistries: [...insecure] },
});
const fileOf = (profile: Profile, path: string): string =>
  render(planFor({ name: "2cards", profile })).files.find((file) => file.path === `node${path}`)?.content ?? "";

it("what the profile says once reaches Docker, the builders and the lock", () => {
  const profile = profileWith(["10.20.0.5:5000", "base.example.com:5000"], {
    "docker.io": ["10.20.0.5:5000", "10.20.0.5:5000/hub", "mirror.example.com"],
    "quay.io": ["10.20.0.5:5000/quay"],
  });
  expect(JSON.parse(fileOf(profile, "/etc/docker/daemon.json"))).toMatchObject({
    "registry-mirrors": ["http://10.20.0.5:5000", "https://mirror.example.com"],
    "insecure-registries": ["10.20.0.5:5000", "base.example.com:5000"],
    mtu: 1450,
  });
  expect(fileOf(profile, "/etc/bake/buildkitd.toml")).toContain(`[registry."10.20.0.5:5000"]
"http" = true

[registry."base.example.com:5000"]
"http" = true

[registry."docker.io"]
"mirrors" = ["10.20.0.5:5000", "10.20.0.5:5000/hub", "mirror.example.com"]

[registry."quay.io"]
"mirrors" = ["10.20.0.5:5000/quay"]
`);
  expect(lockSources(profile)).toMatchObject({
    registries: profile.network.registryMirrors,
    insecureRegistries: ["10.20.0.5:5000", "base.example.com:5000"],
  });
  // Builders and lock may have mirrors of their own.
  const other = {
    ...profile,
    builders: { ...profile.builders, mirrors: { "docker.io": ["own.example.com"] } },
    sources: { ...profile.sources, registries: { "docker.io": ["lock.example.com"] } },
  };
  expect(lockSources(other).registries["docker.io"]).toEqual(["lock.example.com"]);
  expect(fileOf(other, "/etc/bake/buildkitd.toml")).toContain(`"mirrors" = ["own.example.com"]`);
});

it("a profile as it was written before: an http mirror of the builders is asked by http", () => {
  const profile: Profile = {
    ...base,
    builders: { ...base.builders, mirrors: { "quay.io": ["10.20.0.5:5000/quay"] } },
    sources: { ...base.sources, insecureRegistries: ["10.20.0.5:5000"] },
  };
  expect(fileOf(profile, "/etc/bake/buildkitd.toml")).toContain(`[registry."10.20.0.5:5000"]\n"http" = true\n`);
});

needs("root", "docker").describe("dockerd", () => {
  let daemon: DockerDaemon | undefined;
  afterAll(() => daemon?.stop());

  it("takes daemon.json, and says what it read from it", async () => {
    const content = fileOf(
      profileWith(["10.20.0.5:5000", "base.example.com:5000"], {
        "docker.io": ["10.20.0.5:5000", "10.20.0.5:5000/hub", "mirror.example.com"],
      }),
      "/etc/docker/daemon.json",
    );
    const file = join(folder, "daemon.json");
    writeFileSync(file, content);
    execFileSync(join(toolPath("docker"), "usr/sbin/dockerd"), ["--validate", "--config-file", file], {
      stdio: "pipe",
      // It looks for docker-proxy there.
      env: { PATH: `${toolPath("docker")}/usr/sbin:${process.env["PATH"] ?? ""}` },
    });
    // What a daemon of a test gets by its command line, or cannot have.
    const { "data-root": _root, "storage-driver": _driver, ...rest } = JSON.parse(content) as Record<string, unknown>;
    writeFileSync(file, JSON.stringify(rest));
    daemon = await startDockerDaemon(join(folder, "docker"), { args: ["--config-file", file] });
    const said = JSON.parse(await daemon.docker("info", "--format", "{{json .}}")) as {
      RegistryConfig: { Mirrors: string[]; IndexConfigs: Record<string, { Secure: boolean }> };
      DefaultAddressPools: unknown;
    };
    expect(said.RegistryConfig.Mirrors).toEqual(["http://10.20.0.5:5000/", "https://mirror.example.com/"]);
    expect(said.RegistryConfig.IndexConfigs).toMatchObject({
      "10.20.0.5:5000": { Secure: false },
      "base.example.com:5000": { Secure: false },
      "docker.io": { Secure: true },
    });
    expect(said.DefaultAddressPools).toEqual([{ Base: "198.18.0.0/16", Size: 24 }]);
  }, 90_000);
});

needs("root", "docker", "buildkitd", "buildctl", "docker-registry").describe("buildkitd", () => {
  let registry: TestRegistry | undefined;
  let buildkitd: Buildkitd | undefined;
  let tls: Server | undefined;
  // No loopback by its name, so that BuildKit asks by https unless it is told otherwise, and reaches the registry all the same.
  let insecure = "";
  let unlisted = "";

  const buildctl = (...args: string[]): Promise<string> =>
    buildkitd === undefined ? Promise.reject(new Error("buildkitd was not started")) : buildkitd.buildctl(...args);
  const buildFrom = (image: string): Promise<string> => {
    const context = mkdtempSync(join(folder, "context-"));
    writeFileSync(join(context, "Dockerfile"), `FROM ${image}\n`);
    return buildctl(
      ...["build", "--progress=plain", "--frontend", "dockerfile.v0", "--local", `context=${context}`],
      ...["--local", `dockerfile=${context}`, "--output", `type=oci,dest=${join(context, "out.tar")}`],
    );
  };

  beforeAll(async () => {
    registry = await startRegistry(join(folder, "registry"), "open");
    const port = registry.host.split(":")[1] ?? "";
    [insecure, unlisted] = [`0.0.0.0:${port}`, `0.0.0.00:${port}`];
    const archive = makeArchive(join(folder, "image"), { layers: ["one"] });
    for (const path of ["team/image:1.0", "hub/library/small:1.0"]) await push(archive, `${registry.host}/${path}`);
    const config = join(folder, "buildkitd.toml");
    // The same registry by TLS, signed by the site's own authority.
    const { authority, key, certificate } = certificatesFor(hostname());
    tls = createServer({ key, cert: certificate }, (asked, response) => {
      const passed = request(
        { host: "127.0.0.1", port, path: asked.url, method: asked.method, headers: asked.headers },
        (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        },
      );
      asked.pipe(passed);
    });
    const server = tls;
    await new Promise<void>((done) => server.listen(0, done));
    const address = server.address();
    const secured = `${hostname()}:${typeof address === "object" && address !== null ? address.port : 0}`;
    const profile = profileWith([insecure], {
      "docker.io": [`${insecure}/hub`],
      "quay.io": [insecure],
      "ghcr.io": [secured],
    });
    const pem = readFileSync(authority, "utf8");
    writeFileSync(join(folder, "ca.pem"), pem);
    writeFileSync(
      config,
      fileOf(
        { ...profile, network: { ...profile.network, caCertificates: [pem] } },
        "/etc/bake/buildkitd.toml",
      ).replaceAll('"/etc/bake/ca.pem"', JSON.stringify(join(folder, "ca.pem"))),
    );
    buildkitd = await startBuildkitd(join(folder, "buildkitd"), { config });
  }, 90_000);
  afterAll(async () => {
    await buildkitd?.stop();
    tls?.close();
    await registry?.stop();
  });

  it("trusts a mirror that the site's own authority signed", async () => {
    expect(await buildFrom("ghcr.io/team/image:1.0")).toContain("resolve ghcr.io/team/image:1.0");
  }, 90_000);

  it("reads the configuration, and asks a mirror without TLS by http", async () => {
    expect(await buildFrom("quay.io/team/image:1.0")).toContain("resolve quay.io/team/image:1.0");
    // Below a path of it.
    expect(await buildFrom("small:1.0")).toContain("docker.io/library/small:1.0");
  }, 90_000);

  it("builds from an image in such a registry; one that is not listed would be asked by https", async () => {
    expect(await buildFrom(`${insecure}/team/image:1.0`)).toContain("team/image:1.0");
    await expect(buildFrom(`${unlisted}/team/image:1.0`)).rejects.toThrow(/HTTP response to HTTPS client|lookup/);
  }, 90_000);

  it("reads the limit of its cache in GiB", async () => {
    const bytes = maxCacheSize * 2 ** 30;
    expect(await buildctl("debug", "workers", "--verbose")).toContain(`Maximum used space:\t${bytes / 1e9}GB`);
  });
});
