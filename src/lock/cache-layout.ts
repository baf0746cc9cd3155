/** What BuildKit's export of a cache to a folder has in it: an OCI layout whose tag leads to one list of blobs. Pure. */
import * as z from "zod";
import type { Blob } from "../artifact.ts";

/** Of the list that makes a manifest a cache: which blobs are the results of which steps. */
const cacheConfig = "application/vnd.buildkit.cacheconfig.v0";

/** The tag that a build asks for when it is told none. */
const cacheTag = "latest";

/** Bytes of a manifest and of an index at the most; real ones have some KiB. */
const largestCacheText = 64 * 2 ** 20;

const Descriptor = z.object({
  mediaType: z.string().min(1),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  size: z.int().nonnegative(),
  annotations: z.record(z.string(), z.string()).optional(),
});
type Descriptor = z.infer<typeof Descriptor>;

const Index = z.object({ manifests: z.array(Descriptor) });
/** An index of blobs, or the manifest of an image: BuildKit wrote the one until 0.20, and writes the other since. */
const Manifest = z.union([
  z.object({ config: Descriptor, layers: z.array(Descriptor) }).transform(({ config, layers }) => [...layers, config]),
  z.object({ manifests: z.array(Descriptor) }).transform(({ manifests }) => manifests),
]);

const blobOf = ({ digest, size, mediaType }: Descriptor): Blob => ({ digest, size, mediaType });

const parsed = <T>(text: string, shape: z.ZodType<T>): T | undefined => {
  try {
    return shape.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
};

/** Where a blob lies below a cache's folder. Pure. */
export const cacheBlobPath = (digest: string): string => `blobs/${digest.replace(":", "/")}`;

/** What the tag of an `index.json` names. Pure. @returns a reason where it names no manifest. */
export const taggedManifest = (indexJson: string): Blob | { readonly why: string } => {
  const index = parsed(indexJson, Index);
  if (index === undefined) return { why: "its index.json is none of an OCI layout" };
  const found = index.manifests.find(
    ({ annotations }) => annotations?.["org.opencontainers.image.ref.name"] === cacheTag,
  );
  if (found === undefined) return { why: `its index.json names nothing by the tag ${cacheTag}` };
  if (found.size > largestCacheText) return { why: `the manifest of its tag ${cacheTag} has ${found.size} bytes` };
  return blobOf(found);
};

/** The blobs that a manifest leads to, each once. Pure. @returns a reason where it is no cache of BuildKit's. */
export const blobsOfManifest = (manifest: string): readonly Blob[] | { readonly why: string } => {
  const named = parsed(manifest, Manifest) ?? [];
  if (!named.some(({ mediaType }) => mediaType === cacheConfig))
    return { why: `its tag ${cacheTag} names no cache of BuildKit's` };
  return [...new Map(named.map((blob) => [blob.digest, blobOf(blob)])).values()];
};

/** The two small files of a cache whose tag names this manifest. Pure. */
export const cacheIndex = (manifest: Blob): { readonly indexJson: string; readonly ociLayout: string } => ({
  indexJson: JSON.stringify({
    schemaVersion: 2,
    manifests: [{ ...manifest, annotations: { "org.opencontainers.image.ref.name": cacheTag } }],
  }),
  ociLayout: JSON.stringify({ imageLayoutVersion: "1.0.0" }),
});
