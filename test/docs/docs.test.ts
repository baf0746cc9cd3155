/** Pages and files that are made from the code, and what pages say by hand about it. `npm test -- -u` rewrites the former. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { errorCodes } from "../../src/error-codes.ts";
import { profileSchema } from "../../src/profile/json-schema.ts";
import { root } from "../../src/root.ts";
import { errorsPage } from "./errors-page.ts";
import { profilePage } from "./profile-page.ts";

test("docs/errors.md", async () => {
  await expect(errorsPage()).toMatchFileSnapshot(join(root, "docs/errors.md"));
});

test("docs/profile.md", async () => {
  await expect(profilePage()).toMatchFileSnapshot(join(root, "docs/profile.md"));
});

test("schema/profile.schema.json", async () => {
  await expect(`${JSON.stringify(profileSchema(), null, 2)}\n`).toMatchFileSnapshot(
    join(root, "schema/profile.schema.json"),
  );
});

const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && path !== "error-codes.ts")
  .map((path) => readFileSync(join(root, "src", path), "utf8"))
  .join("\n");

test("every code that is used is explained, and none besides", () => {
  const used = new Set(sources.match(/(?<=")BK\d{3}(?=")/g) ?? []);
  expect(Object.keys(errorCodes).toSorted()).toEqual([...used].toSorted());
});

test("every code of a profile has an example from a case that is tested", () => {
  const page = errorsPage();
  const withoutPlace = new Set(["BK100", "BK105", "BK110", "BK130", "BK131"]);
  for (const code of Object.keys(errorCodes).filter((each) => each.startsWith("BK1") && !withoutPlace.has(each))) {
    expect(page, code).toMatch(new RegExp(`^    (error|warning)\\[${code}\\]: `, "m"));
  }
});
