/** `bake lock` where no network is: a line a host, soon, and no compiler was started. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-dead-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("lock without a network", () => {
  mkdirSync(join(folder, "bin"));
  // Says that it was called; a real one would fetch modules first.
  writeFileSync(join(folder, "bin/go"), `#!/bin/sh\necho "$@" >>${join(folder, "go-called")}\nexit 1\n`);
  chmodSync(join(folder, "bin/go"), 0o755);
  const names = ["docker", "buildx", "agent", "goss", "openeuler", "modelscope", "huggingface", "releases"];
  writeFileSync(
    join(folder, "site.yaml"),
    [
      "extends: 2cards",
      "images: [127.0.0.1:2/a/one:1, 127.0.0.1:2/a/two:1, 127.0.0.1:2/a/three:1]",
      "builders: { image: 127.0.0.1:2/moby/buildkit:v0.19.0 }",
      "models: [{ modelscope: Qwen/Qwen3-0.6B }]",
      `sources: { insecureRegistries: ["127.0.0.1:2"], ${names.map((name) => `${name}: http://127.0.0.1:1`).join(", ")} }`,
      "",
    ].join("\n"),
  );
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(root, "bin/cli.cjs"), "lock", "--profile", "site.yaml"],
    {
      cwd: folder,
      encoding: "utf8",
      env: {
        PATH: `${join(folder, "bin")}:${dirname(process.execPath)}:/usr/bin:/bin`,
        HOME: folder,
        XDG_CACHE_HOME: join(folder, "cache"),
      },
    },
  );
  expect(status).toBe(1);
  const told = stderr.split("\n").filter((line) => !line.startsWith("  asking for "));
  expect(told.slice(0, 3)).toEqual([
    "error[BK230]: 2 hosts do not answer:",
    expect.stringMatching(/^ {2}127\.0\.0\.1:1: nothing listens there \(/) as string,
    expect.stringMatching(/^ {2}127\.0\.0\.1:2: nothing listens there \(/) as string,
  ]);
  expect(told.filter((line) => line.startsWith("error"))).toHaveLength(1);
  const called = (() => {
    try {
      return readFileSync(join(folder, "go-called"), "utf8");
    } catch {
      return "";
    }
  })();
  expect(called).toBe("");
});
