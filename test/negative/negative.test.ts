/** One folder a case: profile.yaml and the exact report of `bake validate`. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { formatDiagnostic } from "../../src/profile/diagnostics.ts";
import { loadProfile } from "../../src/profile/load.ts";

const cases = readdirSync(import.meta.dirname, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

test.each(cases)("%s", async (name) => {
  const text = readFileSync(join(import.meta.dirname, name, "profile.yaml"), "utf8");
  const { profile, diagnostics } = loadProfile(text, "profile.yaml");
  expect(profile).toBeUndefined();
  const report = diagnostics.map((diagnostic) => `${formatDiagnostic(diagnostic, text, false)}\n`).join("\n");
  await expect(report).toMatchFileSnapshot(join(import.meta.dirname, name, "expected.txt"));
});
