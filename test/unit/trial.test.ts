import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { registration } from "../../src/trial/foreign.ts";
import { isAtLeast } from "../../src/formats/version.ts";
import { imageConfig } from "../../src/trial/docker-archive.ts";
import { formatSubstitutions, substitute } from "../../src/trial/substitutions.ts";
import { judge, parseReport, summarize } from "../../src/check/results.ts";
import { readProfile, trialPlan } from "../plan-of.ts";

test.each([
  ["1.11.2", "1.11.0", true],
  ["1.9.9", "1.11", false],
  ["2", "1.11", true],
  ["1.24", "1.24.0", true],
])("%s at least %s: %s", (a, b, expected) => {
  expect(isAtLeast(a, b)).toBe(expected);
});

test("an image's configuration names its layer", () => {
  expect(JSON.parse(imageConfig({ Env: [] }, "ab"))).toMatchObject({
    os: "linux",
    rootfs: { diff_ids: ["sha256:ab"] },
  });
});

describe("a trial", () => {
  const profile = readProfile();
  const { profile: trial, substitutions } = substitute(profile);

  test("changes sources, versions and sizes only", () => {
    expect(trial.agents).toEqual({ ...profile.agents, version: trial.agents.version });
    expect(trial.docker).toEqual({ ...profile.docker, version: trial.docker.version });
    expect(trial.storage).toEqual({
      ...profile.storage,
      minSize: trial.storage.minSize,
      minFree: trial.storage.minFree,
      systemMinFree: trial.storage.systemMinFree,
    });
    expect(trial.network).toEqual(profile.network);
  });

  test("carries its image, wherever the profile has its own from, and says so", () => {
    const images = [
      { image: "quay.io/a/small:1", from: "image" as const },
      { image: "quay.io/a/large:1", from: "mirror" as const },
    ];
    const { profile: made, substitutions: rows } = substitute({ ...profile, images });
    expect(made.images).toEqual([{ image: "bake.local/trial/busybox:1", from: "image" }]);
    expect(rows.find(({ what }) => what === "images")).toMatchObject({
      profile: "quay.io/a/small:1, quay.io/a/large:1 (from: mirror)",
      trial: "bake.local/trial/busybox:1",
    });
  });

  test("is for the processors that the profile is for", () => {
    const arm = substitute(readProfile(join(root, "profiles/2cards-aarch64.yaml")));
    expect(arm.profile.targets.qemu?.architecture).toBe("aarch64");
    expect(arm.substitutions.map(({ what }) => what)).not.toContain("targets.qemu.architecture");
    const cloud = { huaweicloud: { architecture: "aarch64", region: "r" } } as Profile["targets"];
    expect(substitute({ ...profile, targets: cloud }).profile.targets.qemu?.architecture).toBe("aarch64");
  });

  test("programs of other processors are handed to an emulator by their ELF headers", () => {
    // As Debian's qemu-user registers it (/usr/lib/binfmt.d/qemu-aarch64.conf), with another name, interpreter and flags.
    expect(registration("bake-1", "aarch64", "/usr/bin/qemu-aarch64-static")).toBe(
      String.raw`:bake-1:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:OCF`,
    );
  });

  test("says all that it changes", () => {
    const named = substitutions.map(({ what }) => what);
    for (const what of ["docker.version", "buildx.version", "agents.version", "builders.image", "images", "NPUs"]) {
      expect(named).toContain(what);
    }
    expect(formatSubstitutions(substitutions).split("\n")).toHaveLength(substitutions.length + 1);
  });
});

describe("goss reports", () => {
  const { checks } = trialPlan();
  const check = checks.filter(({ id }) => id === "docker-version");
  const result = (successful: boolean) => ({
    successful,
    "resource-type": "Command",
    "resource-id": "docker-version",
    property: "stdout",
  });

  test("a check passes when every property holds, and fails when goss did not look", () => {
    const outcome = (results: object[]) =>
      judge(check, parseReport(`noise before\n${JSON.stringify({ results })}`)).map((one) => one.outcome);
    expect(outcome([result(true), result(true)])).toEqual(["passed"]);
    expect(outcome([result(true), result(false)])).toEqual(["failed"]);
    expect(outcome([])).toEqual(["failed"]);
  });

  test("no report is an error", () => {
    expect(() => parseReport("Error: nothing")).toThrow(/no report/);
  });

  test("a failed advisory check does not count as failed", () => {
    const advisory = checks.filter(({ level }) => level === "advisory");
    expect(summarize(judge(advisory, []))).toMatchObject({ failed: 0, advisory: advisory.length });
  });
});
