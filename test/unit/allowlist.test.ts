/** allowlist.md names every host that lock, fetch and image ask, and none that nobody asks. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { planFor } from "../../src/commands/plan.ts";
import type { Host } from "../../src/host/host.ts";
import { system } from "../../src/host/system.ts";
import { askSources } from "../../src/lock/ask.ts";
import { makeLock } from "../../src/lock/make.ts";
import { requirementsOf } from "../../src/lock/requirements.ts";
import { registryAddress } from "../../src/node/registry-address.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { Store } from "../../src/store/store.ts";
import { type GoTool, goModules, releaseOf } from "../../src/toolchain/catalog.ts";
import { readProfile } from "../plan-of.ts";
import {
  agentRoutes,
  buildxRoutes,
  dockerStaticRoutes,
  gitHubReleasesRoutes,
  gossRoutes,
  huggingfaceRoutes,
  modelscopeRoutes,
  openEulerRoutes,
  type ReleaseServer,
  startReleaseServer,
} from "../release-server.ts";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const commit = "c".repeat(40);

let folder = "";
let server: ReleaseServer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "bake-allowlist-"));
  server = await startReleaseServer({
    ...dockerStaticRoutes({ "27.5.1": "docker" }),
    ...buildxRoutes("0.20.0", { x86_64: "buildx" }),
    ...agentRoutes("3.137.0", { x86_64: "agent" }),
    ...gossRoutes("0.4.9", { x86_64: "goss" }),
    ...gitHubReleasesRoutes("docker/buildx", [["v0.20.0"]]),
    ...gitHubReleasesRoutes("buildkite/agent", [["v3.137.0"]]),
    ...gitHubReleasesRoutes("goss-org/goss", [["v0.4.9"]]),
    ...openEulerRoutes("22.03-LTS-SP4", "a disk"),
    ...modelscopeRoutes("Qwen/Qwen3-0.6B", "master", commit, [{ path: "config.json", bytes: "{}", commit }]),
    ...huggingfaceRoutes("org/small", "main", commit, [{ path: "config.json", bytes: "{ }", commit, large: true }]),
    "/files/tool": "a tool",
    "/files/SHA256SUMS": `${sha256("a tool")}  tool\n`,
  });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** What crane prints, of an image of one layer for this architecture. */
const config = JSON.stringify({ os: "linux", architecture: "amd64", rootfs: { diff_ids: ["sha256:1"] } });
const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  config: {
    mediaType: "application/vnd.oci.image.config.v1+json",
    digest: `sha256:${sha256(config)}`,
    size: config.length,
  },
  layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", digest: `sha256:${"1".repeat(64)}`, size: 1 }],
});

/** Asks everything that a profile asks for, and says which hosts that were, as `host:port`. */
const askedBy = async (profile: Profile) => {
  const asked = new Set<string>();
  const note = (url: string): void => {
    const { hostname, port, protocol } = new URL(url);
    asked.add(`${hostname}:${port || (protocol === "http:" ? 80 : 443)}`);
  };
  const rewrite = (url: string): string => {
    note(url);
    for (const [name, from] of Object.entries(profile.sources)) {
      const to = (server.sources as Readonly<Record<string, unknown>>)[name];
      if (typeof from === "string" && typeof to === "string" && url.startsWith(from))
        return to + url.slice(from.length);
    }
    return url.replace(/^https:\/\/[a-z]+\.example\.com(?::\d+)?/, server.origin);
  };
  const host: Host = {
    ...system,
    run: (_file, args) => {
      const [verb = ""] = args.filter((each) => !each.startsWith("--"));
      const { host: at, port } = registryAddress(args.at(-1) ?? "", profile.sources.insecureRegistries);
      // What crane makes of Docker Hub's name.
      asked.add(`${at === "docker.io" ? "index.docker.io" : at}:${port}`);
      const stdout = { manifest, blob: config, ls: "" }[verb] ?? "";
      const missing = verb === "auth" ? { exitCode: 1, stderr: 'challenge scheme "" is not bearer' } : undefined;
      return Promise.resolve({ exitCode: 0, stdout, stderr: "", ...missing });
    },
    env: {},
    cacheDir: folder,
    signal: new AbortController().signal,
    progress: { note: () => undefined, step: (_id, _title, work) => work(() => undefined) },
  };
  const sources = await askSources(host, new Store(join(folder, "store")), {
    sources: profile.sources,
    crane: () => Promise.resolve("crane"),
    rewrite,
  });
  const requirements = requirementsOf(profile);
  const made = await makeLock({ profile: "site", requirements, again: () => true, resolve: sources.resolve });
  expect(made.unanswered.map(({ error }) => error.message)).toEqual([]);
  for (const requirement of requirements) {
    const locked = made.lock.artifacts.find(({ kind, name }) => kind === requirement.kind && name === requirement.name);
    if (locked !== undefined) await sources.look.newer(requirement, locked);
  }
  for (const { urls } of await sources.requests(made.lock.artifacts)) urls.forEach(note);
  return { asked, lock: made.lock };
};

