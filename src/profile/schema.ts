/** The shape of a profile: the only place for types, defaults and their descriptions. */
import * as z from "zod";
import { architectures } from "../artifact.ts";
import { imageReferenceForm, longestImageReference } from "../formats/image-reference.ts";

/** Exact, or `26.1.x`: the lock holds the exact one. */
const version = (example: string) =>
  z
    .string()
    .regex(
      /^\d+\.\d+\.(?:x|\d+(?:-[0-9A-Za-z.-]+)?)$/,
      `expected a version such as ${example}, or ${example.replace(/\d+$/, "x")} for its newest patch release`,
    )
    .meta({ examples: [example] });

const absolutePath = z
  .string()
  .regex(
    /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/,
    "expected an absolute path of letters, digits, `.`, `_` and `-`, without `..` and without a trailing slash",
  );

/** A file on the machine where bake runs. A relative one is meant from the profile that names it. */
const localFile = z
  .string()
  .regex(/^[^\0\n\r]+$/, "expected the path of a file")
  .meta({ profileRelative: true });

const token = (what: string) =>
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, `expected ${what} of letters, digits, \`.\`, \`_\` and \`-\``);

/** A tag is required: images without one are deleted by the first `docker system prune -f` (facts: run-npu-test.sh). */
const imageReference = z
  .string()
  .max(longestImageReference)
  .regex(
    imageReferenceForm,
    "expected an image with a tag and without a digest, such as quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12",
  )
  .meta({ examples: ["quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12"] });

const environmentName = z
  .string()
  .regex(/^(?!__proto__$)[A-Za-z_][A-Za-z0-9_]*$/, "expected the name of an environment variable, such as HF_ENDPOINT");

/** What an environment file can hold: render/formats/lines.ts says why. */
const oneLine = z
  .string()
  .regex(/^[^\0-\x08\n-\x1f\x7f]*$/, "expected one line of text without control characters")
  .refine(
    (text) => !/[\p{Noncharacter_Code_Point}\p{Surrogate}]/u.test(text),
    "expected text; this holds a code that is no character",
  );

const cidr = z
  .string()
  .regex(
    /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!\/)|(?=\/))){4}\/(?:[0-9]|[12]\d|3[0-2])$/,
    "expected an IPv4 network such as 192.168.0.0/16",
  )
  .meta({ examples: ["192.168.0.0/16"] });

