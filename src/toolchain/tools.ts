/** Packer and its qemu plugin, and what a trial builds from Go: found, fetched or built, always in bake's own cache. */
import { createHash } from "node:crypto";
import { access, chmod, cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import type { Host } from "../host.ts";
import { root } from "../root.ts";

/** One folder below toolchain/ with go.mod and go.sum, which pin every byte of the build. */
export type GoTool = "packer" | "packer-plugin-qemu" | "goss" | "buildkite-agent" | "buildkit";

/** Binary → Go package. */
const goPackages: Readonly<Record<GoTool, Readonly<Record<string, string>>>> = {
  packer: { packer: "github.com/hashicorp/packer" },
  "packer-plugin-qemu": { "packer-plugin-qemu": "github.com/hashicorp/packer-plugin-qemu" },
  goss: { goss: "github.com/goss-org/goss/cmd/goss" },
  "buildkite-agent": { "buildkite-agent": "github.com/buildkite/agent/v3" },
  buildkit: {
    buildkitd: "github.com/moby/buildkit/cmd/buildkitd",
    buildctl: "github.com/moby/buildkit/cmd/buildctl",
  },
};

/** Version that the binaries are told to be, where they do not know it from their module. */
const linkerVersions: Partial<Record<GoTool, string>> = { goss: "-X main.version=v0.4.9" };

interface Release {
  readonly version: string;
  /** Folder of the release; the archive and SHA256SUMS lie in it. */
  readonly url: string;
  readonly archive: string;
  readonly sums: string;
  /** The file in the archive. */
  readonly member: string;
}

const architecture = process.arch === "arm64" ? "arm64" : "amd64";

const releases: Partial<Record<GoTool, Release>> = {
  packer: {
    version: "1.11.2",
    url: "https://releases.hashicorp.com/packer/1.11.2",
    archive: `packer_1.11.2_linux_${architecture}.zip`,
    sums: "packer_1.11.2_SHA256SUMS",
    member: "packer",
  },
  "packer-plugin-qemu": {
    version: "1.0.9",
    url: "https://github.com/hashicorp/packer-plugin-qemu/releases/download/v1.0.9",
    archive: `packer-plugin-qemu_v1.0.9_x5.0_linux_${architecture}.zip`,
    sums: "packer-plugin-qemu_v1.0.9_SHA256SUMS",
    member: `packer-plugin-qemu_v1.0.9_x5.0_linux_${architecture}`,
  },
};

/** Whether dotted version `a` is at least `b`. */
export const atLeast = (a: string, b: string): boolean => {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number)) as [number[], number[]];
  for (let index = 0; index < right.length; index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
};

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** sha256 over what pins a Go build. */
export const toolDigest = async (tool: GoTool): Promise<string> => {
  const hash = createHash("sha256");
  for (const name of ["go.mod", "go.sum"]) hash.update(await readFile(join(root, "toolchain", tool, name)));
  return hash.update(linkerVersions[tool] ?? "").digest("hex");
};

/** @throws BakeError BK303 when there is no Go that can build the tools. */
const requireGo = async (host: Host): Promise<void> => {
  const help = "Install Go 1.24 or newer and put it on PATH, or Packer 1.11 or newer.";
  const { stdout } = await host.run("go", ["env", "GOVERSION"]).catch(() => {
    throw new BakeError("BK303", "no release host answers, and there is no Go to build the tools with", help);
  });
  const version = stdout.trim().replace(/^go/, "");
  if (!atLeast(version, "1.24")) throw new BakeError("BK303", `Go ${version} is too old to build the tools`, help);
};

const buildFolder = async (host: Host, tool: GoTool): Promise<string> =>
  join(host.cacheDir, "tools", `${tool}-${(await toolDigest(tool)).slice(0, 12)}`);

