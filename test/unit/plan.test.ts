/** The merge of what concerns contribute: order, and what is carried by value where text used to be looked at. */
import { describe, expect, test } from "vitest";
import type { Contribution } from "../../src/node/concern.ts";
import { concerns } from "../../src/node/index.ts";
import { basicHeader, placeholderHeader, secretPlaceholder } from "../../src/node/secret-placeholder.ts";
import { inOrder } from "../../src/plan/order.ts";
import { contributionsOf } from "../../src/plan/plan.ts";
import { nodeArchive } from "../../src/render/stock.ts";
import { planTarget } from "../../src/targets/index.ts";
import { readProfile, render, trialPlan } from "../plan-of.ts";

describe("order", () => {
  test("lower first, what says nothing in the middle, the same order as it came", () => {
    const items = [{ id: "a" }, { id: "b", order: 900 }, { id: "c", order: 10 }, { id: "d" }, { id: "e", order: 10 }];
    expect(inOrder(items).map(({ id }) => id)).toEqual(["c", "e", "a", "d", "b"]);
  });

  test("no two things of one place: files, units, scripts, directories, check ids", () => {
    const { files, units, scripts, directories, checks } = trialPlan();
    for (const places of [
      files.map(({ path }) => path),
      units.map(({ name }) => name),
      scripts.map(({ name }) => name),
      directories.map(({ path }) => path),
      checks.map(({ id }) => id),
    ]) {
      expect(places).toEqual([...new Set(places)]);
    }
  });
});

describe("concerns", () => {
  test("have names of their own", () => {
    const names = concerns.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)]);
  });

  test("contribute the same again: they keep nothing", () => {
    const profile = readProfile();
    const contribute = (): Contribution[] =>
      contributionsOf({ name: "2cards", profile, target: planTarget("2cards", profile) }).contributed.map(
        ({ contribution }) => contribution,
      );
    expect(JSON.stringify(contribute())).toBe(JSON.stringify(contribute()));
  });
});

describe("placeholders of secrets", () => {
  test("a check knows the header that holds one by the same value", () => {
    expect(basicHeader(secretPlaceholder("gitToken"))).toContain(` ${placeholderHeader}`);
    expect(basicHeader("ghp_1234567890")).not.toContain(` ${placeholderHeader}`);
  });
});

describe("the archive of a stock image", () => {
  test("leaves out what is marked, and the list of files with it", () => {
    const rendered = render(trialPlan());
    const left = rendered.nodeFiles.filter(({ bakeOnly }) => bakeOnly).map(({ path }) => path);
    expect(left).toEqual(["/etc/cloud/cloud.cfg.d/90_bake.cfg"]);
    const archive = nodeArchive(rendered).toString("latin1");
    for (const path of left) expect(archive).not.toContain(path.slice(1));
    expect(archive).toContain("etc/bake/storage.env");
  });
});
