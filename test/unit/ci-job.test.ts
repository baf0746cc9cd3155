/** The job of the check, as text. */
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { ciJob, milestone, missedMilestones } from "../../src/check/ci-job.ts";
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
