/** Packer and its qemu plugin, crane, and what a trial builds from Go: found, fetched or built, always in bake's own cache. */
import { createHash } from "node:crypto";
import { chmod, cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import { exists } from "../host/exists.ts";
import type { Host } from "../host/host.ts";
import { type Architecture, goArchitecture } from "../artifact.ts";
import { currentProcess } from "../host/process-identity.ts";
import { root } from "../host/root.ts";
import { type Http, makeHttp, reasonOf } from "../store/http.ts";
import { aptCandidate, aptInstall, onceWithNetwork } from "./packages.ts";

/** One folder below toolchain/ with go.mod and go.sum, which pin every byte of the build. */
export type GoTool = "packer" | "packer-plugin-qemu" | "goss" | "buildkite-agent" | "buildkit" | "crane";

interface GoModule {
  /** The module whose version go.mod pins. */
  readonly module: string;
  /** Binary → Go package. */
  readonly binaries: Readonly<Record<string, string>>;
  /** Runs on a node, not on this host. */
  readonly forNode: boolean;
  /** The variable that holds the version where the binary does not know it from its module. */
  readonly versionVariable?: string;
}

const goModules: Readonly<Record<GoTool, GoModule>> = {
  packer: {
    module: "github.com/hashicorp/packer",
    binaries: { packer: "github.com/hashicorp/packer" },
    forNode: false,
  },
  "packer-plugin-qemu": {
    module: "github.com/hashicorp/packer-plugin-qemu",
    binaries: { "packer-plugin-qemu": "github.com/hashicorp/packer-plugin-qemu" },
    forNode: false,
  },
  goss: {
    module: "github.com/goss-org/goss",
    binaries: { goss: "github.com/goss-org/goss/cmd/goss" },
    forNode: true,
    versionVariable: "main.version",
  },
  "buildkite-agent": {
    module: "github.com/buildkite/agent/v3",
    binaries: { "buildkite-agent": "github.com/buildkite/agent/v3" },
    forNode: true,
  },
  buildkit: {
    module: "github.com/moby/buildkit",
    binaries: {
      buildkitd: "github.com/moby/buildkit/cmd/buildkitd",
      buildctl: "github.com/moby/buildkit/cmd/buildctl",
    },
    forNode: true,
    versionVariable: "github.com/moby/buildkit/version.Version",
  },
  crane: {
    module: "github.com/google/go-containerregistry",
    binaries: { crane: "github.com/google/go-containerregistry/cmd/crane" },
    forNode: false,
  },
};

interface Release {
  readonly version: string;
  /** Folder of the release; the archive and its checksums lie in it. */
  readonly url: string;
  /** A zip or a tar.gz. */
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
  crane: {
    version: "0.20.7",
    url: "https://github.com/google/go-containerregistry/releases/download/v0.20.7",
    archive: `go-containerregistry_Linux_${architecture === "amd64" ? "x86_64" : "arm64"}.tar.gz`,
    sums: "checksums.txt",
    member: "crane",
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

/** What a tool's go.mod says: the version of the tool, and the Go that builds it. */
export const readPins = (goMod: string, module: string): { version: string; go: string } => {
  const version = goMod
    .split("\n")
    .map((line) => line.replace(/^\s*(?:require\s+)?/, "").split(/\s+/))
    .find(([name, second]) => name === module && second?.startsWith("v"))?.[1];
  const go = /^go ([\d.]+)/m.exec(goMod)?.[1];
  if (version === undefined || go === undefined) throw new Error(`a go.mod that pins neither ${module} nor Go`);
  return { version: version.slice(1), go };
};

const pinsOf = async (tool: GoTool): Promise<{ version: string; go: string }> =>
  readPins(await readFile(join(root, "toolchain", tool, "go.mod"), "utf8"), goModules[tool].module);

const linkerVersion = async (tool: GoTool): Promise<string> => {
  const { versionVariable } = goModules[tool];
  return versionVariable === undefined ? "" : `-X ${versionVariable}=v${(await pinsOf(tool)).version}`;
};

/** sha256 over what pins a Go build. */
export const toolDigest = async (tool: GoTool): Promise<string> => {
  const hash = createHash("sha256");
  for (const name of ["go.mod", "go.sum"]) hash.update(await readFile(join(root, "toolchain", tool, name)));
  return hash.update(await linkerVersion(tool)).digest("hex");
};

const goVersion = (host: Host): Promise<string | undefined> =>
  host
    .run("go", ["env", "GOVERSION"], { env: { GOTOOLCHAIN: "local" } })
    .then(({ stdout }) => /^go([\d.]+)/.exec(stdout.trim())?.[1])
    .catch(() => {
      host.signal.throwIfAborted();
      return undefined;
    });

/**
 * Sees to a Go that can build the tools; apt's is installed when it is new enough.
 * @throws BakeError BK303 when there is none, BK304 when installing it needs a right that is not there.
 */
const requireGo = async (host: Host, needed: string): Promise<void> => {
  let found = await goVersion(host);
  if (found !== undefined && atLeast(found, needed)) return;
  const candidate = await aptCandidate(host, "golang-go");
  // Debian's package is named by the first two numbers only; the third is seen once it is there.
  if (candidate !== undefined && atLeast(candidate, needed.split(".").slice(0, 2).join("."))) {
    await aptInstall(host, [
      { package: "golang-go", provides: "go", why: "builds the tools from their pinned modules" },
    ]);
    found = await goVersion(host);
    if (found !== undefined && atLeast(found, needed)) return;
  }
  throw new BakeError(
    "BK303",
    found === undefined ? "there is no Go to build the tools with" : `Go ${found} is too old to build the tools`,
    `Install Go ${needed} or newer and put it on PATH.\nPacker and its plugin need no Go where the hosts of their releases answer.`,
  );
};

const buildFolder = async (host: Host, tool: GoTool, node: Architecture): Promise<string> => {
  const suffix = goModules[tool].forNode && node !== "x86_64" ? `-${goArchitecture[node]}` : "";
  return join(host.cacheDir, "tools", `${tool}-${(await toolDigest(tool)).slice(0, 12)}${suffix}`);
};

/** Where the binaries of `tool` lie when all of them were built before. */
const builtBefore = async (host: Host, tool: GoTool, node: Architecture): Promise<string | undefined> => {
  const folder = await buildFolder(host, tool, node);
  const there = Object.keys(goModules[tool].binaries).map((binary) => exists(join(folder, binary)));
  return (await Promise.all(there)).every(Boolean) ? folder : undefined;
};

const buildTool = async (host: Host, tool: GoTool, node: Architecture): Promise<string> => {
  const target = await buildFolder(host, tool, node);
  const { binaries, forNode } = goModules[tool];
  const { version } = await pinsOf(tool);
  const flags = ["-s", "-w", await linkerVersion(tool)].join(" ").trim();
  await host.progress.step(`tool:${tool}`, `build ${tool} ${version} from its pinned Go module`, async () => {
    const work = `${target}.${currentProcess()}`;
    try {
      await rm(work, { recursive: true, force: true });
      await mkdir(join(work, "bin"), { recursive: true });
      // A copy: nothing that a build does can touch the pins.
      await cp(join(root, "toolchain", tool), join(work, "module"), { recursive: true });
      for (const [binary, path] of Object.entries(binaries)) {
        const output = join(work, "bin", binary);
        await host.run("go", ["build", "-mod=readonly", "-trimpath", "-ldflags", flags, "-o", output, path], {
          cwd: join(work, "module"),
          env: {
            CGO_ENABLED: "0",
            // Whatever the user's shell says, a tool is for this host or for the node. Empty is Go's own default.
            GOOS: forNode ? "linux" : "",
            GOARCH: forNode ? goArchitecture[node] : "",
            GOAMD64: "",
            GOEXPERIMENT: "",
            GOFLAGS: "-buildvcs=false",
            GOWORK: "off",
            GOTOOLCHAIN: "local",
          },
        });
      }
      await rm(target, { recursive: true, force: true });
      await rename(join(work, "bin"), target);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
  return target;
};

/** Two at once: more gains nothing on small machines. All of them have ended when this returns or throws. */
const twoAtOnce = async <T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> => {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  for (const result of await Promise.allSettled([worker(), worker()])) {
    if (result.status === "rejected") throw result.reason;
  }
};

const download = async (http: Http, url: string, host: Host): Promise<Buffer | undefined> => {
  try {
    const { status, body } = await http(url, { signal: AbortSignal.any([host.signal, AbortSignal.timeout(600_000)]) });
    const bytes = Buffer.concat(await body.toArray());
    return status === 200 ? bytes : undefined;
  } catch {
    host.signal.throwIfAborted();
    return undefined;
  }
};

/** Why a host does not answer, without a long wait where there is no network; undefined when it does. */
const silence = async (http: Http, url: string, host: Host): Promise<string | undefined> => {
  const soon = AbortSignal.timeout(4000);
  try {
    (await http(url, { signal: AbortSignal.any([host.signal, soon]) })).body.destroy();
    return undefined;
  } catch (error) {
    host.signal.throwIfAborted();
    return soon.aborted ? "no answer in 4 s" : reasonOf(error);
  }
};

const releaseFile = (host: Host, tool: GoTool, { version }: Release): string =>
  join(host.cacheDir, "tools", `${tool}-release-${version}`, tool);

/**
 * The official release, checked against its checksums; undefined when its host does not answer.
 * @throws BakeError BK308 when the bytes are not those that the checksums name.
 */
const fetchRelease = async (host: Host, tool: GoTool, release: Release): Promise<string | undefined> => {
  if (withoutReleases.has(host)) return undefined;
  const http = makeHttp({ env: host.env });
  const reason = await silence(http, `${release.url}/${release.sums}`, host);
  if (reason !== undefined) {
    if (!withoutReleases.has(host)) {
      host.progress.note(`  ${new URL(release.url).host} does not answer (${reason}): no releases`);
    }
    withoutReleases.add(host);
    return undefined;
  }
  const target = releaseFile(host, tool, release);
  return host.progress.step(`fetch:${tool}`, `fetch ${tool} ${release.version}`, async () => {
    const [sums, archive] = await Promise.all([
      download(http, `${release.url}/${release.sums}`, host),
      download(http, `${release.url}/${release.archive}`, host),
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
    const work = `${target}.${currentProcess()}`;
    try {
      await mkdir(work, { recursive: true });
      const file = join(work, release.archive);
      await writeFile(file, archive);
      if (release.archive.endsWith(".zip")) await host.run("unzip", ["-q", file, release.member, "-d", work]);
      else await host.run("tar", ["-xzf", file, "--no-same-owner", "-C", work, release.member]);
      await chmod(join(work, release.member), 0o755);
      await rename(join(work, release.member), target);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    return target;
  });
};

export type ToolName =
  | "packer"
  | "packer-plugin-qemu"
  | "goss"
  | "buildkite-agent"
  | "buildkitd"
  | "buildctl"
  | "crane";

const moduleOf = (name: ToolName): GoTool => (name === "buildkitd" || name === "buildctl" ? "buildkit" : name);

/** A tool that can be run, and where it came from. */
export interface Tool {
  readonly path: string;
  readonly version: string;
  readonly origin: "PATH" | "release" | "go module";
  /** What finding or making it took in this call. */
  readonly seconds: number;
}

/** Found in a folder; what is on PATH is found without one. */
type Place = Omit<Tool, "path" | "seconds"> & { readonly path: (binary: string) => string };

/** Runs whose release hosts do not answer: one wait is enough for a run. */
const withoutReleases = new WeakSet<Host>();

interface OnPath {
  readonly args: readonly string[];
  readonly version: RegExp;
  readonly least: string;
}

const onPath: Partial<Record<GoTool, OnPath>> = {
  packer: { args: ["version"], version: /^Packer v(\d+\.\d+\.\d+)/, least: "1.11" },
  crane: { args: ["version"], version: /^v?(\d+\.\d+\.\d+)/, least: "0.20" },
};

const findOnPath = async (host: Host, tool: GoTool): Promise<Place | undefined> => {
  const look = onPath[tool];
  if (look === undefined) return undefined;
  const version = await host
    .run(tool, look.args, { allowFailure: true, env: tool === "packer" ? packerEnvironment(host) : {} })
    .then(({ stdout }) => look.version.exec(stdout)?.[1])
    .catch(() => {
      host.signal.throwIfAborted();
      return undefined;
    });
  if (version === undefined || !atLeast(version, look.least)) return undefined;
  return { path: () => tool, version, origin: "PATH" };
};

interface Want {
  /** What runs on a node is for this one. Default x86_64. */
  readonly node?: Architecture;
  /** Takes only what is on this host already. */
  readonly offline?: boolean;
}

/** Looks everywhere but to a Go build: PATH, what was built or fetched before, the official release. */
const findTool = async (host: Host, tool: GoTool, { node, offline }: Required<Want>): Promise<Place | undefined> => {
  const there = await findOnPath(host, tool);
  if (there !== undefined) return there;
  const folder = await builtBefore(host, tool, node);
  if (folder !== undefined) {
    return { path: (binary) => join(folder, binary), version: (await pinsOf(tool)).version, origin: "go module" };
  }
  const release = releases[tool];
  if (release === undefined) return undefined;
  const before = releaseFile(host, tool, release);
  const fetched = (await exists(before)) ? before : offline ? undefined : await fetchRelease(host, tool, release);
  return fetched === undefined ? undefined : { path: () => fetched, version: release.version, origin: "release" };
};

/**
 * Finds or makes tools. Packer and crane: PATH, else the official release, else the Go module; the qemu plugin: its release, else
 * its Go module; what runs on a node: its Go module, as the trial's lock says, for the architecture of that node.
 * @throws BakeError BK303 without a Go that can build what is found nowhere, BK308 when a release is not what its
 * checksums say, BK211 naming what is not here when no network may be touched.
 */
export const ensureTools = async <Name extends ToolName>(
  host: Host,
  names: readonly Name[],
  { node = "x86_64", offline = false }: Want = {},
): Promise<Record<Name, Tool>> => {
  const places = new Map<GoTool, Place & { readonly seconds: number }>();
  const modules = [...new Set(names.map(moduleOf))];
  const timed = async (tool: GoTool, look: () => Promise<Place | undefined>): Promise<void> => {
    const started = host.now();
    const place = await look();
    if (place !== undefined) places.set(tool, { ...place, seconds: (host.now() - started) / 1000 });
  };
  await twoAtOnce(modules, (tool) => timed(tool, () => findTool(host, tool, { node, offline })));
  const missing = modules.filter((tool) => !places.has(tool));
  if (missing.length > 0 && offline) {
    const lacking = await Promise.all(missing.map(async (tool) => `${tool} ${(await pinsOf(tool)).version}`));
    throw new BakeError(
      "BK211",
      `not on this host, and --offline neither fetches nor builds tools: ${lacking.join(", ")}`,
      onceWithNetwork,
    );
  }
  if (missing.length > 0) {
    const wanted = await Promise.all(missing.map(async (tool) => (await pinsOf(tool)).go));
    await requireGo(
      host,
      wanted.reduce((a, b) => (atLeast(a, b) ? a : b)),
    );
  }
  await twoAtOnce(missing, (tool) =>
    timed(tool, async () => {
      const folder = await buildTool(host, tool, node);
      return { path: (binary) => join(folder, binary), version: (await pinsOf(tool)).version, origin: "go module" };
    }),
  );
  const tools = {} as Record<Name, Tool>;
  for (const name of names) {
    const place = places.get(moduleOf(name));
    if (place === undefined) throw new Error(`${name} was neither found nor built`);
    tools[name] = { path: place.path(name), version: place.version, origin: place.origin, seconds: place.seconds };
  }
  return tools;
};

/** One tool of `ensureTools`. @throws as `ensureTools`. */
export const ensureTool = async (host: Host, name: ToolName, want?: Want): Promise<Tool> =>
  (await ensureTools(host, [name], want))[name];

/** Binaries built from the pinned modules of `tools`, by name. @throws as `ensureTools`. */
export const buildGoTools = async (
  host: Host,
  tools: readonly Exclude<GoTool, "packer" | "packer-plugin-qemu" | "crane">[],
): Promise<Record<"buildkite-agent" | "buildkitd" | "buildctl" | "goss", string>> => {
  const names = ["buildkite-agent", "buildkitd", "buildctl", "goss"] as const;
  const wanted = names.filter((name) => tools.some((tool) => tool === moduleOf(name)));
  const found = await ensureTools(host, wanted);
  return Object.fromEntries(names.map((name) => [name, found[name]?.path ?? ""])) as Record<
    (typeof names)[number],
    string
  >;
};

/** crane, which speaks with registries: its path. @throws as `ensureTools`. */
export const ensureCrane = async (host: Host): Promise<string> => (await ensureTool(host, "crane")).path;

/** Packer's environment: it sees none of the user's plugins and settings, and does not phone home. */
export const packerEnvironment = (host: Host): Record<string, string> => ({
  PACKER_PLUGIN_PATH: join(host.cacheDir, "packer", "plugins"),
  PACKER_CONFIG_DIR: join(host.cacheDir, "packer", "config"),
  CHECKPOINT_DISABLE: "1",
});

/** Whether the plugin is where `packer init` looks: then nothing else of it is needed. */
const hasQemuPlugin = async (host: Host): Promise<boolean> => {
  const installed = join(packerEnvironment(host)["PACKER_PLUGIN_PATH"] ?? "", "github.com/hashicorp/qemu");
  const { version } = await pinsOf("packer-plugin-qemu");
  const names = await readdir(installed).catch((): string[] => []);
  // Packer writes the sum last: without it the binary may be half a copy.
  return names.some((name) => name.startsWith(`packer-plugin-qemu_v${version}_`) && name.endsWith("_SHA256SUM"));
};

/** Packer, with its qemu plugin where `packer init` looks. @returns Packer's path. @throws as `ensureTools`. */
export const ensurePacker = async (host: Host, want?: Want): Promise<string> => {
  if (await hasQemuPlugin(host)) return (await ensureTool(host, "packer", want)).path;
  const tools = await ensureTools(host, ["packer", "packer-plugin-qemu"], want);
  const environment = packerEnvironment(host);
  await mkdir(environment["PACKER_CONFIG_DIR"] ?? "", { recursive: true });
  const plugin = tools["packer-plugin-qemu"].path;
  await host.run(tools.packer.path, ["plugins", "install", "--path", plugin, "github.com/hashicorp/qemu"], {
    env: environment,
  });
  return tools.packer.path;
};
