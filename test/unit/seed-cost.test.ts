/** What the plan says of the seed: what each choice costs. */
import { expect, test } from "vitest";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Artifact } from "../../src/artifact.ts";
import { planFor } from "../../src/commands/plan.ts";
import { root } from "../../src/host/root.ts";
import { rangesAtATime, seedCost } from "../../src/node/storage/seed-cost.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { substitute } from "../../src/trial/substitutions.ts";
import { readProfile, trialLock } from "../plan-of.ts";

const gib = 2 ** 30;
const { profile } = substitute(readProfile());
/** Nine GiB of layers, which two images share, and nothing else. */
const artifacts: readonly Artifact[] = trialLock.artifacts.map((each) =>
  each.kind === "container-image"
    ? { ...each, layers: [{ digest: `sha256:${"1".repeat(64)}`, size: 9 * gib, mediaType: "x" }] }
    : each,
);
const rows = (storage: Partial<Profile["storage"]>, targets: Partial<Profile["targets"]> = {}, locked = true) => {
  const changed = {
    ...profile,
    models: [],
    caches: [],
    storage: { ...profile.storage, ...storage },
    targets: { ...profile.targets, ...targets },
  };
  const { facts } = planFor({ name: "2cards", trial: true, profile: changed, lock: trialLock });
  return seedCost(changed, facts, locked ? artifacts : undefined).map(({ what, value }) => `${what}: ${value}`);
};

test("the defaults, and what the smallest image would cost", () => {
  expect(rows({})).toEqual([
    "seed: about 8.7 GiB in the image, 60 s to read at a first boot (zstd -3, window 8 MiB, 10 ranges at a time at the most); 22.5 GiB on the data disk; at 150 MiB/s",
    "seed, otherwise: about 6.5 GiB in the image, 45 s to read at a first boot (zstd -12, window 128 MiB, one range at a time at the most)",
  ]);
});

test("the smallest, on a disk of the cloud, and what the defaults would cost", () => {
  const huaweicloud = { diskSize: 100, diskType: "SSD" } as NonNullable<Profile["targets"]["huaweicloud"]>;
  expect(rows({ seed: { level: 12, window: 128 } }, { huaweicloud })).toEqual([
    "seed: about 6.5 GiB in the image, 40 s to read at a first boot (zstd -12, window 128 MiB, one range at a time at the most); 22.5 GiB on the data disk; at 170 MiB/s, which a system disk of 100 GiB SSD gives",
    "seed, otherwise: about 8.7 GiB in the image, 53 s to read at a first boot (zstd -3, window 8 MiB, 10 ranges at a time at the most)",
  ]);
});

test("a large window at a low level lies between both", () => {
  expect(rows({ seed: { level: 3, window: 128 } })[0]).toContain("about 7.3 GiB in the image");
});

test("before there is a lock how it is packed, and nothing where there is no seed", () => {
  expect(rows({}, {}, false)).toEqual(["seed: zstd -3, window 8 MiB, 10 ranges at a time at the most"]);
  expect(rows({ filesystem: "xfs" })).toEqual([]);
});

test("the node's script counts ranges as the plan does", () => {
  const script = readFileSync(join(root, "templates/node/bake-seed"), "utf8");
  expect(script).toContain("count=$((224 / (${window:-8} + 14)))");
  expect([8, 16, 32, 64, 128].map(rangesAtATime)).toEqual([10, 7, 4, 2, 1]);
  // Windows and what else each takes.
  for (const window of [8, 16, 32, 64, 128]) expect(rangesAtATime(window) * (window + 14)).toBeLessThanOrEqual(256);
});
