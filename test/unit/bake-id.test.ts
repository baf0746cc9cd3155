import { describe, expect, test } from "vitest";
import { planFor } from "../../src/commands/plan.ts";
import { substitute } from "../../src/trial/substitutions.ts";
import { readProfile, render, trialLock, trialPlan } from "../plan-of.ts";

const profile = substitute(readProfile()).profile;
const idOf = (change: Partial<Parameters<typeof planFor>[0]>): string | undefined =>
  render(planFor({ name: "2cards", profile, lock: trialLock, trial: true, ...change })).bakeId;

describe("bake id", () => {
  const original = render(trialPlan()).bakeId;

  test("is the longest tag value that Huawei Cloud takes", () => {
    expect(original).toMatch(/^[A-Za-z0-9_-]{43}$/);
  });

  test("stands in the agents' tags and on the node", () => {
    const { files } = render(trialPlan());
    const content = (path: string) => files.find((file) => file.path === path)?.content ?? "";
    expect(content("node/root/.buildkite-agent/buildkite-agent.cfg")).toContain(
      `tags="queue=ascend,bake-id=${original}"`,
    );
    expect(JSON.parse(content("node/etc/bake/image.json"))).toMatchObject({ bakeId: original });
  });

  test("changes with what ends up in the image", () => {
    const changed = (kind: string): typeof trialLock => ({
      ...trialLock,
      artifacts: trialLock.artifacts.map((each) =>
        each.kind === kind && "sha256" in each ? { ...each, sha256: "9".repeat(64) } : each,
      ),
    });
    const ids = [
      original,
      idOf({ profile: { ...profile, agents: { ...profile.agents, queue: "other" } } }),
      idOf({ lock: changed("base") }),
      idOf({ lock: changed("goss") }),
    ];
    expect(new Set(ids).size).toBe(4);
  });

  test("does not change with where a secret comes from, nor with the order of the lock", () => {
    expect(idOf({ profile: { ...profile, secrets: { agentToken: { env: "TOKEN" } } } })).toBe(original);
    expect(idOf({ lock: { ...trialLock, artifacts: trialLock.artifacts.toReversed() } })).toBe(original);
  });
});