const buildTool = async (host: Host, tool: GoTool): Promise<void> => {
  const target = await buildFolder(host, tool);
  const binaries = Object.entries(goPackages[tool]);
  if ((await Promise.all(binaries.map(([binary]) => exists(join(target, binary))))).every(Boolean)) return;
  await requireGo(host);
  await host.progress.step(`build-${tool}`, `build ${tool} from its pinned Go module`, async () => {
    const work = `${target}.${process.pid}`;
    try {
      await rm(work, { recursive: true, force: true });
      await mkdir(join(work, "bin"), { recursive: true });
      // A copy: nothing that a build does can touch the pins.
      await cp(join(root, "toolchain", tool), join(work, "module"), { recursive: true });
      for (const [binary, path] of binaries) {
        await host.run(
          "go",
          [
            "build",
            "-mod=readonly",
            "-trimpath",
            "-ldflags",
            `-s -w ${linkerVersions[tool] ?? ""}`,
            "-o",
            join(work, "bin", binary),
            path,
          ],
          {
            cwd: join(work, "module"),
            env: { CGO_ENABLED: "0", GOFLAGS: "-buildvcs=false", GOWORK: "off", GOTOOLCHAIN: "local" },
          },
        );
      }
      await rm(target, { recursive: true, force: true });
      await rename(join(work, "bin"), target);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
};

/** Two at once: more gains nothing on small machines. */
const buildAll = async (host: Host, tools: readonly GoTool[]): Promise<void> => {
  const queue = [...tools];
  const worker = async (): Promise<void> => {
    for (let tool = queue.shift(); tool !== undefined; tool = queue.shift()) await buildTool(host, tool);
  };
  await Promise.all([worker(), worker()]);
};

/** Binaries built from the pinned modules of `tools`, by name. */
export const buildGoTools = async (
  host: Host,
  tools: readonly Exclude<GoTool, "packer" | "packer-plugin-qemu">[],
): Promise<Record<"buildkite-agent" | "buildkitd" | "buildctl" | "goss", string>> => {
  await buildAll(host, tools);
  const [agent, buildkit, goss] = await Promise.all(
    (["buildkite-agent", "buildkit", "goss"] as const).map((tool) => buildFolder(host, tool)),
  );
  return {
    "buildkite-agent": join(agent ?? "", "buildkite-agent"),
    buildkitd: join(buildkit ?? "", "buildkitd"),
    buildctl: join(buildkit ?? "", "buildctl"),
    goss: join(goss ?? "", "goss"),
  };
};

const download = async (url: string, host: Host): Promise<Buffer | undefined> => {
  try {
    const response = await fetch(url, { signal: AbortSignal.any([host.signal, AbortSignal.timeout(60_000)]) });
    return response.ok ? Buffer.from(await response.arrayBuffer()) : undefined;
  } catch {
    host.signal.throwIfAborted();
    return undefined;
  }
};

/** Whether a host answers at all, without a long wait where there is no network. */
const answers = async (url: string, host: Host): Promise<boolean> => {
  try {
    await fetch(url, { method: "HEAD", signal: AbortSignal.any([host.signal, AbortSignal.timeout(4000)]) });
    return true;
  } catch {
    host.signal.throwIfAborted();
    return false;
  }
};

/**
 * The official release, checked against its SHA256SUMS; undefined when its host does not answer.
 * @throws BakeError BK308 when the bytes are not those of SHA256SUMS.
 */
const fetchRelease = async (host: Host, tool: GoTool, release: Release): Promise<string | undefined> => {
  const target = join(host.cacheDir, "tools", `${tool}-release-${release.version}`, tool);
  if (await exists(target)) return target;
  if (!(await answers(`${release.url}/${release.sums}`, host))) return undefined;
  return host.progress.step(`fetch-${tool}`, `fetch ${tool} ${release.version}`, async () => {
    const [sums, archive] = await Promise.all([
      download(`${release.url}/${release.sums}`, host),
      download(`${release.url}/${release.archive}`, host),
    ]);
    if (sums === undefined || archive === undefined) return undefined;
    const wanted = sums
      .toString("utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+\*?/))
      .find(([, name]) => name === release.archive)?.[0];
    const found = createHash("sha256").update(archive).digest("hex");
    if (wanted !== found) {
      throw new BakeError(
        "BK308",
        `${release.archive} is not what ${release.sums} says: expected ${wanted ?? "an entry"}, found ${found}`,
        "The download was changed on its way, or the release was. Nothing of it was used.",
      );
    }
    const work = `${target}.${process.pid}`;
    try {
      await mkdir(work, { recursive: true });
      await writeFile(join(work, "archive.zip"), archive);
      await host.run("unzip", ["-q", join(work, "archive.zip"), release.member, "-d", work]);
      await chmod(join(work, release.member), 0o755);
      await rename(join(work, release.member), target);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    return target;
  });
};

export interface PackerTools {
  readonly packer: string;
  readonly plugin: string;
}

/**
 * Packer (PATH, release, Go module) and its qemu plugin (release, Go module).
 * @throws BakeError BK303 when they can be had from nowhere.
 */
export const ensurePacker = async (host: Host): Promise<PackerTools> => {
  const onPath = await host
    .run("packer", ["version"], { allowFailure: true, env: { CHECKPOINT_DISABLE: "1" } })
    .then(({ stdout }) => /^Packer v([\d.]+)/.exec(stdout)?.[1])
    .catch(() => undefined);
  const usable = onPath !== undefined && atLeast(onPath, "1.11.0") ? "packer" : undefined;
  const found: Partial<Record<GoTool, string>> = usable === undefined ? {} : { packer: usable };
  let releaseHosts = true;
  const missing: GoTool[] = [];
  for (const tool of ["packer", "packer-plugin-qemu"] as const) {
    if (found[tool] !== undefined) continue;
    const built = join(await buildFolder(host, tool), tool);
    const release = releases[tool];
    if (await exists(built)) found[tool] = built;
    else if (release !== undefined && releaseHosts) {
      const fetched = await fetchRelease(host, tool, release);
      if (fetched !== undefined) found[tool] = fetched;
    }
    if (found[tool] === undefined) {
      // One host that does not answer is enough: do not wait for the next.
      releaseHosts = false;
      missing.push(tool);
    }
  }
  await buildAll(host, missing);
  for (const tool of missing) found[tool] = join(await buildFolder(host, tool), tool);
  return { packer: found.packer ?? "packer", plugin: found["packer-plugin-qemu"] ?? "" };
};

/** Packer's environment: it sees none of the user's plugins and settings, and does not phone home. */
export const packerEnvironment = (host: Host): Record<string, string> => ({
  PACKER_PLUGIN_PATH: join(host.cacheDir, "packer", "plugins"),
  PACKER_CONFIG_DIR: join(host.cacheDir, "packer", "config"),
  CHECKPOINT_DISABLE: "1",
});

/** Puts the plugin where `packer init` looks, once. */
export const installQemuPlugin = async (host: Host, { packer, plugin }: PackerTools): Promise<void> => {
  const environment = packerEnvironment(host);
  const installed = join(environment["PACKER_PLUGIN_PATH"] ?? "", "github.com/hashicorp/qemu");
  if (await exists(installed)) return;
  await mkdir(environment["PACKER_CONFIG_DIR"] ?? "", { recursive: true });
  await host.run(packer, ["plugins", "install", "--path", plugin, "github.com/hashicorp/qemu"], { env: environment });
};
