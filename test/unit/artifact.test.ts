/** The table of kinds: what every kind is asked, by an artifact of each. */
import { describe, expect, expectTypeOf, test } from "vitest";
import { type Artifact, digestOf, filesOf, kindOf, type PlainFile } from "../../src/artifact.ts";
import { pinFor, requirementsOf } from "../../src/lock/requirements.ts";
import { withLockedVersions } from "../../src/plan/locked-versions.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { readProfile, trialLock } from "../plan-of.ts";

const file: PlainFile = {
  kind: "file",
  name: "opt/x",
  version: "1",
  asked: "https://example.com/x",
  url: "https://example.com/x",
  size: 1,
  sha256: "a".repeat(64),
  trust: "profile",
};
const model: Artifact = {
  kind: "model",
  hub: "modelscope",
  name: "Qwen/Qwen3-0.6B",
  version: "abc123",
  asked: "master",
  files: [{ path: "config.json", url: "https://example.com/config.json", size: 2, sha256: "a".repeat(64) }],
};

const byKind = new Map([...trialLock.artifacts, file, model].map((artifact) => [artifact.kind, artifact]));

const facts = (kind: Artifact["kind"]): unknown[] => {
  const artifact = byKind.get(kind);
  if (artifact === undefined) throw new Error(`no ${kind} to look at`);
  const { noun, section, cyclonedxType, isArchive, install } = kindOf(artifact);
  return [noun, section.join("."), cyclonedxType, isArchive, install];
};

test.each([
  ["base", ["the base ", "targets.qemu", "operating-system", false, "disk"]],
  ["docker-static", ["", "docker", "application", true, "release"]],
  ["buildx", ["", "buildx", "application", false, "release"]],
  ["buildkite-agent", ["", "agents", "application", true, "release"]],
  ["goss", ["", "checks", "application", false, "release"]],
  ["file", ["the file ", "files", "file", false, "file"]],
  ["container-image", ["the image ", "images", "container", false, "image-blobs"]],
  ["model", ["the model ", "models", "machine-learning-model", false, "model-files"]],
] as const)("%s", (kind, expected) => {
  expect(facts(kind)).toEqual(expected);
});

test("these are all kinds", () => {
  expect([...byKind.keys()].toSorted()).toEqual(
    [
      "base",
      "build-cache",
      "buildkite-agent",
      "buildx",
      "container-image",
      "docker-static",
      "file",
      "goss",
      "model",
    ].toSorted(),
  );
});

test("a kind's functions take an artifact of that kind alone", () => {
  expectTypeOf(kindOf(file).digest).parameters.toEqualTypeOf<[PlainFile]>();
});

test("every artifact has files and one digest", () => {
  for (const artifact of byKind.values()) {
    expect(filesOf(artifact).length, artifact.kind).toBeGreaterThan(0);
    expect(digestOf(artifact), artifact.kind).toMatch(/^[0-9a-f]{64}$/);
    expect(filesOf(artifact).every(({ architecture }) => architecture === artifact.architecture)).toBe(true);
  }
});

describe("a pin", () => {
  const pins = {
    "opt/data": { reason: "no" },
    "quay.io/ascend/cann": { reason: "any tag" },
    "quay.io/ascend/cann:9": {},
  };

  test("of an image is for one tag, or for all", () => {
    expect(pinFor(pins, { kind: "container-image", name: "quay.io/ascend/cann:8" })).toEqual({ reason: "any tag" });
    expect(pinFor(pins, { kind: "container-image", name: "quay.io/ascend/cann:9" })).toEqual({});
    expect(pinFor(pins, { kind: "container-image", name: "localhost:5000/quay.io/ascend/cann:9" })).toBe(undefined);
  });

  test("of a file is for its whole name: a colon in it begins no tag", () => {
    expect(pinFor(pins, { kind: "file", name: "opt/data:2" })).toBe(undefined);
  });
});

test("a model's branch that looks like an open version is none", () => {
  const profile: Profile = {
    ...readProfile(),
    models: [{ modelscope: "Qwen/Qwen3-0.6B", revision: "1.0.x", from: "image" }],
  };
  const locked = { kind: "model", version: "abc123" } as const;
  expect(withLockedVersions(profile, requirementsOf(profile), [locked])).toEqual(profile);
});

test("open versions of every program are those of the lock", () => {
  const profile = readProfile();
  const open = {
    ...profile,
    docker: { ...profile.docker, version: "26.1.x" },
    buildx: { ...profile.buildx, version: "0.13.x" },
    agents: { ...profile.agents, version: "3.59.x" },
    checks: { ...profile.checks, gossVersion: "0.4.x" },
  };
  const versions = (of: typeof profile) =>
    requirementsOf(of).flatMap(({ kind, asked }) =>
      ["docker-static", "buildx", "buildkite-agent", "goss"].includes(kind) ? [asked] : [],
    );
  expect(versions(open)).toEqual(["26.1.x", "0.13.x", "3.59.x", "0.4.x"]);
  expect(versions(withLockedVersions(open, requirementsOf(open), trialLock.artifacts))).toEqual([
    "26.1.5",
    "0.13.1",
    "3.59.0",
    "0.4.9",
  ]);
  expect(versions(withLockedVersions(profile, requirementsOf(profile), trialLock.artifacts))).toEqual(
    versions(profile),
  );
});
