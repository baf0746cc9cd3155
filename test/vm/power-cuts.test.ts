/** The power goes at the three worst points of a first boot; every copy of the disks must become the whole node. */
import { expect, test } from "vitest";
import { testHost } from "./golden-image.ts";
import { bootAfterCut, type Outcome } from "./node/power-cuts.ts";
import { type ReadyNode, readyDisks } from "./node/ready-node.ts";

const host = testHost();

const everything = { ready: true, builders: ["cachebuilder1", "cachebuilder2", "cachebuilder3", "cachebuilder4"] };

const bootAgain = async (cut: keyof ReadyNode["cuts"]): Promise<Outcome> => {
  const node = await readyDisks();
  return bootAfterCut(host, node.golden, node.identity, node.cuts[cut]);
};

const data = /^bake-storage: data disk is \S+ \(8\.0GiB, serial bake-test\)$/m;

test("the power goes when the seed's marker is written: the seed is", async () => {
  const outcome = await bootAgain("atMarker");
  expect(outcome, outcome.why).toMatchObject(everything);
  expect(outcome.said).toMatch(/^bake-storage: writing the seed to /m);
  expect(outcome.said).toMatch(data);
});

test("the power goes while ranges of the seed are written: gone on with, and no image is loaded", async () => {
  const outcome = await bootAgain("inSeed");
  expect(outcome, outcome.why).toMatchObject(everything);
  expect(outcome.said).toMatch(/^bake-seed: going on with the seed of /m);
  expect(outcome.said).toMatch(data);
  expect(outcome.said).not.toMatch(/^bake-images: loading /m);
});

test("the power goes while builders are made from an image that is not on the disk yet: image and builders are made anew", async () => {
  const outcome = await bootAgain("inBuilders");
  expect(outcome, outcome.why).toMatchObject(everything);
  expect(outcome.said).toMatch(/^bake-builders: making cachebuilder4 /m);
});
