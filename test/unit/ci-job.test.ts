/** The job of the check, as text. */
import { spawnSync } from "node:child_process";
import { afterAll, describe, expect, test } from "vitest";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ciJob, milestone, missedMilestones, runImages } from "../../src/check/ci-job.ts";
import { checkoutResult } from "../../src/check/checkout/job.ts";
import { trialPlan } from "../plan-of.ts";

const plan = trialPlan();
const { each } = plan.facts.agents;

test("bash parses each agent's job, and the first one alone checks out", () => {
  for (const agent of each) {
    const job = ciJob(plan, agent);
    expect(spawnSync("bash", ["-n"], { input: job, encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
    expect(job.includes("git rev-parse HEAD")).toBe(agent.index === 1);
    // Both kinds of model caches: a team's script may mount either.
    for (const cache of [agent.modelCache, agent.hfCache]) {
      expect(job.replaceAll("'", "")).toContain(`=${cache.replace(/\d+$/, "$index")}`);
    }
  }
});

test("the image's name is the same for all agents but for EPOCHSECONDS, read as bash 4.4 has it", () => {
  const naming = ciJob(plan, each[0] ?? expect.fail())
    .split("\n")
    .filter((line) => /^(epoch|tag)=/.test(line))
    .join("\n");
  const nameIn = (env: Record<string, string>): string =>
    spawnSync("bash", ["--norc", "-c", `${naming}\necho "$tag"`], { env: { PATH: process.env["PATH"] ?? "", ...env } })
      .stdout.toString()
      .trim();
  // Whatever this bash makes of the variable itself.
  expect(nameIn({ EPOCHSECONDS: "17" })).toMatch(/^bake-check\/ci:[0-9a-f]{40}_17$/);
  expect(nameIn({ EPOCHSECONDS: "18" })).toMatch(/_18$/);
  expect(nameIn({})).toMatch(/_$/);
});

test("a job that did not get to its checkout says what git asked for", () => {
  const [first = expect.fail(), second = expect.fail()] = each;
  expect(missedMilestones(plan, first, "")[0]).toBe("checked-out");
  expect(missedMilestones(plan, second, "")[0]).toBe("built");
  const seen = { name: "first", boot: "on a blank disk", source: { elsewhere: () => ["https://github.com/x"] } };
  expect(checkoutResult(plan, { ...seen, log: milestone("checked-out") })).toMatchObject({
    check: { id: "vm-checkout-first", rows: ["G13"] },
    outcome: "passed",
  });
  expect(checkoutResult(plan, { ...seen, log: "Checkout failed" })).toMatchObject({
    outcome: "failed",
    detail: expect.stringContaining("git asked for https://github.com/x, expected https://"),
  });
});

describe("a container of each image", () => {
  // Docker 26's answers; containers themselves run in the VM tests.
  const folder = mkdtempSync(join(tmpdir(), "bake-ci-job-"));
  writeFileSync(
    join(folder, "docker"),
    [
      "#!/bin/bash",
      'echo "$*" >>"$0.asked"',
      "case $* in",
      '  "run "*whole*) ;;',
      '  "run "*files-alone*) echo \'exec: "true": executable file not found in $PATH: unknown.\' >&2; exit 127 ;;',
      '  "run "*no-loader*) echo "exec /bin/true: no such file or directory" >&2; exit 127 ;;',
      '  "run "*) echo "docker: Error response from daemon: No such image" >&2; exit 125 ;;',
      '  "create "*unmountable*) exit 1 ;;',
      "  create*) echo 4711 ;;",
      "esac",
    ].join("\n"),
  );
  chmodSync(join(folder, "docker"), 0o755);
  afterAll(() => rmSync(folder, { recursive: true }));

  /** As the job does it: any error ends it. */
  const run = (...references: string[]): { status: number | null; said: string[]; asked: string[] } => {
    writeFileSync(join(folder, "docker.asked"), "");
    const script = ["set -euo pipefail", ...runImages(references), "echo all of them"].join("\n");
    const { status, stdout } = spawnSync("bash", ["--norc", "-c", script], {
      encoding: "utf8",
      env: { PATH: `${folder}:${process.env["PATH"] ?? ""}` },
    });
    const lines = (text: string): string[] => text.split("\n").filter((line) => line !== "");
    return { status, said: lines(stdout), asked: lines(readFileSync(join(folder, "docker.asked"), "utf8")) };
  };

  test("runs `true` of it, or makes one and removes it where that is no program of the image", () => {
    expect(run("site/whole:1", "site/files-alone:1")).toEqual({
      status: 0,
      said: [
        "a container of site/whole:1 ran",
        "a container of site/files-alone:1 could be made; it has no program named true",
        "all of them",
      ],
      asked: [
        "run --rm --pull never --network none --entrypoint true site/whole:1",
        "run --rm --pull never --network none --entrypoint true site/files-alone:1",
        "create --pull never --network none site/files-alone:1 true",
        "rm 4711",
      ],
    });
  });

  test.each([
    [
      "site/no-loader:1",
      ["no container of site/no-loader:1 runs (exit 127): exec /bin/true: no such file or directory"],
    ],
    [
      "site/absent:1",
      ["no container of site/absent:1 runs (exit 125): docker: Error response from daemon: No such image"],
    ],
    ["site/files-alone-unmountable:1", []],
  ])("ends the job at %s", (reference, said) => {
    expect(run(reference, "site/whole:1")).toMatchObject({ status: 1, said });
  });

  test("the first agent's job runs the profile's images, the builders' is built from by each", () => {
    const [first = expect.fail(), second = expect.fail()] = each;
    const lines = ciJob(plan, first).split("\n");
    expect(lines.filter((line) => line.startsWith("run_image "))).toEqual(["run_image 'bake.local/trial/busybox:1'"]);
    expect(ciJob(plan, second)).not.toContain("run_image");
    const others = ["checked-out", "built", "cached", "ran", "metadata-closed", "cleaned-up"] as const;
    const log = others.map(milestone).join("\n");
    expect(missedMilestones(plan, first, log)).toEqual(["images-ran"]);
    expect(missedMilestones(plan, second, log)).toEqual([]);
  });
});
