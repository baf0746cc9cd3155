/** The table of agent settings against the agent that the tests run: its help lists them, but for deprecated ones. */
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { agentKeys } from "../../src/node/agents/agent-keys.ts";
import { trialVersions } from "../../src/trial/substitutions.ts";
import { needs, toolPath } from "../needs.ts";

needs("buildkite-agent").test("the agent's help names the same settings", () => {
  const help = execFileSync(toolPath("buildkite-agent"), ["start", "--help"], { encoding: "utf8" });
  const options = new Set([...help.matchAll(/^ +--([a-z0-9-]+)/gm)].map(([, name]) => name ?? ""));
  const known = agentKeys(trialVersions.agent);
  expect(known.filter((key) => !options.has(key))).toEqual([
    "disconnect-after-job-timeout",
    "meta-data",
    "meta-data-ec2",
    "meta-data-ec2-tags",
    "meta-data-gcp",
    "no-automatic-ssh-fingerprint-verification",
  ]);
  expect([...options].filter((option) => !known.includes(option))).toEqual([]);
});

test("settings come and go with releases", () => {
  expect(agentKeys("3.59.0")).not.toContain("ping-mode");
  expect(agentKeys("3.137.0")).toContain("ping-mode");
  expect(agentKeys("3.52.0")).toContain("job-signing-jwks-path");
  expect(agentKeys("3.60.0")).not.toContain("job-signing-jwks-path");
});
