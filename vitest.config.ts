import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, homedir } from "node:os";
import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

// Written by `bake set-up --for-tests`: where the tools are.
const tools = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "bake/test/tools.json");
const env = existsSync(tools) ? (JSON.parse(readFileSync(tools, "utf8")) as Record<string, string>) : {};

/** VM files run in this order, as in bin/test; any other comes after them. The first bakes the golden image that others boot. */
const vmFiles = ["bake", "storage", "stock", "no-disk", "events", "canaries", "power-cuts"];

const position = ({ moduleId }: TestSpecification): number => {
  const at = vmFiles.findIndex((name) => moduleId.endsWith(`/test/vm/${name}.test.ts`));
  return at < 0 ? vmFiles.length : at;
};

class InOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files.toSorted((a, b) => position(a) - position(b) || (a.moduleId < b.moduleId ? -1 : 1));
  }
}

export default defineConfig({
  test: {
    // A file that is expected and not there fails; only -u writes.
    update: "none",
    sequence: { sequencer: InOrder },
    projects: [
      {
        test: {
          name: "fast",
          env,
          include: ["test/{unit,golden,negative,consumers,cli,docs,floor}/**/*.test.ts"],
          testTimeout: 60_000,
          globalSetup: "test/run-folder.ts",
          // Vitest leaves a processor to itself. Of two that would leave one, and most tests wait for programs that they have started.
          maxWorkers: Math.max(2, availableParallelism() - 1),
        },
      },
      {
        test: {
          name: "vm",
          env,
          include: ["test/vm/*.test.ts"],
          // Of its own: the fast tests run with another number of workers.
          sequence: { groupOrder: 1 },
          testTimeout: 45 * 60_000,
          hookTimeout: 45 * 60_000,
          globalSetup: ["test/run-folder.ts", "test/vm/prepare.ts"],
          // Two at a time on two cores took three times as long each: one is what they carry. BAKE_TEST_VMS=2 on larger machines.
          maxWorkers: Number(process.env["BAKE_TEST_VMS"] ?? 1),
        },
      },
      {
        // Not in the default run: `bin/test aarch64`.
        test: {
          name: "aarch64",
          env,
          include: ["test/aarch64/*.test.ts"],
          sequence: { groupOrder: 2 },
          globalSetup: "test/run-folder.ts",
          testTimeout: 240 * 60_000,
          hookTimeout: 240 * 60_000,
          maxWorkers: 1,
        },
      },
    ],
  },
});
