/** What `bake init --from-host` does with values of a host that no profile may have. */
import { expect, test } from "vitest";
import { withVerified } from "../../src/commands/init.ts";
import type { Answers } from "../../src/profile/new-profile.ts";

const answers: Answers = {
  npus: 8,
  cards: 2,
  queue: "ascend",
  architecture: "aarch64",
  base: "openeuler-22.03-lts-sp4",
  agentToken: { env: "AGENT_TOKEN" },
};

test("right values stay", () => {
  const { text, notes } = withVerified({ ...answers, agentVersion: "3.120.0", dockerVersion: "26.1.3" }, "p.yaml");
  expect(notes).toEqual([]);
  expect(text).toContain("version: 3.120.0");
  expect(text).toContain("version: 26.1.3");
});

test.each([
  ["agents.version", "agentVersion", "2.0.1", "by a rule"],
  ["agents.version", "agentVersion", "unknown", "by its shape"],
  ["docker.version", "dockerVersion", "25.0.4", "by a rule"],
  ["docker.version", "dockerVersion", "18.09", "by its shape"],
  ["buildx.version", "buildxVersion", "0.9.1", "by a rule"],
  ["buildx.version", "buildxVersion", "v0.20", "by its shape"],
  ["builders.image", "buildkitImage", "moby/buildkit:latest", "by a rule"],
  ["builders.image", "buildkitImage", "moby/buildkit", "by its shape"],
] as const)("%s: %s %s is replaced, %s", (path, key, value, _why) => {
  const { text, notes } = withVerified({ ...answers, [key]: value }, "p.yaml");
  expect(notes).toEqual([`${path}: the host has ${value}, a verified one stands in its place`]);
  // What takes its place needs no replacing.
  expect(withVerified(answers, "p.yaml")).toEqual({ text, notes: [] });
});

test("an error elsewhere replaces nothing", () => {
  const { notes } = withVerified({ ...answers, queue: "two words", agentVersion: "3.120.0" }, "p.yaml");
  expect(notes).toEqual([]);
});
