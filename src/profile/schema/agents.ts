/** The settings of the Buildkite agents. */
import * as z from "zod";
import { httpUrl, isHost, port } from "./address.ts";
import { environmentName, oneLine, token, version } from "./text.ts";

/** What buildkite-agent.cfg can hold: formats/lines.ts says why. */
const agentValue = z
  .string()
  .regex(
    /^(?:[^"\\#\0-\x1f\x7f]*|[^"\\'\0-\x1f\x7f]*)$/,
    "expected one line without double quotes and backslashes, and without # beside a single quote",
  );

/** `agents`: what buildkite-agent.cfg and the environment of jobs are made from. */
export const Agents = z.strictObject({
  version: version("3.137.0").describe("Buildkite agent release (v3)."),
  spawn: z
    .int()
    .min(1)
    .max(64)
    .meta({ examples: [4] })
    .describe("Agents started by the one service; their indices are 1 to spawn."),
  cards: z
    .int()
    .min(1)
    .max(64)
    .meta({ examples: [2] })
    .describe("NPUs that each agent owns; part of the agent's name."),
  npus: z.int().min(1).max(64).default(8).describe("NPUs of the host: spawn × cards must not be above it."),
  queue: token("a queue name")
    .meta({ examples: ["ascend"] })
    .default("default")
    .describe("The queue that the agents serve."),
  tags: z
    .record(token("a tag name"), token("a tag value"))
    .default({})
    .describe("Further tags of the agents, besides queue and bake-id."),
  healthAddress: z
    .string()
    .regex(new RegExp(`^[A-Za-z0-9.-]+:${port}$`), "expected host:port such as 127.0.0.1:3901")
    .refine((text) => isHost(text.replace(/:\d+$/, "")), "expected host:port such as 127.0.0.1:3901")
    .default("127.0.0.1:3901")
    .describe("Where the agent answers questions about its health; loopback alone unless something else scrapes it."),
  environment: z
    .record(environmentName, oneLine)
    .default({})
    .describe("Environment of the agents, which their jobs inherit."),
  settings: z
    .record(z.string(), z.union([agentValue, z.int(), z.boolean()]))
    .default({})
    .describe("Further keys of buildkite-agent.cfg, checked against those that the agent's version knows."),
  endpoint: httpUrl("https://agent.example.com/v3")
    .optional()
    .describe("Agent API endpoint, when it is not Buildkite's own."),
  gitCloneFlags: agentValue.default("--depth=1").describe("Replaces the agent's default flags of `git clone`."),
  gitFetchFlags: agentValue.default("--depth=1").describe("Replaces the agent's default flags of `git fetch`."),
  stopTimeout: z
    .int()
    .min(60)
    .default(1500)
    .describe("Seconds that a stop waits for running jobs; must be above the longest job."),
});
