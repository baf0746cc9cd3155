/**
 * The whole path for the processors of the real hosts: bake, boot twice, four agents, their jobs, the guide's table. On a host of
 * another kind all of it is emulated, so it is a part of its own: `bin/test aarch64`.
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { bake, cache } from "../vm/golden-image.ts";
import { expectWholeRun } from "../vm/whole-run.ts";

const folder = join(cache, "test/aarch64");
const result = join(folder, "out/2cards-aarch64-trial");

describe("bake image --profile 2cards-aarch64 --trial", () => {
  let run: { readonly code: number; readonly output: string };
  beforeAll(async () => {
    mkdirSync(folder, { recursive: true });
    rmSync(result, { recursive: true, force: true });
    run = await bake(folder, ["image", "--profile", "2cards-aarch64", "--trial"]);
  });

  test("bakes an image that boots twice, with four agents that build", () => {
    expectWholeRun("2cards-aarch64", run);
  });

  test("is for aarch64 from the base to the record", () => {
    expect(JSON.parse(readFileSync(join(result, "image.json"), "utf8"))).toMatchObject({
      profile: "2cards-aarch64",
      architecture: "aarch64",
      trial: true,
    });
    // The kernel's first line names the processor it was started on.
    expect(readFileSync(join(result, "log/console.log"), "utf8")).toMatch(/Linux version .*aarch64/);
    expect(run.output).not.toContain("targets.qemu.architecture");
  });
});
