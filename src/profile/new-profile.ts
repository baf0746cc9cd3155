/** The text of a new profile, with comments: pure. Values are checked afterwards, as in any profile. */
import { Document, Scalar } from "yaml";
import { buildxPairOf } from "./buildx-pairs.ts";

/** Settings below `agents` that a host may have set otherwise. */
export interface AgentValues {
  readonly endpoint: string;
  readonly healthAddress: string;
  readonly gitCloneFlags: string;
  readonly gitFetchFlags: string;
}

export interface Answers extends Partial<AgentValues> {
  /** NPUs of the host. */
  readonly npus: number;
  /** NPUs of each agent. */
  readonly cards: number;
  readonly spawn?: number;
  readonly queue: string;
  readonly architecture: string;
  readonly base: string;
  /** `UUID=…` or `LABEL=…`; a blank NVMe disk otherwise. */
  readonly adopt?: string;
  readonly filesystem?: string;
  readonly mount?: string;
  readonly dataRoot?: string;
  readonly pypiCache?: { readonly host: string; readonly port: number };
  readonly gitProxy?: { readonly for: string; readonly via: string };
  readonly gitRewrites?: readonly { readonly for: readonly string[]; readonly via: string }[];
  readonly httpProxy?: { readonly url: string; readonly except: readonly string[] };
  readonly dockerMirrors?: readonly string[];
  readonly insecureRegistries?: readonly string[];
  readonly mtu?: number;
  readonly addressPools?: readonly { readonly base: string; readonly size: number }[];
  readonly logMaxSize?: string;
  readonly logMaxFiles?: number;
  readonly tags?: Readonly<Record<string, string>>;
  /** Further keys of buildkite-agent.cfg. */
  readonly agentSettings?: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly images?: readonly string[];
  /** Public keys. */
  readonly operatorKeys?: readonly string[];
  /** Instead of a local VM. */
  readonly huaweicloud?: {
    readonly region: string;
    readonly sourceImage: string;
    readonly flavor: string;
    readonly vpc: string;
    readonly subnet: string;
    readonly securityGroup: string;
  };
  readonly agentToken: { readonly file: string } | { readonly env: string };
  readonly agentVersion?: string;
  readonly dockerVersion?: string;
  readonly buildxVersion?: string;
  readonly buildkitImage?: string;
  /** Where the values come from, for the first line. */
  readonly from?: string;
}

/** What is verified (guide rows G2, G15). */
const verified = { agent: "3.137.0", docker: "27.5.1" };

/** Of the age of the Docker (guide row G24). */
const buildkitFor = (docker: string): string =>
  docker.startsWith("26.") ? "moby/buildkit:v0.13.2" : "moby/buildkit:v0.19.0";

/** A scalar in one line, quoted when it must be. */
const scalar = (value: string | number): string => {
  const node = new Scalar(value);
  if (typeof value === "string" && !/^[A-Za-z0-9/][A-Za-z0-9._:/=@-]*$/.test(value)) node.type = Scalar.QUOTE_DOUBLE;
  return new Document(node).toString({ lineWidth: 0, doubleQuotedMinMultiLineLength: 1e9 }).trimEnd();
};

const agentValues = ["endpoint", "healthAddress", "gitCloneFlags", "gitFetchFlags"] as const;

/** A text that may be anything: in brackets, or one that looks like a number. */
const doubleQuoted = (value: string): string => {
  const node = new Scalar(value);
  node.type = Scalar.QUOTE_DOUBLE;
  return new Document(node).toString({ lineWidth: 0, doubleQuotedMinMultiLineLength: 1e9 }).trimEnd();
};

/** What Docker of a host may have otherwise. */
const dockerValues = ({ mtu, logMaxSize, logMaxFiles, addressPools }: Answers): string =>
  [
    ...(logMaxSize === undefined ? [] : [`logMaxSize: ${scalar(logMaxSize)}`]),
    ...(logMaxFiles === undefined ? [] : [`logMaxFiles: ${logMaxFiles}`]),
    ...(mtu === undefined ? [] : [`mtu: ${mtu}`]),
    ...(addressPools === undefined
      ? []
      : [
          `addressPools: [${addressPools.map(({ base, size }) => `{ base: ${doubleQuoted(base)}, size: ${size} }`).join(", ")}]`,
        ]),
  ]
    .map((line) => `\n  ${line}`)
    .join("");

/** A map of texts below a key of `agents`. */
const map = (key: string, values: Readonly<Record<string, string>> | undefined): string =>
  values === undefined || Object.keys(values).length === 0
    ? ""
    : `\n  ${key}:${Object.entries(values)
        .map(([name, value]) => `\n    ${scalar(name)}: ${doubleQuoted(value)}`)
        .join("")}`;

/**
 * The text of a profile with these answers; values that only some profiles have stand in comments. Pure.
 * @param schema Path of the schema, as seen from the profile.
 */
