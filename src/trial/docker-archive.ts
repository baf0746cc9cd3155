/** An image as a registry has it: a manifest, a configuration, one layer. */
import { chmod, lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import type { Host } from "../host/host.ts";
import { type Architecture, type Blob, goArchitecture, ociDigest } from "../artifact.ts";
import { sha256File } from "../store/store.ts";

export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env: readonly string[];
}

/** GNU tar's flags for the same bytes from the same files. */
export const reproducible = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"];

/**
 * Gives a tree modes that do not depend on the umask of whoever made it.
 * They are 0755 for folders and what can be run, and 0644 for the rest. A sticky folder is open to all.
 */
export const normalizeModes = async (path: string): Promise<void> => {
  const found = await lstat(path);
  if (found.isDirectory()) {
    await chmod(path, found.mode & 0o1000 ? 0o1777 : 0o755);
    for (const name of await readdir(path)) await normalizeModes(join(path, name));
  } else if (found.isFile()) {
    await chmod(path, found.mode & 0o100 ? 0o755 : 0o644);
  }
};

/**
 * The image's configuration as JSON; its digest is the image ID. Pure.
 * @param diffId sha256 of the layer, in hex.
 */
export const imageConfig = (config: ImageConfig, diffId: string, architecture: Architecture = "x86_64"): string =>
  JSON.stringify({
    architecture: goArchitecture[architecture],
    os: "linux",
    created: "1970-01-01T00:00:00Z",
    config,
    rootfs: { type: "layers", diff_ids: [`sha256:${diffId}`] },
    history: [{ created: "1970-01-01T00:00:00Z", created_by: "bake --trial" }],
  });

const mediaTypes = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
} as const;

export interface PackedImage {
  readonly manifest: Blob & { readonly text: string };
  readonly config: Blob & { readonly text: string };
  readonly layer: Blob & { readonly file: string };
}

/**
 * Packs a tree as an image of one layer: the same bytes from the same files.
 * @param input `folder` is where layer.tar is written. The modes of `tree` are normalized.
 * @throws BakeError BK302 when tar fails.
 */
export const packImage = async (
  host: Host,
  input: {
    readonly tree: string;
    readonly folder: string;
    readonly config: ImageConfig;
    readonly architecture: Architecture;
  },
): Promise<PackedImage> => {
  await makeFolder(input.folder);
  await normalizeModes(input.tree);
  const file = join(input.folder, "layer.tar");
  await host.run("tar", [...reproducible, "-C", input.tree, "-cf", file, "."]);
  const { sha256: diffId, size } = await sha256File(file);
  const blob = (text: string, mediaType: string) => ({
    text,
    mediaType,
    digest: ociDigest(text),
    size: Buffer.byteLength(text),
  });
  const layer = { file, mediaType: mediaTypes.layer, digest: `sha256:${diffId}`, size };
  const config = blob(imageConfig(input.config, diffId, input.architecture), mediaTypes.config);
  const described = ({ mediaType, digest, size: bytes }: Blob) => ({ mediaType, digest, size: bytes });
  const manifest = blob(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      config: described(config),
      layers: [described(layer)],
    }),
    mediaTypes.manifest,
  );
  return { manifest, config, layer };
};
