import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "fast",
          include: ["test/{unit,golden,negative,consumers,cli}/**/*.test.ts"],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "vm",
          include: ["test/vm/**/*.test.ts"],
          testTimeout: 30 * 60_000,
          hookTimeout: 30 * 60_000,
          // One VM at a time: two cores.
          fileParallelism: false,
        },
      },
    ],
  },
});
