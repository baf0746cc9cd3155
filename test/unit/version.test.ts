/** The order of versions as profiles write them, `26.1.x` among them. */
import { expect, test } from "vitest";
import {
  compareNumbers,
  compareReleases,
  compareVersions,
  isAtLeast,
  isOpenVersion,
  isSameLine,
  majorOf,
} from "../../src/formats/version.ts";
import { newestFirst, oldestMeant } from "../../src/lock/sources/versions.ts";
import { planFor } from "../../src/commands/plan.ts";
import { agentKeys } from "../../src/node/agents/agent-keys.ts";
import { buildxPairOf } from "../../src/profile/buildx-pairs.ts";
import { readProfile, render } from "../plan-of.ts";

test.each([
  ["3.46.0", "3.46.1", -1],
  ["3.46.10", "3.46.9", 1],
  ["3.100.0", "3.99.0", 1],
  ["26.1.3", "v26.1.3", 0],
  // An open version is the newest of its line.
  ["3.46.x", "3.46.1", 1],
  ["3.46.x", "3.46.9999", 1],
  ["3.46.x", "3.47.0", -1],
  ["3.46.x", "3.47.0-rc.1", -1],
  ["3.46.x", "3.46.x", 0],
  // A prerelease comes before its release.
  ["1.2.3-rc.2", "1.2.3", -1],
  ["1.2.3-rc.10", "1.2.3-rc.9", 1],
  ["1.2.3-rc.1", "1.2.2", 1],
  // A number that is not written is 0.
  ["1.24", "1.24.0", 0],
  ["2", "1.99", 1],
  // What semver does not take is compared by what it has of it.
  ["01.02.03", "1.2.3", 0],
  ["1.2.3-a..b", "1.2.3", 0],
  ["99999999999999999999.0.0", "3.0.0", 1],
  ["1.24~2", "1.24.0", 0],
  [`1.2.3-${"a".repeat(300)}`, "1.2.4", -1],
])("%s against %s: %i", (a, b, expected) => {
  expect(Math.sign(compareVersions(a, b))).toBe(expected);
  expect(Math.sign(compareVersions(b, a))).toBe(expected === 0 ? 0 : -expected);
});

test("releases are compared by their numbers alone", () => {
  expect(compareReleases("3.133.0-beta.1", "3.133.0")).toBe(0);
  expect(isAtLeast("3.133.0-beta.1", "3.133.0")).toBe(true);
  expect(isAtLeast("3.132.x", "3.133.0")).toBe(false);
  expect(isAtLeast("3.133.x", "3.133.0")).toBe(true);
});

test("lines", () => {
  expect([majorOf("27.5.x"), majorOf("v0.19.0"), majorOf("26")]).toEqual([27, 0, 26]);
  expect(isSameLine("0.20.x", "0.20.1")).toBe(true);
  expect(isSameLine("0.2.1", "0.20.1")).toBe(false);
  expect(["26.1.x", "26.1.3", "26.x", "x"].map(isOpenVersion)).toEqual([true, false, false, false]);
  expect(oldestMeant("26.1.x")).toBe("26.1.0");
});

test("a text without a number in front is no version", () => {
  for (const text of ["", "x", "latest", "-1.2.3", ".1"])
    expect(() => compareVersions(text, "1.2.3")).toThrow(RangeError);
});

test("versions are sorted with the newest first, prereleases among them", () => {
  expect(newestFirst(["1.9.0", "1.10.0-rc.1", "1.10.0", "1.9.0", "1.10.0-rc.2"])).toEqual([
    "1.10.0",
    "1.10.0-rc.2",
    "1.10.0-rc.1",
    "1.9.0",
  ]);
});

test("lists of numbers", () => {
  expect(compareNumbers([12, 4, 1, 1], [12, 4, 1])).toBeGreaterThan(0);
  expect(compareNumbers([12, 4, 1], [12, 4, 1, 0])).toBe(0);
  expect(compareNumbers([9, 2], [9, 10])).toBeLessThan(0);
});