const baking = (profile: Profile, lock?: Parameters<typeof planFor>[0]["lock"], target?: "qemu" | "huaweicloud") =>
  planFor({ name: "site", profile, ...(lock !== undefined && { lock }), ...(target !== undefined && { target }) })
    .destinations.filter(({ when }) => when === "bake")
    .map(({ host, port }) => `${host}:${port}`);

const base = readProfile();
const site: Profile = {
  ...base,
  images: [
    { image: "quay.io/ascend/cann:9.1.0", from: "image" },
    { image: "registry.example.com:5000/team/tools:1", from: "mirror" },
  ],
  models: [
    { modelscope: "Qwen/Qwen3-0.6B", from: "image" },
    { huggingface: "org/small", from: "image" },
  ],
  files: [
    {
      url: "https://files.example.com:8443/files/tool",
      path: "/opt/site/tool",
      mode: "0755",
      checksums: "https://sums.example.com/files/SHA256SUMS",
    },
  ],
};

test("every host that lock and fetch ask is in it, and each in it is asked, or is one that these lead to", async () => {
  const { asked, lock } = await askedBy(site);
  expect(asked).toContain("files.example.com:8443");
  expect(asked).toContain("registry.example.com:5000");
  expect(asked).toContain("repo.openeuler.org:443");
  expect(asked).toContain("api.github.com:443");
  for (const named of [baking(site), baking(site, lock)]) {
    expect([...asked].filter((each) => !named.includes(each))).toEqual([]);
    const led = /^(release-assets|objects)\.githubusercontent|docker\.(io|com)|^cdn|hf\.co|^releases\.hashicorp\.com/;
    expect(named.filter((each) => !asked.has(each) && !led.test(each))).toEqual([]);
  }
});

test("mirrors stand in the place of what they mirror", async () => {
  const mirrored: Profile = {
    ...site,
    models: [],
    sources: {
      ...site.sources,
      docker: "https://docker.example.com/docker",
      openeuler: "http://euler.example.com:8080/openeuler",
      registries: { "docker.io": ["mirror.example.com:5000"], "quay.io": ["10.1.2.3/quay"] },
      insecureRegistries: ["10.1.2.3"],
    },
  };
  const named = baking(mirrored);
  for (const host of ["docker.example.com:443", "euler.example.com:8080", "mirror.example.com:5000", "10.1.2.3:80"])
    expect(named).toContain(host);
  for (const host of [
    "download.docker.com:443",
    "repo.openeuler.org:443",
    "www.modelscope.cn:443",
    "huggingface.co:443",
  ])
    expect(named).not.toContain(host);
});

test("the tools that image runs come from hosts in it; a bake in the cloud calls the region's services and its mirror", () => {
  const hosts = (Object.keys(goModules) as GoTool[]).flatMap((tool) => {
    const release = releaseOf(tool, "x64");
    return release === undefined ? [] : [`${new URL(release.url).hostname}:443`];
  });
  expect(hosts.length).toBeGreaterThan(2);
  expect(hosts.filter((host) => !baking(site).includes(host))).toEqual([]);
  const cloud = readProfile("test/golden/cloud-mirror/profile.yaml");
  const named = baking(cloud, undefined, "huaweicloud");
  for (const host of [
    "ecs.cn-north-4.myhuaweicloud.com:443",
    "ims.cn-north-4.myhuaweicloud.com:443",
    "mirror.example.com:80",
  ])
    expect(named).toContain(host);
  expect(named).not.toContain("repo.openeuler.org:443");
});

test("a registry keeps its port, also for jobs", () => {
  const { destinations } = planFor({ name: "site", profile: site });
  const jobs = destinations.filter(({ when }) => when === "job").map(({ host, port }) => `${host}:${port}`);
  expect(jobs).toContain("registry.example.com:5000");
  expect(jobs).toContain("quay.io:443");
});
