/** One folder a case: profile.yaml and the exact report of `bake validate`. codes.ts says what each is about. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { errorCodes } from "../../src/error-codes.ts";
import { codesOf, withoutCase } from "./codes.ts";
import { negativeCases, reportOf } from "./reports.ts";

test.each(negativeCases)("%s", async (name) => {
  const { accepted, loaded, codes, problems } = reportOf(name);
  expect(loaded).toBe(accepted);
  expect(codes, "profile.yaml has nothing wrong: fill it in").not.toEqual([]);
  expect([...new Set(codes)].toSorted(), `test/negative/codes.ts says what ${name} is about`).toEqual(codesOf[name]);
  await expect(problems.join("\n")).toMatchFileSnapshot(join(import.meta.dirname, name, "expected.txt"));
});

test("codes.ts names the folders and no others", () => {
  expect(Object.keys(codesOf).toSorted()).toEqual(negativeCases);
});

test("every code of a profile has a case, but for those that no profile's text gives", () => {
  const shown = new Set(Object.values(codesOf).flat());
  const codes = Object.keys(errorCodes).filter((code) => code.startsWith("BK1"));
  expect(codes.filter((code) => !shown.has(code)).toSorted()).toEqual(Object.keys(withoutCase).toSorted());
});