test("an agent of an open version has the settings of the newest release of its line", () => {
  expect(agentKeys("3.46.1")).not.toContain("no-ansi-timestamps");
  expect(agentKeys("3.46.x")).toContain("no-ansi-timestamps");
  expect(agentKeys("3.46.x")).not.toContain("job-log-path");
  expect(agentKeys("3.58.x")).not.toContain("job-signing-algorithm");
  expect(agentKeys("3.57.x")).toContain("job-signing-algorithm");
  expect(agentKeys("3.137.x")).toEqual(agentKeys("3.138.0"));
});

test.each([
  ["27.5.x", "0.20.0"],
  ["27.5.0", "0.18.0"],
  ["27.1.0-rc.1", "0.16.1"],
  ["28.9.x", "0.24.0"],
  ["25.0.5", undefined],
  ["29.0.x", undefined],
])("the buildx of Docker %s is %s", (docker, buildx) => {
  expect(buildxPairOf(docker)).toBe(buildx);
});

const planWith = (agent: string, buildx = "0.20.0", image = "moby/buildkit:v0.19.0") => {
  const profile = readProfile();
  return planFor({
    name: "versions",
    profile: {
      ...profile,
      agents: { ...profile.agents, version: agent },
      buildx: { ...profile.buildx, version: buildx },
      builders: { ...profile.builders, image },
    },
  });
};

test.each([
  ["3.132.x", "environment"],
  ["3.133.0", "file"],
  ["3.133.x", "file"],
  ["3.133.0-beta.1", "file"],
])("agent %s gets its token by %s", (version, via) => {
  const { files } = render(planWith(version));
  const contentOf = (name: string): string => files.find(({ path }) => path.endsWith(name))?.content ?? "";
  expect(contentOf("/buildkite-agent.cfg").includes("file:///etc/bake/secrets/agent-token")).toBe(via === "file");
  const unit = contentOf("/buildkite-agent.service");
  for (const line of [
    "EnvironmentFile=-/run/bake/agent-token.env\n",
    "ExecStartPre=/opt/bake/bin/bake-token environment /run/bake/agent-token.env\n",
  ])
    expect(unit.includes(line)).toBe(via === "environment");
  // User-data is the same for both: so that of one image is right for another.
  const userData = contentOf("user-data/golden.yaml");
  expect(userData).toContain("- path: /etc/bake/secrets/agent-token\n");
});

test.each([
  ["3.121.x", "agent.buildkite.com"],
  ["3.122.0", "agent-edge.buildkite.com"],
  ["3.122.x", "agent-edge.buildkite.com"],
])("agent %s connects to %s", (version, host) => {
  expect(planWith(version).destinations[0]?.host).toBe(host);
});

test.each([
  ["0.12.x", "--config"],
  ["0.13.0", "--buildkitd-config"],
  ["0.13.x", "--buildkitd-config"],
])("buildx %s makes builders with %s", (version, flag) => {
  const { files } = render(planWith("3.137.0", version));
  const file = files.find(({ path }) => path === "node/etc/bake/builders.env");
  expect(file?.content).toContain(`BUILDER_CONFIG_FLAG="${flag}"`);
});

test.each([
  ["moby/buildkit:v0.16.0", "gckeepstorage"],
  ["moby/buildkit:v0.16.0_team", "gckeepstorage"],
  ["moby/buildkit:v0.17", "maxUsedSpace"],
  ["moby/buildkit:v0.17.0-rc1", "maxUsedSpace"],
  ["registry.example.com:5000/moby/buildkit:v0.13.2-rootless", "gckeepstorage"],
  ["quay.io/team/buildkit:ours", "maxUsedSpace"],
])("%s is limited by %s", (image, key) => {
  const { files } = render(planWith("3.137.0", "0.20.0", image));
  const config = files.find(({ path }) => path === "node/etc/bake/buildkitd.toml")?.content ?? "";
  expect(/gckeepstorage|maxUsedSpace/.exec(config)?.[0]).toBe(key);
});
