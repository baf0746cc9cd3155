/** What tests need and a machine may not have. Without it they fail in CI, and are skipped elsewhere: the run's end says so. */
import { describe, test } from "vitest";

declare module "vitest" {
  interface TaskMeta {
    /** On a test that stands for others: what they need and do not find. */
    lacks?: readonly string[];
  }
}

/** Variables that `bake set-up --for-tests` sets: a path each. */
const tools = {
  packer: "BAKE_TEST_PACKER",
  crane: "BAKE_TEST_CRANE",
  "buildkite-agent": "BAKE_TEST_AGENT",
  goss: "BAKE_TEST_GOSS",
  "cloud-init's schema": "BAKE_TEST_CLOUD_INIT_SCHEMA",
  "Buildkite's schema of pipelines": "BAKE_TEST_PIPELINE_SCHEMA",
  "docker-registry": "BAKE_TEST_REGISTRY",
  docker: "BAKE_TEST_DOCKER",
  buildx: "BAKE_TEST_BUILDX",
  "mkfs.xfs": "BAKE_TEST_XFSPROGS",
  buildkitd: "BAKE_TEST_BUILDKITD",
  buildctl: "BAKE_TEST_BUILDCTL",
  "modelscope 1.35": "BAKE_TEST_MODELSCOPE_1_35",
  modelscope: "BAKE_TEST_MODELSCOPE",
  huggingface_hub: "BAKE_TEST_HUGGINGFACE",
  "Node.js 20.18": "BAKE_TEST_NODE_20_18",
  "Node.js 22": "BAKE_TEST_NODE_22",
  "Node.js 24": "BAKE_TEST_NODE_24",
  chromium: "BAKE_TEST_CHROMIUM",
  "programs of Debian 11": "BAKE_TEST_OLD_PROGRAMS",
} as const;

export type Tool = keyof typeof tools;

/** Where a tool is; empty when it is not there. */
export const toolPath = (tool: Tool): string => process.env[tools[tool]] ?? "";

/** Those that are not here. @param uid Of the process, undefined where there is none. */
const lacking = (names: readonly (Tool | "root")[]): (Tool | "root")[] =>
  names.filter((name) => (name === "root" ? process.getuid?.() !== 0 : toolPath(name) === ""));

/**
 * `test` and `describe` for tests that need tools, or to be root.
 *
 * @throws Error in CI when something is missing, which fails the file.
 */
export const needs = (
  ...names: readonly (Tool | "root")[]
): { readonly test: (typeof test)["skip"]; readonly describe: (typeof describe)["skip"] } => {
  const lacks = lacking(names);
  if (lacks.length === 0) return { test, describe };
  if (!["", "0", "false"].includes(process.env["CI"] ?? "")) {
    throw new Error(
      `these tests need ${lacks.join(", ")}; run them by bin/test${lacks.includes("root") ? ", as root" : ""}`,
    );
  }
  // Skipped tests carry no reason: this one does for those of its file.
  test(`needs ${lacks.join(", ")}`, { skip: true, meta: { lacks } }, () => undefined);
  return { test: test.skip, describe: describe.skip };
};
