import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

// Written by `bake set-up --for-tests`: where the tools are.
const tools = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "bake/test/tools.json");
const env = existsSync(tools) ? (JSON.parse(readFileSync(tools, "utf8")) as Record<string, string>) : {};

/** bake.test.ts first: the others boot what it bakes. */
class ByName extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files.toSorted((a, b) => (a.moduleId < b.moduleId ? -1 : 1));
  }
}

export default defineConfig({
  test: {
    // A file that is expected and not there fails; only -u writes.
    update: "none",
    sequence: { sequencer: ByName },
    projects: [
      {
        test: {
          name: "fast",
          env,
          include: ["test/{unit,golden,negative,consumers,cli,docs}/**/*.test.ts"],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "vm",
          env,
          include: ["test/vm/*.test.ts"],
          testTimeout: 45 * 60_000,
          hookTimeout: 45 * 60_000,
          // One VM at a time: two cores.
          fileParallelism: false,
        },
      },
    ],
  },
});
