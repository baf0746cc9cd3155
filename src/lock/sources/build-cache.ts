/** A BuildKit cache in a folder of this machine, as `docker buildx build --cache-to type=local` writes it. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import type { Blob, BuildCache } from "../../artifact.ts";
import { BakeError } from "../../errors.ts";
import type { CacheRequirement } from "../../node/requirement.ts";
import { entryOf, type Resolver } from "./resolver.ts";

/** Of the list that makes a manifest a cache: which blobs are the results of which steps. */
const cacheConfig = "application/vnd.buildkit.cacheconfig.v0";

/** The tag that a build asks for when it is told none. */
const tag = "latest";

/** Of a manifest and of an index; real ones have some KiB. */
const largestText = 64 * 2 ** 20;

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

/** What no cache is, and where it was asked for. */
const refuse = (requirement: CacheRequirement, why: string): never => {
  throw new BakeError(
    "BK247",
    `${requirement.path.join(".")}: ${requirement.folder} is no build cache: ${why}`,
    "It is a folder that docker buildx build --cache-to type=local,dest=FOLDER,mode=max wrote.",
  );
};

const notWhole = ({ path, name, folder }: CacheRequirement, blob: string, why: string): BakeError =>
  new BakeError(
    "BK248",
    `${path.join(".")}: build cache ${name} is not whole: ${join(folder, "blobs", blob.replace(":", "/"))} ${why}`,
    "Make it anew, into an empty folder, and do not copy it while a build writes to it.",
  );

const parsed = <T>(text: string, shape: z.ZodType<T>): T | undefined => {
  try {
    return shape.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
};

const reasonOf = (error: unknown): string => {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === "ENOENT" ? "is not there" : `cannot be read: ${message}`;
};

/** What tag `latest` of the folder names. */
const latestOf = async (requirement: CacheRequirement): Promise<Descriptor> => {
  const text = await readFile(join(requirement.folder, "index.json"), "utf8").catch((error: unknown) =>
    refuse(requirement, `its index.json ${reasonOf(error)}`),
  );
  const index = parsed(text, Index) ?? refuse(requirement, "its index.json is none of an OCI layout");
  return (
    index.manifests.find(({ annotations }) => annotations?.["org.opencontainers.image.ref.name"] === tag) ??
    refuse(requirement, `its index.json names nothing by the tag ${tag}`)
  );
};

/** Takes the cache into the store, blob by blob, each compared with its name: a copy that changes while it is read is refused. */
export const buildCache: Resolver<CacheRequirement, BuildCache> = {
  versions: () => Promise.resolve([]),
  resolve: async (requirement, { localFile }) => {
    const { folder } = requirement;
    const take = async ({ digest, size }: Descriptor): Promise<void> => {
      const hex = digest.slice("sha256:".length);
      const found = await localFile(join(folder, "blobs", "sha256", hex)).catch((error: unknown) => {
        throw notWhole(requirement, digest, reasonOf(error));
      });
      if (found.size !== size) throw notWhole(requirement, digest, `has ${found.size} bytes in the place of ${size}`);
      if (found.sha256 !== hex) throw notWhole(requirement, digest, `has other bytes: their sha256 is ${found.sha256}`);
    };
    const latest = await latestOf(requirement);
    if (latest.size > largestText) refuse(requirement, `the manifest of its tag ${tag} has ${latest.size} bytes`);
    await take(latest);
    const text = await readFile(join(folder, "blobs", latest.digest.replace(":", "/")), "utf8");
    const named = parsed(text, Manifest) ?? [];
    if (!named.some(({ mediaType }) => mediaType === cacheConfig))
      refuse(requirement, `its tag ${tag} names no cache of BuildKit's`);
    const blobs = [...new Map(named.map((blob) => [blob.digest, blob])).values()];
    for (const blob of blobs) await take(blob);
    return {
      kind: requirement.kind,
      ...entryOf(requirement, latest.digest.slice("sha256:".length, "sha256:".length + 12)),
      manifest: blobOf(latest),
      blobs: blobs.map(blobOf),
    };
  },
};
