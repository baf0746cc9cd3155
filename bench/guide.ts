/**
 * A full bake over what it replaces: the guide's commands (G2 to G28), run by Packer alone on the same base and artifacts. Both end with
 * a compressed image in which four agents have images, a model and a build cache: bake's with a seed, the guide's with four copies.
 * Then a bake of another queue, which goes on from layers, and one of nothing.
 * Run it by `bin/bench guide`, after `bake fetch --profile 2cards --trial`. Takes about a quarter of an hour a round without KVM.
 * BAKE_BENCH_MIB is the size of the model (512); the image has half of it.
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { type Artifact, type ContainerImage, ociDigest } from "../src/artifact.ts";
import { shellWord } from "../src/formats/shell.ts";
import { root } from "../src/host/root.ts";
import { dockerLoadManifest } from "../src/node/images/docker-load.ts";
import { Store } from "../src/store/store.ts";
import { imageConfig } from "../src/trial/docker-archive.ts";
import { sourceKey } from "../src/trial/artifacts.ts";
import { ensureTool } from "../src/toolchain/ensure.ts";
import { packerEnvironment } from "../src/toolchain/packer-environment.ts";
import { chooseAccelerator } from "../src/vm/accelerator.ts";
import { testHost } from "../test/vm/golden-image.ts";
import { median } from "./parts/median.ts";
import { seconds, trialBakeIn } from "./parts/trial-bake.ts";

const rounds = Number(process.env["BAKE_BENCH_ROUNDS"] ?? "1");
const mib = Number(process.env["BAKE_BENCH_MIB"] ?? "512");
const ownCache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "bake");
mkdirSync(join(ownCache, "test"), { recursive: true });
const folder = mkdtempSync(join(ownCache, "test/bench-guide-"));
const cache = join(folder, "cache/bake");
const store = new Store(join(cache, "store"));

const run = (file: string, args: readonly string[]): string =>
  execFileSync(file, args, { encoding: "utf8", maxBuffer: 2 ** 30 });

/** As much as a library compresses: every second block is text. */
const halfRandom = (bytes: number): Buffer => {
  const text = Buffer.from(
    "a library has as much that repeats as a text of English sentences; ".repeat(64).slice(0, 4096),
  );
  return Buffer.concat(Array.from({ length: bytes / 8192 }, () => [randomBytes(4096), text]).flat());
};

/** The image with files of `bytes` in a gzip layer beside what it had. */
const larger = async (image: ContainerImage, bytes: number): Promise<ContainerImage> => {
  const tree = join(folder, "tree");
  mkdirSync(join(tree, "payload"), { recursive: true });
  for (const { digest } of image.layers) run("tar", ["-xf", store.path(digest.slice("sha256:".length)), "-C", tree]);
  for (let index = 0; index < 64; index++) writeFileSync(join(tree, "payload", `${index}`), halfRandom(bytes / 64));
  const tar = join(folder, "layer.tar");
  run("tar", ["-cf", tar, "-C", tree, "."]);
  const diffId = run("sha256sum", [tar]).slice(0, 64);
  run("gzip", ["-6", tar]);
  const added = await store.add(`${tar}.gz`);
  rmSync(tree, { recursive: true });
  const json = (text: string, mediaType: string) => ({
    digest: ociDigest(text),
    size: Buffer.byteLength(text),
    mediaType,
    text,
  });
  const config = json(
    imageConfig({ Cmd: ["sh"], Env: ["PATH=/usr/bin:/bin"] }, diffId),
    "application/vnd.oci.image.config.v1+json",
  );
  const layer = {
    digest: `sha256:${added.sha256}`,
    size: added.size,
    mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  };
  const { text, ...described } = config;
  const manifest = json(
    JSON.stringify({ schemaVersion: 2, mediaType: image.manifest.mediaType, config: described, layers: [layer] }),
    image.manifest.mediaType,
  );
  for (const each of [text, manifest.text]) await store.addContent(Buffer.from(each));
  const { text: _, ...ofManifest } = manifest;
  return { ...image, tagDigest: manifest.digest, manifest: ofManifest, config: described, layers: [layer] };
};

/** The artifact as a real one's size is. */
const enlarge = async (artifact: Artifact): Promise<Artifact> => {
  if (artifact.kind === "container-image" && artifact.name.startsWith("bake.local/"))
    return larger(artifact, (mib / 2) * 2 ** 20);
  if (artifact.kind === "model" && artifact.hub === "modelscope") {
    const files = await Promise.all(
      Array.from({ length: 4 }, async (__, index) => ({
        ...(artifact.files.at(-1) ?? { url: "http://trial.bake.invalid/" }),
        path: `model-${index}.safetensors`,
        ...(await store.addContent(randomBytes((mib / 4) * 2 ** 20))),
      })),
    );
    return { ...artifact, files: [...artifact.files.filter(({ path }) => !path.startsWith("model")), ...files] };
  }
  return artifact;
};

const said = (what: string, value: string, aim = ""): void =>
  void process.stdout.write(`${what.padEnd(46)} ${value.padStart(10)}   ${aim}\n`);

