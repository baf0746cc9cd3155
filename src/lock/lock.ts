/** The lock: for every artifact of a profile what was asked, where it came from, and the digest of its bytes. */
import * as z from "zod";

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "a sha256 is 64 lower-case hex digits");

export const architectures = ["x86_64", "aarch64"] as const;
export type Architecture = (typeof architectures)[number];

/** The kinds of artifact that a bake knows how to install (templates/node/provision.sh has one function a kind). */
const artifactKinds = ["docker-static", "buildx", "buildkite-agent", "goss", "container-image"] as const;

const Artifact = z.strictObject({
  kind: z.enum(artifactKinds),
  /** Unique in the lock; an image's name is its reference with tag. */
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/:@-]*$/),
  version: z.string().min(1),
  /** Where the bytes came from: a URL, or how a trial assembled them. */
  resolved: z.string().min(1),
  size: z.int().positive(),
  sha256,
  /** Container images: the ID that `docker image inspect` must show, sha256 of the configuration. */
  imageId: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/)
    .optional(),
});
export type Artifact = z.infer<typeof Artifact>;

export const Lock = z.strictObject({
  lockVersion: z.literal(1),
  profile: z.string(),
  architecture: z.enum(architectures),
  /** The disk image a bake starts from. */
  base: z.strictObject({ name: z.string(), resolved: z.string(), size: z.int().positive(), sha256 }),
  artifacts: z.array(Artifact),
});
export type Lock = z.infer<typeof Lock>;