export const newProfile = (answers: Answers, schema: string): string => {
  const { npus, cards } = answers;
  const spawn = answers.spawn ?? Math.max(1, Math.floor(npus / cards));
  const docker = answers.dockerVersion ?? verified.docker;
  const agents = spawn === 1 ? "one agent" : `${spawn} agents`;
  const network = [
    ...(answers.pypiCache === undefined
      ? ["  # pypiCache: { host: 192.0.2.10, port: 3141 }"]
      : [`  pypiCache: { host: ${scalar(answers.pypiCache.host)}, port: ${scalar(answers.pypiCache.port)} }`]),
    ...(answers.gitProxy === undefined
      ? ["  # gitProxy: { for: https://github.com/, via: https://git-proxy.example.com/https://github.com/ }"]
      : ["  gitProxy:", `    for: ${scalar(answers.gitProxy.for)}`, `    via: ${scalar(answers.gitProxy.via)}`]),
    ...(answers.gitRewrites === undefined || answers.gitRewrites.length === 0
      ? ['  # gitRewrites: [{ for: ["git@github.com:", "ssh://git@github.com/"], via: https://github.com/ }]']
      : [
          "  gitRewrites:",
          ...answers.gitRewrites.map(
            ({ for: prefixes, via }) =>
              `    - { for: [${prefixes.map(doubleQuoted).join(", ")}], via: ${doubleQuoted(via)} }`,
          ),
        ]),
    ...(answers.httpProxy === undefined
      ? ["  # httpProxy: { url: http://proxy.example.com:3128, except: [.example.com] }"]
      : [
          "  httpProxy:",
          `    url: ${scalar(answers.httpProxy.url)}`,
          `    except: [${answers.httpProxy.except.map(doubleQuoted).join(", ")}]`,
        ]),
    ...(answers.dockerMirrors === undefined
      ? []
      : [`  registryMirrors: { docker.io: [${answers.dockerMirrors.map(doubleQuoted).join(", ")}] }`]),
    "  # Certificates of the site's own authorities, beside this file: trusted by all on the node.",
    "  # caCertificates: [{ from: site-ca.pem }]",
    "  # Networks of the site, that Docker's own must stay away from.",
    "  vpc: []",
  ];
  const images = answers.images ?? [];
  const operatorKeys = answers.operatorKeys ?? [];
  const cloud = answers.huaweicloud;
  const target =
    cloud === undefined
      ? `  qemu:\n    base: ${scalar(answers.base)}\n    architecture: ${scalar(answers.architecture)}`
      : [
          "  # bake doctor looks at all of it, and makes nothing.",
          "  huaweicloud:",
          ...Object.entries({ ...cloud, architecture: answers.architecture }).map(
            ([key, value]) => `    ${key}: ${scalar(value)}`,
          ),
        ].join("\n");
  const source =
    "file" in answers.agentToken
      ? `file: ${scalar(answers.agentToken.file)}`
      : `env: ${scalar(answers.agentToken.env)}`;
  return `# yaml-language-server: $schema=${schema}
# ${npus} NPUs, ${agents} with ${cards} each.${answers.from === undefined ? "" : ` Read from ${answers.from.replace(/[^\x20-\x7e]/g, "?")}.`}
# \`bake validate --explain\` shows every setting, also those that are not here.
agents:
  version: ${scalar(answers.agentVersion ?? verified.agent)}
  # Agents are named <hostname>-<1 to spawn>-<cards>cards: CI takes NPUs, builder and caches from that.
  spawn: ${spawn}
  cards: ${cards}
  npus: ${npus}
  queue: ${scalar(answers.queue)}${agentValues
    .flatMap((key) => (answers[key] === undefined ? [] : [`\n  ${key}: ${doubleQuoted(answers[key])}`]))
    .join(
      "",
    )}${map("tags", answers.tags)}${map("environment", answers.environment)}${map("settings", answers.agentSettings)}

docker:
  version: ${scalar(docker)}${answers.dataRoot === undefined ? "" : `\n  dataRoot: ${scalar(answers.dataRoot)}`}${dockerValues(answers)}

# The pair of the Docker version.
buildx: { version: ${scalar(answers.buildxVersion ?? buildxPairOf(docker) ?? "0.20.0")} }

# Pinned: a tag that moves has broken hosts overnight.
builders: { image: ${scalar(answers.buildkitImage ?? buildkitFor(docker))} }

storage:
${
  answers.adopt === undefined
    ? "  # The one blank NVMe disk. Several of them: { blank: nvme, pick: first }. One that has a file system: { adopt: UUID=... }\n  disk: { blank: nvme }"
    : `  # A file system that exists: mounted, never formatted.\n  disk: { adopt: ${scalar(answers.adopt)} }`
}${answers.filesystem === undefined ? "" : `\n  filesystem: ${scalar(answers.filesystem)}`}${answers.mount === undefined ? "" : `\n  mount: ${scalar(answers.mount)}`}

network:
${network.join("\n")}

# Who may log in as root.
ssh:
  operatorKeys:${operatorKeys.length === 0 ? " []" : operatorKeys.map((key) => `\n    - ${scalar(key)}`).join("")}

# In Docker's store before the first job.
images:${images.length === 0 ? " []" : `\n${images.map((image) => `  - ${scalar(image)}`).join("\n")}`}

# On the data disk before the first job, for all agents (docs/models.md).
# models: [{ modelscope: Qwen/Qwen3-0.6B }, { huggingface: Qwen/Qwen3-4B }]

# Further files of the node, from beside this profile or by url; never secrets.
# files: [{ from: files/pre-command, path: /root/.buildkite-agent/hooks/pre-command, mode: "0755" }]

${
  answers.insecureRegistries === undefined
    ? ""
    : `# They speak plain http.\nsources:\n  insecureRegistries: [${answers.insecureRegistries.map(doubleQuoted).join(", ")}]\n\n`
}# Where secrets come from on the machine that makes user-data; never their values.
secrets:
  agentToken: { ${source} }

targets:
${target}
`;
};
