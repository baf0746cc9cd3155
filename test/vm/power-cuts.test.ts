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

test("the power goes inside mkfs: made again", async () => {
  const outcome = await bootAgain("inMkfs");
  expect(outcome, outcome.why).toMatchObject(everything);
  expect(outcome.said).toMatch(/the power went while mkfs ran on .*: making it again\n.*making ext4 on /);
});

test("the power goes inside the first docker load: loaded again", async () => {
  const outcome = await bootAgain("inImages");
  expect(outcome, outcome.why).toMatchObject(everything);
  expect(outcome.said).toMatch(/^bake-storage: data disk is \S+ \(8\.0GiB, serial bake-test\)$/m);
  expect(outcome.said).toMatch(/^bake-images: loading /m);
});

test("the power goes while builders are made from an image that is not on the disk yet: image and builders are made anew", async () => {
  const outcome = await bootAgain("inBuilders");
  expect(outcome, outcome.why).toMatchObject(everything);
  expect(outcome.said).toMatch(/^bake-builders: making cachebuilder4 /m);
});
