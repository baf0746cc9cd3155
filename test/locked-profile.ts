/** A profile with a lock whose every file is made up, for tests of what happens with locked bytes. */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { type Artifact } from "../src/artifact.ts";
import { formatLock, type Lock } from "../src/lock/lock.ts";
import { requirementsOf } from "../src/lock/requirements.ts";
import { toTar } from "../src/formats/tar.ts";
import { storePath } from "../src/store/store.ts";
import { readProfile } from "./plan-of.ts";

export interface LockedProfile {
  /** By sha256. */
  readonly contents: ReadonlyMap<string, Buffer>;
  readonly lock: Lock;
}

/** Archives are archives, everything else is text. */
const plain = (what: string): Buffer =>
  /^(?:docker-static|buildkite-agent) /.test(what)
    ? gzipSync(toTar([{ path: "docker/dockerd", content: what }]))
    : Buffer.from(what);

/** Writes `site.yaml` and `site.lock.json`. @param content Of an artifact's file, by what it is. */
export const layLockedProfile = (
  folder: string,
  profile: string,
  content: (what: string) => Buffer = plain,
): LockedProfile => {
  writeFileSync(join(folder, "site.yaml"), profile);
  const contents = new Map<string, Buffer>();
  const file = (what: string) => {
    const bytes = content(what);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    contents.set(sha256, bytes);
    return { sha256, size: bytes.length };
  };
  const blob = (what: string) => {
    const { sha256, size } = file(what);
    return { digest: `sha256:${sha256}`, size, mediaType: "application/vnd.oci.image.layer.v1.tar" };
  };
  const artifacts = requirementsOf(readProfile(join(folder, "site.yaml"))).map((requirement): Artifact => {
    const { name, asked, architecture } = requirement;
    const entry = { name, asked, version: asked, ...(architecture !== undefined && { architecture }) };
    const bytes = { url: `https://example.com/${name}`, trust: "first-use" as const };
    const what = `${requirement.kind} ${name} ${architecture ?? ""}`;
    switch (requirement.kind) {
      case "container-image": {
        const manifest = blob(`manifest of ${what}`);
        return {
          ...entry,
          kind: requirement.kind,
          version: name.slice(name.lastIndexOf(":") + 1),
          registry: "registry.example.com",
          repository: "some/image",
          tagDigest: manifest.digest,
          manifest,
          config: blob(`configuration of ${what}`),
          layers: [blob(`layer of ${what}`), blob("a layer that all images share")],
        };
      }
      case "model":
        return {
          ...entry,
          kind: requirement.kind,
          hub: requirement.hub,
          files: [{ path: "config.json", url: bytes.url, ...file(what) }],
        };
      case "build-cache":
        return {
          ...entry,
          kind: requirement.kind,
          version: "1",
          manifest: blob(`manifest of ${what}`),
          blobs: [blob(`list of ${what}`), blob("a layer that all images share")],
        };
      case "base":
        // Only a release has a version by its name; a path is none.
        return {
          ...entry,
          ...bytes,
          ...file(what),
          kind: requirement.kind,
          version: /^[\w.-]+$/.test(asked) ? asked : "1",
          format: "qcow2",
        };
      case "file":
        return { ...entry, ...bytes, ...file(what), kind: requirement.kind, version: "1" };
      default:
        return { ...entry, ...bytes, ...file(what), kind: requirement.kind };
    }
  });
  const lock: Lock = { lockVersion: 1, profile: "site", artifacts };
  writeFileSync(join(folder, "site.lock.json"), formatLock(lock));
  return { contents, lock };
};

/** Puts files where a store, or a mirror, has them. */
export const fillByDigest = (root: string, contents: ReadonlyMap<string, Buffer>): void => {
  for (const [sha256, bytes] of contents) {
    const path = join(root, storePath(sha256));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
};
