/** The power goes at the three worst points of a first boot; every copy of the disks must become the whole node. */
import { describe, expect, test } from "vitest";
import { testHost } from "../golden-image.ts";
import type { FirstNode } from "./events.ts";
import { bootAfterCut, type Outcome } from "./power-cuts.ts";

const host = testHost();

const everything = { ready: true, builders: ["cachebuilder1", "cachebuilder2", "cachebuilder3", "cachebuilder4"] };

/** Registers the tests. */
export const powerCuts = (node: FirstNode): void => {
  const bootAgain = (cut: keyof FirstNode["cuts"]): Promise<Outcome> =>
    bootAfterCut(host, node.golden, node.started.identity, node.cuts[cut]);

  describe("the power goes during the first boot", () => {
    test("inside mkfs: made again", async () => {
      const outcome = await bootAgain("inMkfs");
      expect(outcome, outcome.why).toMatchObject(everything);
      expect(outcome.said).toMatch(/the power went while mkfs ran on .*: making it again\n.*making ext4 on /);
    });

    test("inside the first docker load: loaded again", async () => {
      const outcome = await bootAgain("inImages");
      expect(outcome, outcome.why).toMatchObject(everything);
      expect(outcome.said).toMatch(/^bake-storage: data disk is \S+ \(8\.0GiB, serial bake-test\)$/m);
      expect(outcome.said).toMatch(/^bake-images: loading /m);
    });

    test("while builders are made from an image that is not on the disk yet: image and builders are made anew", async () => {
      const outcome = await bootAgain("inBuilders");
      expect(outcome, outcome.why).toMatchObject(everything);
      expect(outcome.said).toMatch(/^bake-builders: making cachebuilder4 /m);
    });
  });
};
