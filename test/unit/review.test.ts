/** The last look at rendered user-data: what it finds is told where the profile says what it came from. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { planFor } from "../../src/commands/plan.ts";
import { diagnosticsOf, loadProfile } from "../../src/profile/load.ts";
import { rules } from "../../src/commands/rules.ts";
import { formatText } from "../../src/profile/report/text.ts";
import { reviewUserData } from "../../src/render/review.ts";
import { instanceUserData, templateNames } from "../../src/render/tree.ts";
import { type Templates } from "../../src/render/templates.ts";
import { type Instance } from "../../src/node/concern.ts";
import { userDataOrigins } from "../../src/render/user-data.ts";
import { root } from "../../src/host/root.ts";
import { cloudConfigProblems } from "../cloud-config-schema.ts";
import { needs } from "../needs.ts";

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILQis7noIZ99mnJYBtBmHDveCP9CmQND01H06fPKNars operator@example";
const profileText = `extends: 2cards
ssh:
  operatorKeys:
    - ${key}
    - ${key.replace("operator", "second")}
secrets:
  agentToken: { env: AGENT_TOKEN }
  gitToken: { env: GIT_TOKEN }
`;
const read = (path: string): string => readFileSync(path, "utf8");
const { profile, tree, texts } = loadProfile(profileText, "site.yaml", {
  rules,
  read: (path) => (existsSync(path) ? read(path) : undefined),
  own: join(root, "profiles"),
});
if (profile === undefined || tree === undefined) throw new Error("the profile is wrong");
const plan = planFor({ name: "site", profile });
const templates: Templates = Object.fromEntries(templateNames(plan).map((name) => [name, read(join(root, name))]));
const instance: Instance = { agentToken: "token", gitToken: "git", authorizedKeys: [], environment: { A: "b" } };
const text = instanceUserData(plan, templates, instance);
const origins = userDataOrigins(plan, instance);
const report = (changed: string): string[] =>
  diagnosticsOf(tree, "BK135", reviewUserData(changed, origins)).map((each) =>
    formatText(each, texts.get(each.file), false),
  );

needs("cloud-init's schema").test("finds nothing in what bake renders, as cloud-init's own schema does", () => {
  expect(report(text)).toEqual([]);
  expect(cloudConfigProblems(parse(text))).toBe("");
});

describe("points at the line that the wrong part came from", () => {
  needs("cloud-init's schema").test.each([
    ["a key that YAML reads as something else", text.replace(/- ssh-ed25519 .* second@example/, "- yes"), 5],
    [
      "a mode that is a number",
      text.replace(/(GIT|private)[\s\S]*?permissions: "0600"/, (found) => found.replace('"0600"', "0600")),
      8,
    ],
    [
      "a token's file without a path",
      text.replace("  - path: /etc/bake/secrets/agent-token", "  - way: /etc/bake/secrets/agent-token"),
      7,
    ],
  ])("%s", (_, changed, line) => {
    expect(changed).not.toBe(text);
    const found = diagnosticsOf(tree, "BK135", reviewUserData(changed, origins));
    expect(found.length).toBeGreaterThan(0);
    for (const each of found) expect([each.file, each.line]).toEqual(["site.yaml", line]);
    // Wrong for cloud-init too, which is asked with its own schema.
    expect(cloudConfigProblems(parse(changed, { version: "1.1" }))).not.toBe("");
  });

  test("whole, with a frame and without the value", () => {
    expect(report(text.replace(/- ssh-ed25519 .* second@example/, "- 12345"))).toEqual([
      [
        "error[BK135]: rendered user-data is not what cloud-init takes: /users/0/ssh_authorized_keys/1: Invalid input: expected string, received number",
        " --> site.yaml:5:7",
        "  |",
        `5 |     - ${key.replace("operator", "second")}`,
        `  |       ${"^".repeat(key.length - 2)}`,
        "  = help: a fault of bake: tell its makers, with this message",
      ].join("\n"),
    ]);
  });

  test.each([
    ["no YAML", "a: [", "it is no YAML"],
    ["not ASCII", `${text}# \u00e9\n`, "a character that is not ASCII"],
    ["a key that is not bake's", `${text}packages: [x]\n`, 'Unrecognized key: "packages"'],
  ])("%s is told at the profile's beginning", (_, changed, message) => {
    expect(report(changed).join("\n")).toContain(message);
  });
});
