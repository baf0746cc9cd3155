/** The pipeline that bake prints: whole, within Buildkite's limits, and with no name that it cannot hold. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { literally } from "../../src/buildkite/pipeline.ts";
import { readTargets } from "../../src/buildkite/pipeline-targets.ts";
import { BakeError } from "../../src/errors.ts";
import { toYaml } from "../../src/formats/yaml.ts";
import { root } from "../../src/host/root.ts";
import { exampleProfiles, examplePipeline, exampleTargets } from "../buildkite/example.ts";

const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof BakeError) return `${error.code} ${error.message}`;
    throw error;
  }
  return "no error";
};

test("docs/pipeline.md has the whole of it", async () => {
  const page = join(root, "docs/pipeline.md");
  const shown = toYaml(examplePipeline()).replace(/^(?=.)/gm, "    ");
  const made = readFileSync(page, "utf8").replace(
    /(<!-- made from test\/buildkite\/example.ts -->\n\n)[\s\S]*?\n?<!-- end -->/,
    (_, start: string) => `${start}${shown}\n<!-- end -->`,
  );
  expect(made).toContain(shown);
  expect(made).toContain(exampleTargets.map((target) => `--to ${target}`).join(" "));
  await expect(made).toMatchFileSnapshot(page);
});

describe("steps", () => {
  const keysOf = (steps: readonly object[]): string[] => steps.map((step) => (step as { key: string }).key);

  test("profiles are baked side by side; each step waits for the one before", () => {
    const { steps } = examplePipeline();
    expect(keysOf(steps).filter((key) => key.endsWith("2cards"))).toEqual([
      "bake-2cards",
      "canary-2cards",
      "verify-2cards",
      "approve-2cards",
      "promote-2cards",
      "rollout-2cards",
    ]);
    const after = steps.map((step) => ("depends_on" in step ? step.depends_on : undefined));
    expect(after.filter((each) => each === undefined)).toHaveLength(2);
    // A step waits for one that stands above it: Buildkite takes no other.
    for (const [at, each] of after.entries())
      if (each !== undefined) expect(keysOf(steps.slice(0, at))).toContain(each);
    expect(new Set(keysOf(steps)).size).toBe(steps.length);
  });

  test("nothing is rolled out without a target; a pipeline of the user's verifies, pinned by the bake id", () => {
    const { steps } = examplePipeline({ verifyPipeline: "smoke-test", flavor: "kat2" }, []);
    expect(keysOf(steps).some((key) => key.startsWith("rollout"))).toBe(false);
    expect(steps[2]).toMatchObject({
      trigger: "smoke-test",
      build: { env: { BAKE_ID: exampleProfiles[0]?.bakeId, BAKE_QUEUE: "ascend" } },
    });
    // Not waiting for it would be no check.
    expect(steps[2]).not.toHaveProperty("async");
    expect(JSON.stringify(steps[1])).toContain("--flavor 'kat2'");
  });

  test("what its server and its nodes want besides is passed on where a step takes it, and nowhere else", () => {
    const commandsOf = (options: Parameters<typeof examplePipeline>[0]): string =>
      JSON.stringify(examplePipeline(options).steps);
    const plain = commandsOf({});
    for (const option of ["--key-pair", "--data-disk", "--no-npus", "--kind", "--key-user"])
      expect(plain).not.toContain(option);
    const server = commandsOf({ keyPair: "ops", dataDisk: ["500:ESSD", "100"], npus: false });
    expect(server).toContain(
      "--flavor 'kat1.8xlarge.8' --data-disk '500:ESSD' --data-disk '100' --key-pair 'ops' --no-npus --yes",
    );
    expect(server).not.toMatch(/bake rollout [^"]*--key-pair/);
    const metal = commandsOf({ kind: "bms", keyPair: "ops", keyUser: "u1" });
    expect(metal.match(/--kind bms --key-pair 'ops' --key-user 'u1' /g)?.length).toBe(7);
    expect(codeOf(() => examplePipeline({ kind: "lite-server" }))).toMatch(/^BK461 .* want a key pair/);
    expect(codeOf(() => examplePipeline({ kind: "bms", keyPair: "ops" }))).toMatch(/^BK461 .* and its user/);
  });

  test("a step by a tag goes on with the rollout of its own build and image, whatever else lies in the checkout", () => {
    const step = examplePipeline().steps.find((each) => "key" in each && each.key === "rollout-2cards");
    const text = step !== undefined && "commands" in step ? String(step.commands) : "";
    expect(text).toContain(`rollout=build-"$$BUILDKITE_BUILD_NUMBER"-'hU3vK2xq0Y'`);
    expect(text).toContain("bake rollout run --profile '2cards' --rollout \"$$rollout\" --image");
    expect(text).not.toContain("--resume");
  });

  test("a word alone is an AS group, or one node: the cloud says which when it is rolled out, in one step with a journal", () => {
    for (const [to, word] of [
      ["2cards:builders", "'builders'"],
      ["2cards:as-group-编译", "'as-group-编译'"],
    ] as const) {
      const { steps } = examplePipeline({}, [to]);
      const step = steps.find((each) => "key" in each && each.key === "rollout-2cards");
      expect(step).toMatchObject({ concurrency: 1, artifact_paths: "out/rollouts/*/journal.jsonl" });
      expect(JSON.stringify(step)).toContain(`--to ${word} --yes`);
      expect(steps.some((each) => "matrix" in each)).toBe(false);
    }
  });

  test("waves: one node, then the others; the next only after the last soaked", () => {
    const { steps } = examplePipeline();
    const waves = steps.filter((step) => "matrix" in step);
    expect(waves.map((step) => "matrix" in step && step.matrix)).toEqual([
      ["npu-0001"],
      ["npu-0002", "npu-0003", "npu-0004"],
      ["npu-0005", "npu-0006"],
    ]);
    expect(waves.map((step) => "depends_on" in step && step.depends_on)).toEqual([
      "promote-8cards",
      "soak-8cards-canary",
      "soak-8cards-wave-1",
    ]);
    for (const step of waves) expect(step).toMatchObject({ concurrency: 3, concurrency_group: "bake-rollout/8cards" });
  });
});

