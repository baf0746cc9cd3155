/** One folder a case: profile.yaml and the exact report of `bake validate`. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadProfile } from "../../src/profile/load.ts";
import { rules } from "../../src/profile/rules/index.ts";
import { formatText } from "../../src/profile/report/text.ts";

const cases = readdirSync(import.meta.dirname, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

test.each(cases)("%s", async (name) => {
  const folder = join(import.meta.dirname, name);
  const read = (file: string): string | undefined =>
    existsSync(join(folder, file)) ? readFileSync(join(folder, file), "utf8") : undefined;
  const { profile, diagnostics, texts } = loadProfile(read("profile.yaml") ?? "", "profile.yaml", { rules, read });
  const failed = diagnostics.some(({ severity }) => severity === "error");
  expect(profile === undefined).toBe(failed);
  const report = diagnostics.map((each) => `${formatText(each, texts.get(each.file), false)}\n`).join("\n");
  await expect(report).toMatchFileSnapshot(join(folder, "expected.txt"));
});
