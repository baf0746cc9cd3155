/** The power goes at the three worst points of a first boot; every copy of the disks must become the whole node. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Snapshot } from "../../src/check/vm.ts";
import { type GoldenImage, goldenImage, type StartedVm, testHost } from "./golden-image.ts";
import { bootAfterCut, buildersMade, firstBoot, until, written } from "./power-cuts.ts";

const host = testHost();
let golden: GoldenImage;
let first: StartedVm;
let inMkfs: Snapshot;
let inImages: Snapshot;
let inBuilders: Snapshot;

beforeAll(async () => {
  golden = await goldenImage();
  first = await firstBoot(host, golden);
  const { vm, folder } = first;
  const empty = await written(folder);
  await until("mkfs writes", async () => (await written(folder)) > empty, { everyMs: 10 });
  inMkfs = await vm.snapshot();
  // Docker itself writes next to nothing, the images have more than a hundred MiB.
  await until("an image is being loaded", async () => (await written(folder)) > 24 * 2 ** 20, { everyMs: 50 });
  inImages = await vm.snapshot();
  await until("the second builder is being made", async () => (await buildersMade(vm)) === 2, { everyMs: 200 });
  inBuilders = await vm.snapshot();
  await vm.kill();
});
afterAll(() => first.end());

const everything = { ready: true, builders: ["cachebuilder1", "cachebuilder2", "cachebuilder3", "cachebuilder4"] };

test("inside mkfs: made again", async () => {
  const outcome = await bootAfterCut(host, golden, first.identity, inMkfs);
  expect(outcome, outcome.why).toMatchObject(everything);
  expect(outcome.said).toMatch(/the power went while mkfs ran on .*: making it again\n.*making ext4 on /);
});

test("inside the first docker load: loaded again", async () => {
  const outcome = await bootAfterCut(host, golden, first.identity, inImages);
  expect(outcome, outcome.why).toMatchObject(everything);
  expect(outcome.said).toMatch(
    /^bake-storage: data disk is \S+ \(8\.0GiB, serial bake-power-cut\)\nbake-images: loading /,
  );
});

test("while builders are made: the others are made", async () => {
  const outcome = await bootAfterCut(host, golden, first.identity, inBuilders);
  expect(outcome, outcome.why).toMatchObject(everything);
  expect(outcome.said).toMatch(/^bake-builders: cachebuilder1 is there$/m);
  expect(outcome.said).toMatch(/^bake-builders: making cachebuilder4 /m);
});
