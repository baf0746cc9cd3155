/** docs/hosts.md says what was proven where, and what a first real run tells: made from a table, whose names are there. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { checkIds } from "./scripts-of-nodes.ts";
import { hostsTables, proofs, unknowns } from "./systems.ts";

test("docs/hosts.md's tables", async () => {
  const page = join(root, "docs/hosts.md");
  const { proven, unknown } = hostsTables();
  let made = readFileSync(page, "utf8");
  for (const [name, table] of Object.entries({ proven, unknown })) {
    const block = new RegExp(`(<!-- ${name}: [^\\n]*-->\\n\\n)[\\s\\S]*?(\\n<!-- end of ${name} -->)`);
    expect(made).toMatch(block);
    made = made.replace(block, (_, start: string, end: string) => `${start}${table}${end}`);
  }
  await expect(made).toMatchFileSnapshot(page);
});

test("each proof is a test that is there, or says that it was made by hand", () => {
  for (const { system, how, by = [], note } of proofs) {
    for (const file of by) expect(existsSync(join(root, file)), file).toBe(true);
    if (by.length === 0 && how !== "never") expect(note, system).toBeDefined();
  }
});

test("each of what is not known has a check, or a command", () => {
  for (const [what, checks, otherwise] of unknowns) {
    expect(checks.length > 0 || otherwise !== undefined, what).toBe(true);
    for (const id of checks) expect(checkIds, what).toContain(id);
  }
});