describe("refused", () => {
  test("a queue that is rolled", () => {
    expect(codeOf(() => examplePipeline({ queue: "ascend" }))).toMatch(
      /^BK464 2cards's own agents serve the queue ascend/,
    );
  });

  test("more than Buildkite takes", () => {
    const nodes = (count: number): string => Array.from({ length: count }, (_, at) => `npu-${at}`).join(",");
    const [one] = exampleProfiles;
    const profiles = one === undefined ? [] : [{ ...one, to: undefined }];
    expect(codeOf(() => examplePipeline({ profiles, wave: 50 }, [nodes(500)]))).toMatch(
      /^BK460 the pipeline would have \d+ jobs/,
    );
    expect(codeOf(() => examplePipeline({ profiles, wave: 51 }, [nodes(100)]))).toMatch(/^BK460 a wave has 51 nodes/);
    expect(codeOf(() => examplePipeline({ profiles, wave: 50 }, [nodes(400)]))).toBe("no error");
  });

  test("names that it cannot hold", () => {
    for (const name of ["", "a b", "$HOME", "`id`", "a\nb", "ä", "{{matrix}}", "-x", "x".repeat(44), "a/b"]) {
      const profiles = exampleProfiles.slice(0, 1).map((each) => ({ ...each, name, to: undefined }));
      expect(
        codeOf(() => examplePipeline({ profiles }, [])),
        name,
      ).toMatch(/^BK462 /);
    }
    for (const bad of ["", "a b", "$Q", "a\\$b"]) {
      expect(codeOf(() => examplePipeline({ queue: bad }))).toMatch(/^BK462 /);
      expect(codeOf(() => examplePipeline({ verifyPipeline: bad }))).toMatch(/^BK462 /);
    }
    const twice = exampleProfiles.map((each) => ({ ...each, name: "same", to: undefined }));
    expect(codeOf(() => examplePipeline({ profiles: twice }, []))).toMatch(/^BK462 two profiles are called same/);
    for (const file of ["a\nb", "a\0b", "{{matrix}}.yaml"]) {
      const profiles = exampleProfiles.slice(0, 1).map((each) => ({ ...each, file, to: undefined }));
      expect(codeOf(() => examplePipeline({ profiles }, []))).toMatch(/^BK462 /);
    }
    expect(codeOf(() => literally("a\\$b"))).toMatch(/^BK462 /);
    expect(literally("$a $$b ${c}")).toBe("$$a $$$$b $${c}");
  });

  test("what is rolled out, when it says nothing, or too much", () => {
    const names = ["2cards", "8cards"];
    for (const bad of ["", ",", "a,,b", "a b", "a;b", "a,a", "2cards:", "a/b", "{{matrix}}"]) {
      expect(
        codeOf(() => readTargets([`8cards:${bad}`], names)),
        bad,
      ).toMatch(/^BK461 /);
    }
    expect(codeOf(() => readTargets(["x=1", "2cards:y=1"], names))).toMatch(/^BK461 --to says twice/);
    expect(codeOf(() => readTargets(["a,b"], names))).toMatch(/^BK461 a would get the images of two profiles/);
    expect(codeOf(() => readTargets(["2cards:a", "8cards:b,a"], names))).toMatch(/^BK461 a would get/);
    expect(readTargets(["2cards:x=1", "8cards:b, a"], names)).toEqual(
      new Map<string, unknown>([
        ["2cards", { selector: "x=1" }],
        ["8cards", { nodes: ["b", "a"] }],
      ]),
    );
    expect(codeOf(() => readTargets(["builders"], names))).toMatch(/^BK461 builders would get/);
  });
});
