/** Artifacts: what was asked, where it comes from, and the digest of its bytes. A lock is a list of them. */
import { createHash } from "node:crypto";
import * as z from "zod";

export const architectures = ["x86_64", "aarch64"] as const;
export type Architecture = (typeof architectures)[number];

/** As Go, and so the releases of Go programs and registries, name them. */
export const goArchitecture: Readonly<Record<Architecture, string>> = { x86_64: "amd64", aarch64: "arm64" };

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "expected a sha256: 64 hex digits in lower case");
const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, "expected sha256: and 64 hex digits in lower case");
const size = z.int().nonnegative();
/** An `@` belongs to credentials before the path alone. */
const url = z
  .string()
  .regex(/^https?:\/\/[^\s/?#@\\]+(?:[/?#]\S*)?$/, "expected an http or https URL without credentials");
/** Whatever reaches a file name, a tab-separated list or a report. */
const word = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/:@+-]*$/, "expected letters, digits, and . _ / : @ + -");

/** Why a version stays where it is; from the profile. */
const pin = {
  reason: z.string().optional(),
  link: z.string().optional(),
  reviewAt: z.iso.date().optional(),
};

const entry = {
  /** Unique for a kind and an architecture. An image's name is its reference with tag, as the node has it. */
  name: word,
  /** Absent: the same bytes serve all. */
  architecture: z.enum(architectures).optional(),
  /** Exact: a release, a tag, a commit. */
  version: word,
  /** As the profile says it: `26.1.x`, a tag, a branch. */
  asked: z.string().min(1),
  ...pin,
};

/** Who says that these bytes are the right ones: a checksum file, the profile, or nobody but the first download. */
const trust = z.enum(["checksums", "profile", "first-use"]);

const bytes = {
  url,
  size,
  sha256,
  trust,
  /** The file that names the digest. */
  checksums: url.optional(),
};

const releaseKinds = ["docker-static", "buildx", "buildkite-agent", "goss"] as const;

const Release = z.strictObject({ kind: z.enum(releaseKinds), ...entry, ...bytes });

/** A plain file by URL, with its place on the node. */
const PlainFile = z.strictObject({ kind: z.literal("file"), ...entry, ...bytes });

const Blob = z.strictObject({ digest, size, mediaType: z.string().min(1) });

const ContainerImage = z.strictObject({
  kind: z.literal("container-image"),
  ...entry,
  /** The registry's own name, whatever mirror was asked: `docker.io`, `quay.io`. */
  registry: word,
  repository: word,
  /** What the tag named; for an index the digest of the index. */
  tagDigest: digest,
  /** Of this architecture. */
  manifest: Blob,
  /** Its digest is the image ID. */
  config: Blob,
  /** The lowest first. */
  layers: z.array(Blob).min(1),
});

const Model = z.strictObject({
  kind: z.literal("model"),
  ...entry,
  hub: z.enum(["modelscope", "huggingface"]),
  files: z
    .array(
      z.strictObject({
        path: z
          .string()
          .regex(
            /^(?!.*(?:^|\/)\.{0,2}(?:\/|$))[^\0-\x1f\x7f\\]+$/,
            "expected a relative path without . and .. parts and without backslashes",
          ),
        url,
        size,
        sha256,
        /** ModelScope: the commit that last changed this file; its client records it. */
        revision: word.optional(),
        /** Absent: the hub gives a digest of it. */
        trust: z.literal("first-use").optional(),
      }),
    )
    .min(1),
});

const Base = z.strictObject({
  kind: z.literal("base"),
  ...entry,
  ...bytes,
  /** A trial's base is no download: how it was made. */
  url: z.union([url, z.string().startsWith("trial:"), z.string().startsWith("file:")]),
  /** As it is stored; a bake unpacks it. */
  format: z.enum(["qcow2", "qcow2.xz"]),
});

export type Release = z.infer<typeof Release>;
export type PlainFile = z.infer<typeof PlainFile>;
export type ContainerImage = z.infer<typeof ContainerImage>;
export type Model = z.infer<typeof Model>;
export type Base = z.infer<typeof Base>;
export type Blob = z.infer<typeof Blob>;

export const Artifact = z.discriminatedUnion("kind", [Base, Release, PlainFile, ContainerImage, Model]);
export type Artifact = z.infer<typeof Artifact>;

/** One file that the store has to hold. */
export interface LockedFile {
  /** For people: the artifact, and which part of it. */
  readonly name: string;
  readonly sha256: string;
  readonly size: number;
  /** Of the nodes that it is for; absent: of all. */
  readonly architecture?: Architecture;
}

/** The digest of a text as registries write it. */
export const ociDigest = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`;

const hex = (digestOfBlob: string): string => digestOfBlob.slice("sha256:".length);

const partsOf = (artifact: Artifact): LockedFile[] => {
  switch (artifact.kind) {
    case "container-image":
      return [
        { name: `${artifact.name} manifest`, sha256: hex(artifact.manifest.digest), size: artifact.manifest.size },
        { name: `${artifact.name} config`, sha256: hex(artifact.config.digest), size: artifact.config.size },
        ...artifact.layers.map((layer, index) => ({
          name: `${artifact.name} layer ${index + 1} of ${artifact.layers.length}`,
          sha256: hex(layer.digest),
          size: layer.size,
        })),
      ];
    case "model":
      return artifact.files.map((file) => ({
        name: `${artifact.name} ${file.path}`,
        sha256: file.sha256,
        size: file.size,
      }));
    default:
      return [{ name: artifact.name, sha256: artifact.sha256, size: artifact.size }];
  }
};

/** Every file of an artifact: what is downloaded, stored, compared and carried. */
export const filesOf = (artifact: Artifact): LockedFile[] => {
  const { architecture } = artifact;
  return architecture === undefined ? partsOf(artifact) : partsOf(artifact).map((file) => ({ ...file, architecture }));
};

/** Smaller first: kind, name, architecture. */
export const compareArtifacts = (a: Artifact, b: Artifact): number => {
  const key = ({ kind, name, architecture }: Artifact): string => `${kind} ${name} ${architecture ?? ""}`;
  return key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0;
};

/** One digest for an artifact: of its file, of an image its ID, of a model its list of files. */
export const digestOf = (artifact: Artifact): string =>
  artifact.kind === "container-image"
    ? hex(artifact.config.digest)
    : artifact.kind === "model"
      ? createHash("sha256")
          .update(artifact.files.map(({ path, sha256: found }) => `${found}  ${path}\n`).join(""))
          .digest("hex")
      : artifact.sha256;

/** What of a lock goes to a node of one architecture, and the base that it is baked from. */
export interface Locked {
  readonly base?: Base;
  readonly artifacts: readonly Exclude<Artifact, Base>[];
  /** sha256 of the lock, base64url: fits into a tag. */
  readonly digest: string;
}
