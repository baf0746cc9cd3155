/** The profile's schema: what stands where a profile says nothing, and what it is asked. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { root } from "../../src/host/root.ts";
import { isPublicKey, Profile, targetNames } from "../../src/profile/schema.ts";
import { isOptional } from "../../src/profile/schema-questions.ts";
import { checkShape } from "../../src/profile/shape.ts";

const right = parse(readFileSync(join(root, "test/negative/right.yaml"), "utf8")) as Record<string, unknown>;

/** Sections that a profile can leave out, and what is there then. */
const defaults = {
  network: {
    caCertificates: [],
    gitRewrites: [],
    registryMirrors: {},
    vpc: [],
    metadata: { closed: true, exceptUsers: [] },
  },
  ssh: { operatorKeys: [], nodeKey: "ed25519" },
  images: [],
  models: [],
  caches: [],
  files: [],
  pins: {},
  sources: {
    docker: "https://download.docker.com/linux/static/stable",
    buildx: "https://github.com/docker/buildx/releases/download",
    agent: "https://github.com/buildkite/agent/releases/download",
    goss: "https://github.com/goss-org/goss/releases/download",
    releases: "https://api.github.com",
    openeuler: "https://repo.openeuler.org",
    modelscope: "https://www.modelscope.cn",
    huggingface: "https://huggingface.co",
    registries: {},
    insecureRegistries: [],
  },
  checks: { gossVersion: "0.4.9", interval: 60 },
  rollout: {
    canary: 1,
    wave: "10%",
    maxFailed: 0,
    minHealthy: "75%",
    canarySoak: 900,
    soak: 300,
    changeTimeout: 1800,
    readyTimeout: 1800,
    interval: 15,
  },
};

describe("defaults", () => {
  const optional = Object.entries(Profile.shape).flatMap(([key, type]) => (isOptional(type) ? [key] : []));

  test("a section that is left out has every default of its settings", () => {
    expect(optional.toSorted()).toEqual(Object.keys(defaults).toSorted());
    const written = Object.fromEntries(Object.entries(right).filter(([key]) => !optional.includes(key)));
    expect(Profile.parse(written)).toMatchObject(defaults);
  });

  test("so has one that says nothing, or one thing", () => {
    expect(Profile.parse({ ...right, network: {}, sources: {}, checks: {}, ssh: {} })).toMatchObject({
      network: defaults.network,
      sources: defaults.sources,
      checks: defaults.checks,
      ssh: defaults.ssh,
    });
    expect(Profile.parse({ ...right, network: { metadata: { closed: false } } }).network).toEqual({
      caCertificates: [],
      gitRewrites: [],
      registryMirrors: {},
      vpc: [],
      metadata: { closed: false, exceptUsers: [] },
    });
  });

  test("editors are told the same", () => {
    const { properties } = JSON.parse(readFileSync(join(root, "schema/profile.schema.json"), "utf8")) as {
      properties: Record<string, { default?: unknown; properties?: Record<string, { default?: unknown }> }>;
    };
    for (const [key, value] of Object.entries(defaults)) expect(properties[key]?.default, key).toEqual(value);
    expect(properties["network"]?.properties?.["metadata"]?.default).toEqual(defaults.network.metadata);
  });
});

test("targets are the keys of one table", () => {
  expect(targetNames).toEqual(["qemu", "huaweicloud"]);
  expect(Object.keys(Profile.shape.targets.shape)).toEqual(targetNames);
});

test("a misspelt key carries the one that is meant, which is not missed besides", () => {
  const { buildx, ...others } = right;
  const { problems, profile } = checkShape({ ...others, bildx: buildx });
  expect(problems).toMatchObject([
    { code: "BK103", path: ["bildx"], meant: ["buildx"], label: "did you mean buildx?" },
  ]);
  expect(profile).toBeDefined();
  const unlike = checkShape({ ...right, zzzzzz: 1 }).problems;
  expect(unlike).toHaveLength(1);
  expect(unlike[0]).not.toHaveProperty("meant");
});

describe("a public key", () => {
  const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILQis7noIZ99mnJYBtBmHDveCP9CmQND01H06fPKNars";

  test.each([key, `${key} operator@example`])("%s is one", (text) => {
    expect(isPublicKey(text)).toBe(true);
    expect(Profile.safeParse({ ...right, ssh: { operatorKeys: [text] } }).success).toBe(true);
  });

  const dss = Buffer.concat([Buffer.from([0, 0, 0, 7]), Buffer.from("ssh-dss")]).toString("base64");
  test.each([
    ["cut off", key.slice(0, -4)],
    ["of another type", key.replace("ssh-ed25519", "ssh-rsa")],
    ["behind options", `restrict ${key}`],
    ["on two lines", `${key} a\nb`],
    ["of a type that sshd no longer takes", `ssh-dss ${dss}`],
    ["without a space", "ssh-ed25519"],
    ["", ""],
  ])("%s is none, in a profile and in a file", (_, text) => {
    expect(isPublicKey(text)).toBe(false);
    expect(Profile.safeParse({ ...right, ssh: { operatorKeys: [text] } }).success).toBe(false);
  });
});
