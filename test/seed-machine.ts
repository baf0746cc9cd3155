/**
 * A machine on which a seed is made and written: /opt/bake, /etc/bake, /etc/docker and /mnt of its own in a mount table of its own,
 * this machine's mke2fs and zstd, Debian's dockerd. Wants root and loop devices.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Blob, ContainerImage } from "../src/artifact.ts";
import { imageReferenceOf } from "../src/formats/image-reference.ts";
import { tsv } from "../src/formats/lines.ts";
import { root } from "../src/host/root.ts";
import { blobPath, dockerLoadManifest, dockerLoadMembers } from "../src/node/images/docker-load.ts";
import { toolPath } from "./needs.ts";

const uuid = "7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001";
const dataRoot = "/mnt/docker-data/docker";

interface Ran {
  readonly code: number | null;
  /** Both streams. */
  readonly output: string;
}

export interface SeedMachine {
  /** Holds whatever a test wants to keep, also between runs. */
  readonly folder: string;
  /** Lays an image where a bake lays it. `layers`: shell that fills the current, empty folder; `compressed`: by gzip, as registries have them. @returns its ID. */
  readonly addImage: (name: string, layers: readonly string[], compressed?: boolean) => string;
  /** Makes the seed of all images, in opt/bake/seed. @param mib Of its file system. @param journalMib Default 16. */
  readonly makeSeed: (mib: number, journalMib?: number, zstd?: { level?: number; windowMib?: number }) => Ran;
  /** Runs shell on it; `$seed` is bake-seed. Killed after `timeout`, by default a minute: it may hang where nothing else could end it. */
  readonly run: (script: string, timeout?: number) => Ran;
  /** As `run`, killed with all its processes after so many milliseconds. */
  readonly cut: (script: string, after: number) => Promise<void>;
  readonly close: () => void;
}

const setUp = `set -euo pipefail
mount --make-rprivate /
for path in /opt /etc/bake /etc/docker /mnt; do mkdir -p "$path"; done
mount --bind "$work/opt" /opt; mount --bind "$work/bake" /etc/bake; mount --bind "$work/docker" /etc/docker
# Whoever makes a seed clears away what others of this machine left there.
mkdir -p "$work/var-tmp"; mount --bind "$work/var-tmp" /var/tmp
mount -t tmpfs none /mnt
seed=/opt/bake/bin/bake-seed
`;

