/** The software bill of materials: what the image carries besides its base's own packages, as CycloneDX 1.6. Pure. */
import { createHash } from "node:crypto";
import { type Artifact, type Base, digestOf, goArchitecture } from "../artifact.ts";
import type { NodePlan } from "../plan/node-plan.ts";

/** Where releases live, as package URLs name them. */
const releasePurls: Readonly<Record<string, (version: string) => string>> = {
  "docker-static": (version) => `pkg:generic/docker@${version}`,
  buildx: (version) => `pkg:github/docker/buildx@v${version}`,
  "buildkite-agent": (version) => `pkg:github/buildkite/agent@v${version}`,
  goss: (version) => `pkg:github/goss-org/goss@v${version}`,
};

const encode = (text: string): string => encodeURIComponent(text).replaceAll("%2F", "/").replaceAll("%3A", ":");

const qualifiers = (values: Readonly<Record<string, string | undefined>>): string => {
  const pairs = Object.entries(values)
    .flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${encodeURIComponent(value)}`]))
    .toSorted();
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
};

/** The package URL of an artifact (package-url/purl-spec: types generic, github, oci, huggingface). */
export const purlOf = (artifact: Artifact): string => {
  switch (artifact.kind) {
    case "container-image":
      return `pkg:oci/${encode((artifact.repository.split("/").at(-1) ?? "").toLowerCase())}@${encodeURIComponent(artifact.manifest.digest)}${qualifiers(
        {
          arch: artifact.architecture && goArchitecture[artifact.architecture],
          repository_url: `${artifact.registry}/${artifact.repository}`,
          tag: artifact.version,
        },
      )}`;
    case "model":
      return artifact.hub === "huggingface"
        ? `pkg:huggingface/${encode(artifact.name)}@${artifact.version}`
        : `pkg:generic/modelscope/${encode(artifact.name)}@${artifact.version}`;
    default: {
      const purl =
        releasePurls[artifact.kind]?.(encode(artifact.version)) ??
        `pkg:generic/${encode(artifact.name)}@${encode(artifact.version)}`;
      // A query may be a signature; the digest says which bytes they are.
      const download = /^https?:/.test(artifact.url) ? artifact.url.replace(/[?#].*$/, "") : undefined;
      return `${purl}${qualifiers({ arch: artifact.architecture, checksum: `sha256:${artifact.sha256}`, download_url: download })}`;
    }
  }
};

const cyclonedxTypes: Readonly<Record<Artifact["kind"], string>> = {
  base: "operating-system",
  "docker-static": "application",
  buildx: "application",
  "buildkite-agent": "application",
  goss: "application",
  file: "file",
  "container-image": "container",
  model: "machine-learning-model",
};

const component = (artifact: Artifact) => ({
  type: cyclonedxTypes[artifact.kind],
  "bom-ref": `${artifact.kind}/${artifact.name}`,
  name: artifact.name,
  version: artifact.version,
  purl: purlOf(artifact),
  hashes: [{ alg: "SHA-256", content: digestOf(artifact) }],
  // One digest each: what they consist of.
  ...(artifact.kind === "container-image" && {
    components: artifact.layers.map((layer, index) => ({
      type: "file",
      "bom-ref": `${artifact.kind}/${artifact.name}/layer-${index + 1}`,
      name: `layer ${index + 1} of ${artifact.name}`,
      hashes: [{ alg: "SHA-256", content: layer.digest.slice("sha256:".length) }],
    })),
  }),
});

/** A UUID that is the same for the same content. */
const uuidOf = (text: string): string => {
  const hex = createHash("sha256").update(text).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
};

/** Models do not reach the node yet, so they are not in it. */
const carried = ({ base, artifacts = [] }: NodePlan): (Artifact | Base)[] => [
  ...(base === undefined ? [] : [base]),
  ...artifacts.filter(({ kind }) => kind !== "model"),
];

/** @param bakeId Of the image; names the bill. */
export const sbom = (plan: NodePlan, bakeId: string): string =>
  `${JSON.stringify(
    {
      bomFormat: "CycloneDX",
      specVersion: "1.6",
      serialNumber: `urn:uuid:${uuidOf(bakeId)}`,
      version: 1,
      metadata: {
        component: {
          type: "platform",
          "bom-ref": "image",
          name: `${plan.profile}${plan.trial ? " (trial)" : ""}`,
          version: bakeId,
        },
        properties: [
          { name: "bake:target", value: plan.target.name },
          { name: "bake:architecture", value: plan.target.architecture },
        ],
      },
      components: carried(plan).map(component),
      dependencies: [
        { ref: "image", dependsOn: carried(plan).map(({ kind, name }) => `${kind}/${name}`) },
        ...carried(plan).map(({ kind, name }) => ({ ref: `${kind}/${name}` })),
      ],
    },
    null,
    2,
  )}\n`;
