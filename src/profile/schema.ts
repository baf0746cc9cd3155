/** The shape of a profile: the only place for types, defaults and their descriptions. */
import * as z from "zod";
import { architectures } from "../lock/lock.ts";

const version = (example: string) =>
  z
    .string()
    .regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/, `expected an exact version such as ${example}`)
    .meta({ examples: [example] });

const absolutePath = z
  .string()
  .regex(
    /^(\/[A-Za-z0-9._-]+)+$/,
    "expected an absolute path of letters, digits, `.`, `_` and `-`, without a trailing slash",
  );

const token = (what: string) =>
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, `expected ${what} of letters, digits, \`.\`, \`_\` and \`-\``);

/** A tag is required: images without one are deleted by the first `docker system prune -f` (facts: run-npu-test.sh). */
const imageReference = z
  .string()
  .regex(
    /^(?:[a-z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/,
    "expected an image with a tag, such as quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12",
  );

const flags = z.string().regex(/^[^"\n\\]*$/, "expected flags without quotes, backslashes or line breaks");

const Agents = z.strictObject({
  version: version("3.137.0").describe("Buildkite agent release (v3)."),
  spawn: z.int().min(1).max(64).describe("Agents started by the one service; their indices are 1 to spawn."),
  cards: z.int().min(1).max(64).describe("NPUs that each agent owns; part of the agent's name."),
  queue: token("a queue name").default("default").describe("The queue that the agents serve."),
  endpoint: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("Agent API endpoint, when it is not Buildkite's own."),
  gitCloneFlags: flags.default("--depth=1").describe("Replaces the agent's default flags of `git clone`."),
  gitFetchFlags: flags.default("--depth=1").describe("Replaces the agent's default flags of `git fetch`."),
  stopTimeout: z
    .int()
    .min(60)
    .default(1500)
    .describe("Seconds that a stop waits for running jobs; must be above the longest job."),
});

const Docker = z.strictObject({
  version: version("27.5.1").describe("Docker static archive."),
  dataRoot: absolutePath
    .default("/mnt/docker-data/docker")
    .describe("Where Docker keeps images and volumes; on the data disk."),
  logMaxSize: z
    .string()
    .regex(/^\d+[kmg]$/, "expected a size such as 50m")
    .default("50m")
    .describe("Size at which a container's log file is rotated."),
  logMaxFiles: z.int().min(1).default(3).describe("Rotated log files kept for each container."),
});

const Storage = z.strictObject({
  disk: z
    .strictObject({
      blank: z
        .enum(["nvme", "any"])
        .describe("Take the one disk without any signature: among NVMe disks, or among all."),
    })
    .describe("Which disk holds the data."),
  filesystem: z.enum(["ext4"]).default("ext4").describe("File system made on a blank disk."),
  mount: absolutePath.default("/mnt").describe("Where the data disk is mounted."),
  uuid: z
    .uuid()
    .default("7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001")
    .describe("UUID of the file system: one for the whole fleet, so that a disk stays ours across profiles and bakes."),
});

const Network = z.strictObject({
  pypiCache: z
    .strictObject({
      host: z.string().regex(/^[A-Za-z0-9.:-]+$/, "expected an IP address or a host name"),
      port: z.int().min(1).max(65535),
    })
    .optional()
    .describe("The PyPI cache that jobs find as PYPI_CACHE_HOST and PYPI_CACHE_PORT."),
  gitProxy: z
    .strictObject({
      for: z.url({ protocol: /^https?$/ }).describe("URL prefix that is rewritten."),
      via: z.url({ protocol: /^https?$/ }).describe("What it is rewritten to."),
    })
    .optional()
    .describe("Rewrites git URLs (url.<via>.insteadOf)."),
});

const SecretSource = z
  .union([
    z.strictObject({ file: z.string().min(1).describe("A file on the machine that renders user-data.") }),
    z.strictObject({
      env: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
        .describe("An environment variable there."),
    }),
  ])
  .describe("Where a secret comes from; never its value.");

const Qemu = z.strictObject({
  base: z
    .union([token("the name of a base"), z.strictObject({ file: z.string().min(1) })])
    .describe("Base image: a known name, or a qcow2 file."),
  architecture: z.enum(architectures).default("x86_64"),
  memory: z.int().min(1024).default(2048).describe("MiB of memory of the build VM and of the booted image."),
  cpus: z.int().min(1).default(2),
  diskSize: z.int().min(4).default(40).describe("GiB of the system disk."),
});

export const Profile = z.strictObject({
  agents: Agents,
  docker: Docker,
  buildx: z.strictObject({ version: version("0.20.0").describe("buildx release; the pair of the Docker version.") }),
  builders: z.strictObject({
    image: imageReference.describe(
      "BuildKit image of the builders cachebuilder1 … cachebuilder<spawn>, pinned and pre-loaded.",
    ),
  }),
  storage: Storage,
  network: Network.default({}),
  images: z.array(imageReference).default([]).describe("Images that are in Docker's store before the first job."),
  checks: z
    .strictObject({
      gossVersion: version("0.4.9").default("0.4.9").describe("goss release that runs the checks on the node."),
    })
    .default({ gossVersion: "0.4.9" }),
  secrets: z.strictObject({ agentToken: SecretSource }),
  targets: z.strictObject({ qemu: Qemu }),
});
export type Profile = z.infer<typeof Profile>;