/** ASCII without quotes, backslashes and blanks: every format that a URL lands in takes these. */
const httpUrl = (example: string) =>
  z
    .url({ protocol: /^https?$/, error: `expected an http or https URL such as ${example}` })
    .regex(/^[!#-&(-;=?-[\]_a-z~]*$/, `expected an http or https URL such as ${example}`)
    .meta({ examples: [example] });

/** One that the lock keeps: a lock is committed, and shown. */
const lockedUrl = (example: string) =>
  httpUrl(example).regex(/^[^/]*\/\/[^/?#@]+(?:[/?#]|$)/, "expected a URL without a user or a password");

/** What NO_PROXY means something by: a host, a domain with a leading dot, an address, an IPv4 network. */
const isProxyException = (text: string): boolean => cidr.safeParse(text).success || isHost(text.replace(/^\*?\./, ""));

const port = "(?:[1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])";

/** A host in a URL says whether it can be one: digits and dots must be an IPv4 address, colons an IPv6 address. */
const isHost = (text: string): boolean => {
  if (!/^[A-Za-z0-9.:-]+$/.test(text) || text.includes("..") || /^[.-]|[.-]$/.test(text)) return false;
  try {
    const { hostname } = new URL(`http://${text.includes(":") ? `[${text}]` : text}/`);
    // Of fewer parts or in hex, a URL would be completed; nothing else does that.
    return !/^[\d.]+$/.test(hostname) || hostname === text;
  } catch {
    return false;
  }
};

/** What buildkite-agent.cfg can hold: render/formats/lines.ts says why. */
const agentValue = z
  .string()
  .regex(
    /^(?:[^"\\#\0-\x1f\x7f]*|[^"\\'\0-\x1f\x7f]*)$/,
    "expected one line without double quotes and backslashes, and without # beside a single quote",
  );

const Agents = z.strictObject({
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
  addressPools: z
    .array(z.strictObject({ base: cidr, size: z.int().min(8).max(30).describe("Prefix length of each network.") }))
    .min(1)
    .default([{ base: "198.18.0.0/16", size: 24 }])
    .describe(
      "Where Docker's networks get their addresses, docker0 first. Docker's own default takes 172.17.0.0/16 to 172.31.0.0/16 and 192.168.0.0/16, where VPCs and caches lie; 198.18.0.0/16 is no VPC's.",
    ),
});

/** By registry, `host[:port][/path]` of each of its mirrors. */
const registryMirrors = z.record(
  token("a registry host"),
  z
    .array(
      z
        .string()
        .regex(
          new RegExp(`^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::${port})?(?:/[A-Za-z0-9._-]+)*$`),
          "expected host[:port][/path]",
        )
        .refine((text) => isHost(text.replace(/[:/].*$/, "")), "expected host[:port][/path]")
        .meta({ examples: ["mirror.example.com:5000"] }),
    )
    .min(1),
);

const Builders = z.strictObject({
  image: imageReference.describe(
    "BuildKit image of the builders cachebuilder1 … cachebuilder<spawn>, pinned and pre-loaded.",
  ),
  mirrors: registryMirrors
    .default({})
    .describe("Mirrors by registry for the builders (buildkitd.toml): daemon.json's are not used by builders."),
  maxCacheSize: z
    .int()
    .min(1)
    .default(200)
    .describe("GiB of build cache that each builder keeps before it collects garbage."),
});

const Storage = z.strictObject({
  disk: z
    .union([
      z.strictObject({
        blank: z
          .enum(["nvme", "any"])
          .describe("Take the one disk without any signature: among NVMe disks, or among all."),
        pick: z
          .enum(["only", "first", "largest"])
          .default("only")
          .describe(
            "When several are blank: only refuses, first takes the lowest in the order of their slots, largest the largest.",
          ),
      }),
      z.strictObject({
        adopt: z
          .string()
          .regex(
            /^(?:UUID=[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|LABEL=[A-Za-z0-9._-]{1,16})$/,
            "expected LABEL=… or UUID=… of a file system that exists, as blkid writes it: small letters, whole",
          )
          .meta({ examples: ["UUID=85805e4a-2b1f-4ba6-9d5e-0f6b7bd92a4e"] })
          .describe("Mount a file system that exists already; it is never formatted."),
      }),
    ])
    .describe("Which disk holds the data."),
  filesystem: z
    .enum(["ext4", "xfs"])
    .default("ext4")
    .describe("File system made on a blank disk, or found on an adopted one."),
  minSize: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(100)
    .describe("GiB below which a blank disk is not taken for the data disk."),
  minFree: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(10)
    .describe("GiB that must be free on the data disk; with less the node takes no jobs."),
  mount: absolutePath.default("/mnt").describe("Where the data disk is mounted."),
  uuid: z
    .uuid("expected a UUID of small letters and digits such as 7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001")
    // As blkid writes it, which compares letter by letter.
    .regex(/^[^A-F]*$/, "expected a UUID of small letters and digits such as 7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001")
    .default("7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001")
    .describe("UUID of the file system: one for the whole fleet, so that a disk stays ours across profiles and bakes."),
});

const Network = z.strictObject({
  pypiCache: z
    .strictObject({
      host: z
        .string()
        .refine(isHost, "expected an IP address or a host name, without a port")
        .meta({ examples: ["172.22.0.80"] })
        .describe("IP address or name, as the nodes see it."),
      port: z
        .int()
        .min(1)
        .max(65535)
        .meta({ examples: [30367] })
        .describe("TCP port."),
    })
    .optional()
    .describe("The PyPI cache that jobs find as PYPI_CACHE_HOST and PYPI_CACHE_PORT."),
  gitProxy: z
    .strictObject({
      for: httpUrl("https://github.com/").describe("URL prefix that is rewritten."),
      via: httpUrl("https://git-proxy.example.com/https://github.com/").describe("What it is rewritten to."),
    })
    .optional()
    .describe("Rewrites git URLs (url.<via>.insteadOf)."),
  httpProxy: z
    .strictObject({
      url: httpUrl("http://proxy.example.com:3128").regex(
        /^[^@]*$/,
        "expected a URL without credentials: secrets.proxyCredentials says where they come from",
      ),
      except: z
        .array(
          z
            .string()
            .refine(
              isProxyException,
              "expected a host, a domain such as .example.com, or a network such as 10.0.0.0/8",
            ),
        )
        .default([])
        .describe("Reached without the proxy, besides loopback, the PyPI cache and the metadata service."),
    })
    .optional()
    .describe("HTTP proxy of Docker, the builders, the agents and their jobs."),
  vpc: z
    .array(cidr)
    .default([])
    .describe("Networks of the site, such as the VPC's: Docker's address pools must stay away from them."),
  metadata: z
    .strictObject({
      closed: z
        .boolean()
        .default(true)
        .describe("Once the node is ready, nothing on it reaches 169.254.169.254 until the next boot."),
      exceptUsers: z
        .array(token("a user name"))
        .default([])
        .describe("Users of the node that still reach it, such as a monitoring agent's; never root."),
    })
    .default({ closed: true, exceptUsers: [] })
    .describe("The cloud's metadata service, which hands out user-data and credentials to whoever asks."),
});

/** The key's own bytes begin with its type, and are as many as it says. */
export const isPublicKey = (text: string): boolean => {
  const [type = "", body = ""] = text.split(" ");
  const bytes = Buffer.from(body, "base64");
  if (bytes.length < 4 + type.length || bytes.subarray(4, 4 + type.length).toString("latin1") !== type) return false;
  let at = 0;
  while (at + 4 <= bytes.length) at += 4 + bytes.readUInt32BE(at);
  return at === bytes.length;
};

const Ssh = z.strictObject({
  operatorKeys: z
    .array(
      z
        .string()
        .regex(
          /^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp\d+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]+=*( [^\0\n\r]*)?$/,
          "expected a public key as in authorized_keys",
        )
        .refine(isPublicKey, "expected a whole public key: this one was cut off, or its type is another")
        .meta({
          examples: [
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILQis7noIZ99mnJYBtBmHDveCP9CmQND01H06fPKNars operator@example",
          ],
        }),
    )
    .default([])
    .describe("Public keys that may log in as root; they come with the golden user-data."),
  nodeKey: z
    .enum(["ed25519", "rsa", "none"])
    .default("ed25519")
    .describe(
      "The node's own key pair in /root/.ssh, made once and kept on the data disk; secrets.nodeKey delivers one instead.",
    ),
});

const SecretSource = z
  .union([
    z.strictObject({ file: localFile.describe("A file on the machine that renders user-data.") }),
    z.strictObject({
      env: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "expected the name of an environment variable, such as AGENT_TOKEN")
        .describe("An environment variable there."),
    }),
  ])
  .describe("Where a secret comes from; never its value.");

const Qemu = z.strictObject({
  base: z
    .union([
      token("the name of a base").meta({ examples: ["openeuler-22.03-lts-sp4"] }),
      z.strictObject({ file: localFile.describe("A qcow2 file.") }),
    ])
    .describe("Base image: a known name, or a qcow2 file."),
  architecture: z.enum(architectures).default("x86_64").describe("Processor architecture of the image."),
  memory: z.int().min(1024).default(2048).describe("MiB of memory of the build VM and of the booted image."),
  cpus: z.int().min(1).default(2).describe("Processors of these VMs."),
  diskSize: z.int().min(4).default(40).describe("GiB of the system disk."),
});

/** IDs of Huawei Cloud; some of its services write them without hyphens. */
const cloudId = (what: string) =>
  z
    .string()
    .regex(
      /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/,
      `expected the ID of ${what}: 32 hex digits, usually with hyphens`,
    )
    .meta({ examples: ["0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"] });

/** Systems of source images, by what their os-release says, with the cloud-init that they bring (facts: cloud-init by version). */
const cloudSystems = ["euleros-2.0-sp8", "openeuler-20.03", "openeuler-22.03", "openeuler-24.03", "other"] as const;

const HuaweiCloud = z.strictObject({
  region: token("a region")
    .meta({ examples: ["cn-north-4"] })
    .describe("Region where the image is made, such as cn-north-4."),
  sourceImage: cloudId("an image").describe(
    "Image that the bake starts from, by its ID: names and filters may match another one tomorrow.",
  ),
  system: z
    .enum(cloudSystems)
    .default("other")
    .describe("What the source image is: some need care before they find this cloud."),
  architecture: z.enum(architectures).default("x86_64").describe("Processor architecture of the image."),
  flavor: token("a flavor")
    .meta({ examples: ["kc1.large.4"] })
    .describe("Flavor of the server that builds."),
  availabilityZone: token("an availability zone")
    .optional()
    .describe("Where that server runs; the cloud chooses otherwise."),
  vpc: cloudId("a VPC").describe("VPC of that server: one made for the build would always be 172.16.0.0/16."),
  subnet: cloudId("a subnet").describe("Subnet of that server; it needs DHCP."),
  securityGroup: cloudId("a security group").describe(
    "The one security group of that server: ssh from where Packer runs, 169.254.0.0/16 by TCP 80 outward.",
  ),
  publicIp: z
    .strictObject({
      bandwidth: z.int().min(1).max(300).describe("Mbit/s."),
      type: token("a type of public addresses").default("5_bgp").describe("Type of the public address."),
    })
    .optional()
    .describe("Gives the building server a public address; without it Packer must reach its private one."),
  diskSize: z.int().min(10).max(1024).default(40).describe("GiB of the system disk."),
  diskType: z
    .enum(["SAS", "SSD", "GPSSD", "ESSD"])
    .default("SSD")
    .describe("Type of the system disk while it is built."),
  mirror: httpUrl("http://mirror.example.com/bake")
    .optional()
    .describe("Where the building server gets artifacts by content address; without it Packer uploads them."),
  imageName: z
    .string()
    .regex(
      /^[A-Za-z0-9](?:[A-Za-z0-9._ -]{0,61}[A-Za-z0-9])?$/,
      "expected 1 to 63 letters, digits, `.`, `_`, `-` and blanks",
    )
    .optional()
    .describe(
      "Name of the image; bake-<profile> otherwise. Images may share a name: their IDs and tags tell them apart.",
    ),
  tags: z
    .record(
      z.string().regex(/^[A-Za-z0-9_-]{1,36}$/, "expected the name of a tag: 1 to 36 letters, digits, `_` and `-`"),
      z.string().regex(/^[A-Za-z0-9._-]{0,43}$/, "expected at most 43 letters, digits, `.`, `_` and `-`"),
    )
    .default({})
    .describe("Further tags of the image, besides bake-id, bake-profile and bake-lock; at most seven."),
  enterpriseProject: cloudId("an enterprise project")
    .optional()
    .describe("Enterprise project that server and image belong to."),
  imageTimeout: z
    .int()
    .min(10)
    .max(600)
    .default(60)
    .describe("Minutes that the cloud may take to make an image of the disk."),
});

const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "expected a sha256: 64 hex digits in lower case")
  .describe("Digest of the file, when you know it.");

const File = z.strictObject({
  url: lockedUrl("https://example.com/tool.tar.gz").describe("Where the file is downloaded when the lock is made."),
  path: absolutePath.meta({ examples: ["/opt/site/tool"] }).describe("Where it lies on the node; owned by root."),
  mode: z
    .string()
    .regex(/^0[0-7]{3}$/, "expected a mode such as 0644, as text")
    .default("0644")
    .describe("Its mode there."),
  sha256: sha256.optional(),
  checksums: lockedUrl("https://example.com/SHA256SUMS")
    .optional()
    .describe("A file of checksums that names it. Without this and without sha256 the first download is trusted."),
});

const modelName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z0-9][A-Za-z0-9._-]*$/, "expected owner/name such as Qwen/Qwen3-0.6B")
  .meta({ examples: ["Qwen/Qwen3-0.6B"] });

const revision = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/, "expected a branch, a tag or a commit")
  .optional()
  .describe("Branch, tag or commit; the lock holds the commit. The hub's main branch without it.");

const Model = z.union([
  z.strictObject({ modelscope: modelName.describe("A model of ModelScope."), revision }),
  z.strictObject({ huggingface: modelName.describe("A model of Hugging Face."), revision }),
]);

/** Which hub a model is of, and its name there. */
export const hubOf = (model: z.infer<typeof Model>) =>
  "modelscope" in model
    ? ({ hub: "modelscope", name: model.modelscope } as const)
    : ({ hub: "huggingface", name: model.huggingface } as const);

const Pin = z.strictObject({
  reason: oneLine.optional().describe("Why it stays at this version."),
  link: httpUrl("https://example.com/issues/1").optional().describe("Where to read more."),
  reviewAt: z.iso
    .date("expected a date such as 2026-12-31")
    .optional()
    .describe("From this day on `lock --outdated` asks for another look."),
  follows: z
    .strictObject({
      repository: httpUrl("https://github.com/vllm-project/vllm-ascend.git").describe("A git repository."),
      branch: token("a branch").default("main").describe("Its branch."),
      file: z
        .string()
        .regex(/^(?!.*(?:^|\/)\.{0,2}(?:\/|$))[A-Za-z0-9._/-]+$/, "expected a path in the repository")
        .meta({ examples: ["tests/e2e/vllm_interface/vllm_test.cfg"] })
        .describe("A file in it."),
      variable: environmentName
        .meta({ examples: ["BASE_IMAGE_NAME"] })
        .describe("The assignment in that file which says what CI uses."),
    })
    .optional()
    .describe("Where CI says which one it uses: `lock --outdated` compares."),
});

const Sources = z.strictObject({
  docker: lockedUrl("https://download.docker.com/linux/static/stable")
    .default("https://download.docker.com/linux/static/stable")
    .describe("Docker's static archives: below it x86_64/docker-27.5.1.tgz. A mirror's address goes here."),
  buildx: lockedUrl("https://github.com/docker/buildx/releases/download")
    .default("https://github.com/docker/buildx/releases/download")
    .describe("Releases of buildx: below it v0.20.0/checksums.txt."),
  agent: lockedUrl("https://github.com/buildkite/agent/releases/download")
    .default("https://github.com/buildkite/agent/releases/download")
    .describe("Releases of the Buildkite agent."),
  goss: lockedUrl("https://github.com/goss-org/goss/releases/download")
    .default("https://github.com/goss-org/goss/releases/download")
    .describe("Releases of goss."),
  releases: lockedUrl("https://api.github.com")
    .default("https://api.github.com")
    .describe("Lists of releases, for versions such as 3.137.x and for `lock --outdated`."),
  openeuler: lockedUrl("https://repo.openeuler.org")
    .default("https://repo.openeuler.org")
    .describe("openEuler's images: below it openEuler-22.03-LTS-SP4/virtual_machine_img/."),
  modelscope: lockedUrl("https://www.modelscope.cn").default("https://www.modelscope.cn").describe("ModelScope's API."),
  huggingface: lockedUrl("https://huggingface.co").default("https://huggingface.co").describe("Hugging Face's API."),
  registries: registryMirrors
    .default({})
    .describe(
      "Mirrors by registry, asked in this order before the registry itself when images are locked and fetched.",
    ),
  insecureRegistries: z
    .array(
      z
        .string()
        .regex(new RegExp(`^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::${port})?$`), "expected host[:port]")
        .refine((text) => isHost(text.replace(/:.*$/, "")), "expected host[:port]")
        .meta({ examples: ["10.1.2.3:5000"] }),
    )
    .default([])
    .describe(
      "Registries and mirrors that speak plain http. Logins and images cross the network in plain sight; what arrives is compared with the lock all the same.",
    ),
});

/** What stands where a profile says nothing about sources. */
const defaultSources = Sources.parse({});

export const Profile = z.strictObject({
  agents: Agents.describe("The Buildkite agents of the node."),
  docker: Docker.describe("The Docker engine of the node."),
  buildx: z
    .strictObject({
      version: version("0.20.0").describe("buildx release; the pair of the Docker version."),
      allowUnpaired: z
        .boolean()
        .default(false)
        .describe("Take this buildx although it is not the pair of the Docker version."),
    })
    .describe("The build plugin of Docker's command line."),
  builders: Builders.describe("The BuildKit builders of the agents."),
  storage: Storage.describe("The data disk."),
  network: Network.default({ vpc: [], metadata: { closed: true, exceptUsers: [] } }).describe(
    "What the node reaches by way of what, and what it must not reach.",
  ),
  ssh: Ssh.default({ operatorKeys: [], nodeKey: "ed25519" }).describe("Who may log in, and the node's own key pair."),
  images: z.array(imageReference).default([]).describe("Images that are in Docker's store before the first job."),
  models: z
    .array(Model)
    .default([])
    .describe("Models that are locked and fetched with the rest. They do not reach the node yet."),
  files: z.array(File).default([]).describe("Further files of the node, by URL."),
  pins: z
    .record(z.string().min(1), Pin)
    .default({})
    .describe(
      "Why a version stays, by the name of the artifact: docker, buildx, buildkite-agent, goss, an image, a model.",
    ),
  sources: Sources.default(defaultSources).describe("Where artifacts are asked for when the lock is made."),
  checks: z
    .strictObject({
      gossVersion: version("0.4.9").default("0.4.9").describe("goss release that runs the checks on the node."),
      interval: z
        .int()
        .min(20)
        .default(60)
        .describe(
          "Seconds between two looks at the node's health; two bad ones in a row stop the agents after their jobs.",
        ),
    })
    .default({ gossVersion: "0.4.9", interval: 60 })
    .describe("How the node is checked."),
  secrets: z
    .strictObject({
      agentToken: SecretSource.describe("Token of the Buildkite cluster that the agents join."),
      gitToken: SecretSource.optional().describe(
        "GitHub token for private repositories, sent to the git proxy if there is one.",
      ),
      proxyCredentials: SecretSource.optional().describe("user:password of network.httpProxy."),
      nodeKey: SecretSource.optional().describe(
        "Private key of the node, in OpenSSH's format, instead of one that it makes.",
      ),
    })
    .describe("Where secrets come from; never their values."),
  targets: z
    .strictObject({
      qemu: Qemu.optional().describe("A local VM."),
      huaweicloud: HuaweiCloud.optional().describe("A server in Huawei Cloud, of which an image is made."),
    })
    .describe("Where the image is baked; at least one."),
});
export type Profile = z.infer<typeof Profile>;
