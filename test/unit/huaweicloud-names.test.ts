/** Names that a bake takes in the cloud. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { planFor } from "../../src/commands/plan.ts";
import { root } from "../../src/host/root.ts";
import { serverName } from "../../src/targets/huaweicloud.ts";
import { hostileStrings } from "../hostile.ts";
import { readProfile, render } from "../plan-of.ts";

test("a server's name is one that the cloud takes, whatever the profile is called, and ends in the bake id's beginning", () => {
  const bakeId = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE";
  expect(serverName("2cards", bakeId)).toBe("bake-2cards-AbCdEfGhIj");
  expect(serverName("2cards", undefined)).toBe("bake-2cards");
  for (const profile of [...hostileStrings(300), "x".repeat(200), "卡 2"]) {
    for (const id of [bakeId, undefined]) expect(serverName(profile, id)).toMatch(/^[A-Za-z0-9_.-]{1,64}$/);
    expect(serverName(profile, bakeId)).toMatch(/-AbCdEfGhIj$/);
  }
});

test("the default enterprise project is called 0", () => {
  const folder = mkdtempSync(join(tmpdir(), "bake-names-"));
  try {
    const golden = JSON.stringify(join(root, "test/golden/cloud/profile.yaml"));
    const text = `extends: ${golden}\ntargets: { huaweicloud: { enterpriseProject: "0" } }\n`;
    writeFileSync(join(folder, "site.yaml"), text);
    const plan = planFor({ name: "site", profile: readProfile(join(folder, "site.yaml")), target: "huaweicloud" });
    const template = render(plan).files.find(({ path }) => path === "packer/huaweicloud.pkr.hcl");
    expect(template?.content).toContain('enterprise_project_id = "0"\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
