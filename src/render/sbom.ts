/** The software bill of materials: what the image carries besides its base's own packages, as CycloneDX 1.6. Pure. */
import { type Artifact, type Base, digestOf, kindOf } from "../artifact.ts";
import { uuidOf } from "../formats/uuid.ts";
import type { NodePlan } from "../plan/node-plan.ts";

const encode = (text: string): string => encodeURIComponent(text).replaceAll("%2F", "/").replaceAll("%3A", ":");

const qualifiers = (values: Readonly<Record<string, string | undefined>>): string => {
  const pairs = Object.entries(values)
    .flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${encodeURIComponent(value)}`]))
    .toSorted();
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
};

/** The package URL of an artifact (package-url/purl-spec). Pure. */
export const purlOf = (artifact: Artifact): string => {
  const { type, name, version, qualifiers: pairs = {} } = kindOf(artifact).packageUrl(artifact);
  return `pkg:${type}/${encode(name)}@${encodeURIComponent(version)}${qualifiers(pairs)}`;
};

const component = (artifact: Artifact) => ({
  type: kindOf(artifact).cyclonedxType,
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

/** What the image holds, or was made on. */
const carried = ({ base, artifacts = [] }: NodePlan): (Artifact | Base)[] => [
  ...(base === undefined ? [] : [base]),
  ...artifacts,
];

/**
 * The bill of materials of an image as JSON, the same for the same plan. Pure.
 * @param bakeId Of the image; names the bill.
 */
export const sbom = (plan: NodePlan, bakeId: string): string =>
  `${JSON.stringify(
    {
      bomFormat: "CycloneDX",
      specVersion: "1.6",
      serialNumber: `urn:uuid:${uuidOf(bakeId, 5)}`,
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
