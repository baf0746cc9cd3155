/** A BuildKit cache in a folder of this machine, as `docker buildx build --cache-to type=local` writes it. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Blob, BuildCache } from "../../artifact.ts";
import { BakeError } from "../../errors.ts";
import type { CacheRequirement } from "../../node/requirement.ts";
import { blobsOfManifest, cacheBlobPath, taggedManifest } from "../cache-layout.ts";
import { entryOf, type Resolver } from "./resolver.ts";

/** What no cache is, and where it was asked for. */
const refuse = (requirement: CacheRequirement, why: string): never => {
  throw new BakeError(
    "BK247",
    `${requirement.path.join(".")}: ${requirement.folder} is no build cache: ${why}`,
    "It is a folder that docker buildx build --cache-to type=local,dest=FOLDER,mode=max wrote, or bake cache.",
  );
};

const notWhole = ({ path, name, folder }: CacheRequirement, blob: string, why: string): BakeError =>
  new BakeError(
    "BK248",
    `${path.join(".")}: build cache ${name} is not whole: ${join(folder, cacheBlobPath(blob))} ${why}`,
    "Make it anew, into an empty folder, and do not copy it while a build writes to it.",
  );

const reasonOf = (error: unknown): string => {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === "ENOENT" ? "is not there" : `cannot be read: ${message}`;
};

/** Takes the cache into the store, blob by blob, each compared with its name: a copy that changes while it is read is refused. */
export const buildCache: Resolver<CacheRequirement, BuildCache> = {
  versions: () => Promise.resolve([]),
  resolve: async (requirement, { localFile }) => {
    const { folder } = requirement;
    const take = async ({ digest, size }: Blob): Promise<void> => {
      const hex = digest.slice("sha256:".length);
      const found = await localFile(join(folder, cacheBlobPath(digest))).catch((error: unknown) => {
        // Of the store, not of the cache.
        if (error instanceof BakeError) throw error;
        throw notWhole(requirement, digest, reasonOf(error));
      });
      if (found.size !== size) throw notWhole(requirement, digest, `has ${found.size} bytes in the place of ${size}`);
      if (found.sha256 !== hex) throw notWhole(requirement, digest, `has other bytes: their sha256 is ${found.sha256}`);
    };
    const index = await readFile(join(folder, "index.json"), "utf8").catch((error: unknown) =>
      refuse(requirement, `its index.json ${reasonOf(error)}`),
    );
    const manifest = taggedManifest(index);
    if ("why" in manifest) return refuse(requirement, manifest.why);
    await take(manifest);
    const blobs = blobsOfManifest(await readFile(join(folder, cacheBlobPath(manifest.digest)), "utf8"));
    if ("why" in blobs) return refuse(requirement, blobs.why);
    for (const blob of blobs) await take(blob);
    return {
      kind: requirement.kind,
      ...entryOf(requirement, manifest.digest.slice("sha256:".length, "sha256:".length + 12)),
      manifest,
      blobs: [...blobs],
    };
  },
};