/** @param parent On a file system that takes direct writes. */
export const openSeedMachine = (parent: string): SeedMachine => {
  const folder = mkdtempSync(join(parent, "seed-"));
  const at = (...path: string[]): string => join(folder, ...path);
  for (const path of ["opt/bake/bin", "bake", "docker", "upload", "images"]) mkdirSync(at(path), { recursive: true });
  for (const name of ["bake-images", "bake-seed"])
    cpSync(join(root, "templates/node", name), at("opt/bake/bin", name), { mode: 0 });
  spawnSync("chmod", ["755", at("opt/bake/bin/bake-images"), at("opt/bake/bin/bake-seed")]);
  for (const name of ["seed.sh", "daemon-json.py"]) cpSync(join(root, "templates/node", name), at("upload", name));
  writeFileSync(at("bake/storage.env"), `STORAGE_UUID=${uuid}\nSTORAGE_MOUNT=/mnt\n`);
  writeFileSync(at("bake/images.env"), "IMAGES_FOLDER=/mnt/.bake/images\n");
  writeFileSync(
    at("docker/daemon.json"),
    `{\n  "data-root": "${dataRoot}",\n  "storage-driver": "overlay2",\n  "bridge": "none"\n}\n`,
  );
  writeFileSync(at("upload/directories.tsv"), "0755\t/mnt\n0755\t/mnt/docker-cache1\n");
  const tree = toolPath("docker");
  const env = {
    ...process.env,
    work: folder,
    PATH: `${tree}/usr/sbin:${tree}/usr/bin:${process.env["PATH"] ?? ""}`,
    BAKE_ARTIFACTS: "http://127.0.0.1:9",
  };
  const words = ["--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "--norc", "-c"];
  const run = (script: string, timeout = 60_000): Ran => {
    const { status, stdout, stderr } = spawnSync("unshare", [...words, `exec 2>&1\n${setUp}${script}`], {
      timeout,
      killSignal: "SIGKILL",
      env,
      encoding: "utf8",
    });
    return { code: status, output: `${stdout}${stderr}` };
  };
  const rows: (readonly string[])[] = [];

  const store = (bytes: Uint8Array, mediaType: string): Blob => {
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    const path = at("images/all", blobPath(digest));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    return { digest, size: bytes.length, mediaType };
  };

  const addImage = (name: string, layers: readonly string[], compressed = false): string => {
    const tars = layers.map((fill, index) => {
      const layer = at("images", `${rows.length}-${index}`);
      mkdirSync(layer);
      const script = `set -eu; (cd "$1"; ${fill}\n); tar --sort=name --xattrs --xattrs-include=security.capability -cf "$1.tar" -C "$1" .`;
      const { status, stderr } = spawnSync("bash", ["--norc", "-c", script, "fill", layer], { encoding: "utf8" });
      if (status !== 0) throw new Error(stderr);
      return readFileSync(`${layer}.tar`);
    });
    const digests = tars.map((bytes) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`);
    const text = { architecture: "amd64", os: "linux", config: {}, rootfs: { type: "layers", diff_ids: digests } };
    const config = store(Buffer.from(JSON.stringify(text)), "application/vnd.oci.image.config.v1+json");
    const { tag, registry, repository } = imageReferenceOf(name);
    const image: ContainerImage = {
      kind: "container-image",
      ...{ name, version: tag, asked: name, registry, repository, architecture: "x86_64" },
      ...{ tagDigest: config.digest, manifest: config, config },
      layers: tars.map((bytes) =>
        compressed
          ? store(
              execFileSync("gzip", ["-6", "-n"], { input: bytes, maxBuffer: 2 ** 31 - 1 }),
              "application/vnd.oci.image.layer.v1.tar+gzip",
            )
          : store(bytes, "application/vnd.oci.image.layer.v1.tar"),
      ),
    };
    const place = `/opt/bake/images/${config.digest.slice("sha256:".length)}`;
    mkdirSync(at(place), { recursive: true });
    writeFileSync(at(place, "manifest.json"), dockerLoadManifest(image));
    writeFileSync(at(place, "blobs.txt"), `${dockerLoadMembers(image).join("\n")}\n`);
    rows.push([name, config.digest, place, `127.0.0.1:9/none@${config.digest}`]);
    writeFileSync(at("opt/bake/images.tsv"), tsv(rows));
    return config.digest;
  };

  return {
    folder,
    addImage,
    run,
    makeSeed: (mib, journalMib = 16, { level = 3, windowMib = 8 } = {}) => {
      cpSync(at("images/all"), at("opt/bake/images"), { recursive: true });
      writeFileSync(
        at("upload/seed.env"),
        `SEED_BYTES=${mib * 2 ** 20}\nSEED_UUID=${uuid}\nSEED_LABEL=bake-data\nSEED_JOURNAL_MIB=${journalMib}\nSEED_MOUNT=/mnt\nSEED_DATA_ROOT=${dataRoot}\nSEED_LEVEL=${level}\nSEED_WINDOW_MIB=${windowMib}\n`,
      );
      return run('umount /mnt; bash "$work/upload/seed.sh" "$work/upload"', 600_000);
    },
    cut: (script, after) =>
      new Promise((resolve) => {
        const child = spawn("unshare", [...words, `${setUp}${script}`], { env, stdio: "ignore" });
        const timer = setTimeout(() => child.kill("SIGKILL"), after);
        child.once("exit", () => {
          clearTimeout(timer);
          resolve();
        });
      }),
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
};
