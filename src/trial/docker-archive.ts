/** An image in the form that `docker load` takes: manifest.json, a configuration, one layer. */
import { createHash } from "node:crypto";
import { chmod, lstat, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Host } from "../host.ts";
import { sha256File } from "../store/store.ts";

export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env: readonly string[];
}

/** GNU tar's flags for the same bytes from the same files. */
export const reproducible = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"];

/**
 * Gives a tree the modes that do not depend on the umask of whoever made it: 0755 for folders and what can be run,
 * 0644 for the rest; a sticky folder is open to all.
 */
export const settleModes = async (path: string): Promise<void> => {
  const found = await lstat(path);
  if (found.isDirectory()) {
    await chmod(path, found.mode & 0o1000 ? 0o1777 : 0o755);
    for (const name of await readdir(path)) await settleModes(join(path, name));
  } else if (found.isFile()) {
    await chmod(path, found.mode & 0o100 ? 0o755 : 0o644);
  }
};

/** The image's configuration; its digest is the image ID. */
export const imageConfig = (config: ImageConfig, diffId: string): string =>
  JSON.stringify({
    architecture: "amd64",
    os: "linux",
    created: "1970-01-01T00:00:00Z",
    config,
    rootfs: { type: "layers", diff_ids: [`sha256:${diffId}`] },
    history: [{ created: "1970-01-01T00:00:00Z", created_by: "bake --trial" }],
  });

/** The archive's table of contents. */
export const imageManifest = (id: string, reference: string): string =>
  JSON.stringify([{ Config: `${id}.json`, RepoTags: [reference], Layers: ["layer.tar"] }]);

/** Packs `tree` as an image: the same bytes from the same files. @returns the archive and the image ID. */
export const packImage = async (
  host: Host,
  input: { readonly reference: string; readonly tree: string; readonly folder: string; readonly config: ImageConfig },
): Promise<{ archive: string; imageId: string }> => {
  const content = join(input.folder, "image");
  await rm(content, { recursive: true, force: true });
  await mkdir(content, { recursive: true });
  await settleModes(input.tree);
  await host.run("tar", [...reproducible, "-C", input.tree, "-cf", join(content, "layer.tar"), "."]);
  const { sha256: diffId } = await sha256File(join(content, "layer.tar"));
  const config = imageConfig(input.config, diffId);
  const id = createHash("sha256").update(config).digest("hex");
  await writeFile(join(content, `${id}.json`), config);
  await writeFile(join(content, "manifest.json"), imageManifest(id, input.reference));
  await settleModes(content);
  const archive = join(input.folder, "image.tar");
  await host.run("tar", [...reproducible, "-C", content, "-cf", archive, "manifest.json", `${id}.json`, "layer.tar"]);
  await rm(content, { recursive: true, force: true });
  return { archive, imageId: `sha256:${id}` };
};
