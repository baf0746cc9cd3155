/** What `docker load` reads: images as lists of blobs, in an archive that a node puts together as it streams. */
import type { ContainerImage } from "../../artifact.ts";

/** Where a blob lies below a node's images, and in the archive. A layer that images share lies there once. */
export const blobPath = (digest: string): string => `blobs/${digest.replace(":", "/")}`;

/** What an image's archive holds besides its `manifest.json`: every blob once, the configuration first. */
export const dockerLoadMembers = ({ config, layers }: ContainerImage): string[] => [
  ...new Set([config, ...layers].map(({ digest }) => blobPath(digest))),
];

/**
 * `manifest.json` of an image, under all names that it has here. Docker takes any paths, layers as the registry has them, and compares what it unpacks with
 * the configuration; the digest of that is the image ID.
 */
export const dockerLoadManifest = (
  { name, config, layers }: ContainerImage,
  references: readonly string[] = [name],
): string =>
  `${JSON.stringify([
    {
      Config: blobPath(config.digest),
      RepoTags: references,
      Layers: layers.map(({ digest }) => blobPath(digest)),
    },
  ])}\n`;
