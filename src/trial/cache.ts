/** A trial's build cache: what an export of BuildKit leaves in a folder, of a step that no build has. Pure. */
import { gzipSync } from "node:zlib";
import { ociDigest } from "../artifact.ts";
import { toTar } from "../formats/tar.ts";
import { trialVersions } from "./substitutions.ts";

interface CacheFile {
  /** Below the source that a trial assembles. */
  readonly path: string;
  readonly content: Buffer;
}

/** All files of its folder. */
export const trialCache = (): CacheFile[] => {
  const folder = `caches/${trialVersions.buildCache}`;
  const files: CacheFile[] = [];
  const blob = (mediaType: string, content: Buffer) => {
    const digest = ociDigest(content);
    files.push({ path: `${folder}/blobs/${digest.replace(":", "/")}`, content });
    return { mediaType, digest, size: content.length };
  };
  const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
  const tar = Buffer.from(toTar([{ path: "tiny", content: "This is no step of a build: a trial has none.\n" }]));
  const layer = {
    ...blob("application/vnd.oci.image.layer.v1.tar+gzip", gzipSync(tar)),
    annotations: { "containerd.io/uncompressed": ociDigest(tar) },
  };
  const config = blob(
    "application/vnd.buildkit.cacheconfig.v0",
    json({
      layers: [{ blob: layer.digest, parent: -1 }],
      records: [{ digest: ociDigest("a step of a trial"), layers: [{ layer: 0, createdAt: "2000-01-01T00:00:00Z" }] }],
    }),
  );
  const mediaType = "application/vnd.oci.image.index.v1+json";
  const manifest = blob(mediaType, json({ schemaVersion: 2, mediaType, manifests: [layer, config] }));
  const annotations = { "org.opencontainers.image.ref.name": "latest" };
  return [
    ...files,
    { path: `${folder}/oci-layout`, content: json({ imageLayoutVersion: "1.0.0" }) },
    { path: `${folder}/index.json`, content: json({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }) },
  ];
};