try {
  // A cache of its own, in which the trial's lock names larger files.
  mkdirSync(cache, { recursive: true });
  for (const part of ["tools", "packer", "base"]) symlinkSync(join(ownCache, part), join(cache, part));
  run("cp", ["-al", join(ownCache, "store"), join(cache, "store")]);
  cpSync(join(ownCache, "trial"), join(cache, "trial"), { recursive: true });
  const record = join(cache, "trial", `${await sourceKey("x86_64")}.lock.json`);
  const lock = JSON.parse(readFileSync(record, "utf8")) as { artifacts: Artifact[] };
  const artifacts = await Promise.all(lock.artifacts.map(enlarge));
  writeFileSync(record, `${JSON.stringify({ ...lock, artifacts }, undefined, 2)}\n`);

  // What the guide's commands are told: the same files.
  const one = (kind: Artifact["kind"]): string => {
    const found = artifacts.find((artifact) => artifact.kind === kind);
    if (found === undefined || !("sha256" in found))
      throw new Error(`the trial's lock has no ${kind}: bake fetch --trial`);
    return found.sha256;
  };
  const images = artifacts.flatMap((artifact) => (artifact.kind === "container-image" ? [artifact] : []));
  const hex = ({ digest }: { readonly digest: string }): string => digest.slice("sha256:".length);
  const files = artifacts.flatMap((artifact): string[] => {
    if (artifact.kind === "model")
      return artifact.files.map(
        (file) =>
          `${file.sha256} ${artifact.hub === "modelscope" ? "modelscope1" : "hf_cache1"}/${artifact.name}/${file.path}`,
      );
    if (artifact.kind !== "build-cache") return [];
    return [artifact.manifest, ...artifact.blobs].map((blob) => `${hex(blob)} docker-cache1/blobs/sha256/${hex(blob)}`);
  });
  writeFileSync(
    join(folder, "settings.sh"),
    [
      `agent=${one("buildkite-agent")} docker=${one("docker-static")} buildx=${one("buildx")}`,
      `buildkit=${shellWord(images.find(({ name }) => name.includes("buildkit"))?.name ?? "")}`,
      `manifests=(${images.map((image) => shellWord(dockerLoadManifest(image).trim())).join(" ")})`,
      `blobs=(${images.map(({ config, layers }) => shellWord([config, ...layers].map(hex).join(" "))).join(" ")})`,
      `files=${shellWord(files.join("\n"))}`,
      "",
    ].join("\n"),
  );
  run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, "key")]);
  const host = testHost();
  const { path: packer } = await ensureTool(host, "packer");
  const variables = {
    artifacts: join(cache, "store"),
    ssh_private_key_file: join(folder, "key"),
    ssh_public_key: readFileSync(join(folder, "key.pub"), "utf8").trim(),
    settings: join(folder, "settings.sh"),
  };
  const { write, bake } = trialBakeIn(folder, { CI: "true", XDG_CACHE_HOME: join(folder, "cache") });
  const bakes: number[] = [];
  const layered: number[] = [];
  const unchanged: number[] = [];
  const guides: number[] = [];
  let sizes = "";
  for (let round = 0; round < rounds; round++) {
    write(`whole-${round}`);
    bakes.push(bake("--no-cache"));
    said("bake", `${bakes.at(-1)?.toFixed(0)} s`);
    write(`layered-${round}`);
    layered.push(bake());
    said("bake of another queue, from layers", `${layered.at(-1)?.toFixed(0)} s`);
    for (let time = 0; time < 5; time++) unchanged.push(bake());
    const made = join(folder, "out/2cards-trial");
    const { base } = JSON.parse(readFileSync(join(made, "image.json"), "utf8")) as { base: { sha256: string } };
    const disk = store.path(base.sha256);
    const { accel, cpuModel } = await chooseAccelerator({ host, architecture: "x86_64", image: disk });
    const output = join(folder, `guide-${round}`);
    guides.push(
      seconds(
        packer,
        [
          "build",
          ...Object.entries({ ...variables, base: disk, accelerator: accel, cpu_model: cpuModel, output }).map(
            ([name, value]) => `-var=${name}=${value}`,
          ),
          join(root, "bench/parts/guide.pkr.hcl"),
        ],
        folder,
        packerEnvironment(host),
      ),
    );
    said("the guide's commands by Packer", `${guides.at(-1)?.toFixed(0)} s`);
    const size = (path: string): string => `${Math.round(statSync(path).size / 2 ** 20)} MiB`;
    sizes = `${size(join(made, "image.qcow2"))} and ${size(join(output, "image.qcow2"))}`;
    rmSync(output, { recursive: true });
  }
  said("bake over the guide's commands", (median(bakes) / median(guides)).toFixed(2), "aim 0.6");
  said("another queue over a full bake", (median(layered) / median(bakes)).toFixed(2), "aim 0.25");
  said("a bake of what nothing changed in", `${median(unchanged).toFixed(2)} s`, "aim below 1 s");
  said("images of", sizes);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
