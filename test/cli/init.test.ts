/** `bake init` as a user runs it. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newProfile } from "../../src/profile/new-profile.ts";
import { loadProfile } from "../../src/profile/load.ts";
import { rules } from "../../src/commands/rules.ts";
import { root } from "../../src/host/root.ts";
import { hostileStrings } from "../hostile.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-init-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const bake = (...args: string[]) =>
  spawnSync(join(root, "bin/bake"), args, { cwd: folder, encoding: "utf8", input: "" });

test("with options it asks nothing, and what it writes validates and renders", () => {
  const { status, stdout, stderr } = bake(
    ...["init", "site", "--cards", "4", "--queue", "npu", "--pypi-cache", "http://192.0.2.10:3141/"],
    ...["--git-proxy", "https://proxy.example.com", "--token-env", "AGENT_TOKEN", "--architecture", "x86_64"],
    ...["--image", "quay.io/example/one:1", "--image", "quay.io/example/two:2"],
  );
  expect(status, stderr).toBe(0);
  expect(stdout).toContain("next: bake validate --profile site --explain");
  expect(bake("validate", "--profile", "site")).toMatchObject({ status: 0, stderr: "" });
  expect(bake("render", "--profile", "site").status).toBe(0);
  const { profile } = loadProfile(readFileSync(join(folder, "profiles/site.yaml"), "utf8"), "site.yaml", { rules });
  expect(profile).toMatchObject({
    agents: { spawn: 2, cards: 4, npus: 8, queue: "npu" },
    network: {
      pypiCache: { host: "192.0.2.10", port: 3141 },
      gitProxy: { for: "https://github.com/", via: "https://proxy.example.com/https://github.com/" },
    },
    images: ["quay.io/example/one:1", "quay.io/example/two:2"],
    secrets: { agentToken: { env: "AGENT_TOKEN" } },
    targets: { qemu: { architecture: "x86_64" } },
  });
  expect(readFileSync(join(folder, "profiles/profile.schema.json"), "utf8")).toBe(
    readFileSync(join(root, "schema/profile.schema.json"), "utf8"),
  );
});

test("without any it takes what suits most", () => {
  expect(bake("init", "plain").status).toBe(0);
  expect(bake("validate", "--profile", "plain")).toMatchObject({ status: 0, stderr: "" });
});

test("nothing is written over, and nothing that does not validate", () => {
  mkdirSync(join(folder, "profiles"));
  writeFileSync(join(folder, "profiles/mine.yaml"), "mine\n");
  expect(bake("init", "mine").stderr).toContain("error[BK130]: profiles/mine.yaml is there already");
  expect(readFileSync(join(folder, "profiles/mine.yaml"), "utf8")).toBe("mine\n");
  const wrong = bake("init", "wrong", "--cards", "16", "--queue", "two words");
  expect(wrong.status).toBe(1);
  expect(wrong.stderr).toContain("error[BK119]");
  expect(wrong.stderr).toContain("error[BK102]: agents.queue cannot be");
  expect(wrong.stderr).toMatch(/nothing was written\n$/);
  for (const args of [
    ["../x"],
    ["x", "--npus", "many"],
    ["x", "--pypi-cache", "host"],
    ["x", "--git-proxy", "proxy"],
    ["x", "--from-host", "a b"],
  ]) {
    expect(bake("init", ...args)).toMatchObject({ status: 2, stdout: "" });
  }
  expect(readdirSync(join(folder, "profiles"))).toEqual(["mine.yaml"]);
});

test("no answer gets out of its place", () => {
  for (const text of hostileStrings(600)) {
    const written = newProfile(
      {
        npus: 8,
        cards: 2,
        queue: text,
        architecture: text,
        base: text,
        adopt: text,
        images: [text, text],
        agentToken: { file: text },
        from: text,
      },
      "./profile.schema.json",
    );
    const { diagnostics, tree } = loadProfile(written, "p.yaml", { rules });
    // One text may be refused at several places, but it never is another key, nor the end of the document.
    expect(
      diagnostics.filter(({ code }) => code === "BK101" || code === "BK103"),
      JSON.stringify(text.slice(0, 100)),
    ).toEqual([]);
    expect(tree).toBeDefined();
  }
});
