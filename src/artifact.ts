/**
 * Artifacts: what was asked, where it comes from, and the digest of its bytes. A lock is a list of them. What differs from kind to
 * kind stands in one table, `kinds`. Pure.
 */
import { createHash } from "node:crypto";
import * as z from "zod";

/** As a profile and the kernel name them. */
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

/** Programs by their releases. */
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

/** A BuildKit cache, as `--cache-to type=local` writes one: what its tag `latest` names, and nothing else of its folder. */
const BuildCache = z.strictObject({
  kind: z.literal("build-cache"),
  ...entry,
  manifest: Blob,
  /** All that the manifest names, each once: layers, and the list of what they are the results of. */
  blobs: z.array(Blob).min(1),
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
export type BuildCache = z.infer<typeof BuildCache>;
export type Base = z.infer<typeof Base>;
export type Blob = z.infer<typeof Blob>;

/** One artifact, of any kind, as a lock holds it. */
export const Artifact = z.discriminatedUnion("kind", [Base, Release, PlainFile, ContainerImage, Model, BuildCache]);
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
export const ociDigest = (content: string | Uint8Array): string =>
  `sha256:${createHash("sha256").update(content).digest("hex")}`;

const hex = (digestOfBlob: string): string => digestOfBlob.slice("sha256:".length);

type Kind = Artifact["kind"];
type ArtifactOf<K extends Kind> = K extends Release["kind"] ? Release : Extract<Artifact, { readonly kind: K }>;

/** A package URL by its parts (package-url/purl-spec), none of them encoded. */
interface PackageUrl {
  readonly type: "generic" | "github" | "huggingface" | "oci";
  /** Namespace and name. */
  readonly name: string;
  readonly version: string;
  /** One that is undefined is left out. */
  readonly qualifiers?: Readonly<Record<string, string | undefined>>;
}

/** What bake has to know of a kind of artifacts. */
interface KindOf<A extends Artifact> {
  /** Before its name in a message: `the image `. Empty where the name says it. */
  readonly noun: string;
  /** Where a profile asks for it. */
  readonly section: readonly string[];
  /** Of CycloneDX 1.6. */
  readonly cyclonedxType: "application" | "container" | "data" | "file" | "machine-learning-model" | "operating-system";
  readonly packageUrl: (artifact: A) => PackageUrl;
  /** Whether it is unpacked on a node, as root: then it is looked through before. */
  readonly isArchive: boolean;
  /**
   * How it comes to a node. `disk`: the image is made on it. `release`: provision.sh knows its place. `file`: at the place that
   * the profile names. `image-blobs`: blob by blob. `model-files`: file by file, to the data disk; with the image, or from a mirror.
   * `cache-blobs`: blob by blob, to the data disk.
   */
  readonly install: "disk" | "release" | "file" | "image-blobs" | "model-files" | "cache-blobs";
  /** The files that it consists of. */
  readonly parts: (artifact: A) => LockedFile[];
  /** One digest for all of it, as hex. */
  readonly digest: (artifact: A) => string;
}

type OneFile = Base | Release | PlainFile;

const oneFile = {
  parts: ({ name, sha256: found, size: bytesOfIt }: OneFile): LockedFile[] => [
    { name, sha256: found, size: bytesOfIt },
  ],
  digest: ({ sha256: found }: OneFile): string => found,
};

const blobPart = (name: string, blob: Blob): LockedFile => ({ name, sha256: hex(blob.digest), size: blob.size });
const blobParts = (name: string, blobs: readonly Blob[]): LockedFile[] =>
  blobs.map((blob, index) => blobPart(`${name} ${index + 1} of ${blobs.length}`, blob));

/** A query may be a signature; the digest says which bytes they are. */
const downloadQualifiers = (artifact: OneFile): Readonly<Record<string, string | undefined>> => ({
  arch: artifact.architecture,
  checksum: `sha256:${artifact.sha256}`,
  download_url: /^https?:/.test(artifact.url) ? artifact.url.replace(/[?#].*$/, "") : undefined,
});

const genericUrl = (artifact: OneFile): PackageUrl => ({
  type: "generic",
  name: artifact.name,
  version: artifact.version,
  qualifiers: downloadQualifiers(artifact),
});

/** A program by its releases. */
const program = {
  noun: "",
  cyclonedxType: "application",
  install: "release",
  ...oneFile,
} as const;

const gitHubUrl =
  (repository: string) =>
  (artifact: Release): PackageUrl => ({
    type: "github",
    name: repository,
    version: `v${artifact.version}`,
    qualifiers: downloadQualifiers(artifact),
  });

/** Every kind. One that is missing, and a row that lacks something, do not compile. */
const kinds: { readonly [K in Kind]: KindOf<ArtifactOf<K>> } = {
  base: {
    noun: "the base ",
    section: ["targets", "qemu"],
    cyclonedxType: "operating-system",
    packageUrl: genericUrl,
    isArchive: false,
    install: "disk",
    ...oneFile,
  },
  "docker-static": {
    ...program,
    section: ["docker"],
    packageUrl: (artifact) => ({ ...genericUrl(artifact), name: "docker" }),
    isArchive: true,
  },
  buildx: { ...program, section: ["buildx"], packageUrl: gitHubUrl("docker/buildx"), isArchive: false },
  "buildkite-agent": { ...program, section: ["agents"], packageUrl: gitHubUrl("buildkite/agent"), isArchive: true },
  goss: { ...program, section: ["checks"], packageUrl: gitHubUrl("goss-org/goss"), isArchive: false },
  "container-image": {
    noun: "the image ",
    section: ["images"],
    cyclonedxType: "container",
    packageUrl: ({ registry, repository, manifest, architecture, version }) => ({
      type: "oci",
      name: (repository.split("/").at(-1) ?? "").toLowerCase(),
      version: manifest.digest,
      qualifiers: {
        arch: architecture && goArchitecture[architecture],
        repository_url: `${registry}/${repository}`,
        tag: version,
      },
    }),
    isArchive: false,
    install: "image-blobs",
    parts: ({ name, manifest, config, layers }) => [
      blobPart(`${name} manifest`, manifest),
      blobPart(`${name} config`, config),
      ...blobParts(`${name} layer`, layers),
    ],
    // The image ID.
    digest: ({ config }) => hex(config.digest),
  },
  model: {
    noun: "the model ",
    section: ["models"],
    cyclonedxType: "machine-learning-model",
    packageUrl: ({ hub, name, version }) =>
      hub === "huggingface"
        ? { type: "huggingface", name, version }
        : { type: "generic", name: `modelscope/${name}`, version },
    isArchive: false,
    install: "model-files",
    parts: ({ name, files }) =>
      files.map((file) => ({ name: `${name} ${file.path}`, sha256: file.sha256, size: file.size })),
    // Of its list of files.
    digest: ({ files }) =>
      createHash("sha256")
        .update(files.map(({ path, sha256: found }) => `${found}  ${path}\n`).join(""))
        .digest("hex"),
  },
  "build-cache": {
    noun: "the build cache ",
    section: ["caches"],
    cyclonedxType: "data",
    packageUrl: ({ name, version }) => ({ type: "generic", name: `build-cache/${name}`, version }),
    isArchive: false,
    install: "cache-blobs",
    parts: ({ name, manifest, blobs }) => [blobPart(`${name} manifest`, manifest), ...blobParts(`${name} blob`, blobs)],
    digest: ({ manifest }) => hex(manifest.digest),
  },
  file: {
    noun: "the file ",
    section: ["files"],
    cyclonedxType: "file",
    packageUrl: genericUrl,
    isArchive: false,
    install: "file",
    ...oneFile,
  },
};

/** Whether artifacts of a kind are releases of programs: the profile names their versions. Pure. */
export const isRelease = (kind: Kind): boolean => kinds[kind].install === "release";

/** In the order in which artifacts are asked for and told. */
export const artifactKinds = Object.keys(kinds) as readonly Kind[];

/** What is known of an artifact's kind. Its functions take this artifact. */
export const kindOf = <A extends Artifact>({ kind }: A): KindOf<A> => kinds[kind] as unknown as KindOf<A>;

/** Every file of an artifact: what is downloaded, stored, compared and carried. Sizes are in bytes. */
export const filesOf = (artifact: Artifact): LockedFile[] => {
  const { architecture } = artifact;
  const parts = kindOf(artifact).parts(artifact);
  return architecture === undefined ? parts : parts.map((file) => ({ ...file, architecture }));
};

/** Smaller first: kind, name, architecture. */
export const compareArtifacts = (a: Artifact, b: Artifact): number => {
  const key = ({ kind, name, architecture }: Artifact): string => `${kind} ${name} ${architecture ?? ""}`;
  return key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0;
};

/** One digest for an artifact, as hex: of its file, of an image its ID, of a model its list of files, of a cache its manifest. */
export const digestOf = (artifact: Artifact): string => kindOf(artifact).digest(artifact);

/** What of a lock goes to a node of one architecture, and the base that it is baked from. */
export interface Locked {
  readonly base?: Base;
  readonly artifacts: readonly Exclude<Artifact, Base>[];
  /** sha256 of the lock, base64url: fits into a tag. */
  readonly digest: string;
}
