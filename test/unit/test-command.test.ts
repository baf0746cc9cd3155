/** bin/test names every VM test file with the time it takes: one that is not named would never run. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../src/host/root.ts";

const files = readdirSync(join(root, "test/vm"))
  .filter((name) => name.endsWith(".test.ts"))
  .map((name) => name.slice(0, -".test.ts".length))
  .toSorted();

test("bin/test names every VM test file, the one that bakes first", () => {
  const [, list = ""] = /^vm_files="([^"]*)"$/m.exec(readFileSync(join(root, "bin/test"), "utf8")) ?? [];
  const named = list.split(" ").map((each) => each.replace(/:\d+$/, ""));
  expect(named[0]).toBe("bake");
  expect(named.toSorted()).toEqual(files);
  expect(list).toMatch(/^(?:[a-z-]+:\d+ ?)+$/);
});
