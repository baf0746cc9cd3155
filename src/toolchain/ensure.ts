/** Packer and its qemu plugin, crane, and what a trial builds from Go: found, fetched or built, always in bake's own cache. */
import { join } from "node:path";
import type { Architecture } from "../artifact.ts";
import { BakeError } from "../errors.ts";
import { isAtLeast } from "../formats/version.ts";
import { exists } from "../host/exists.ts";
import type { Host } from "../host/host.ts";
import { type GoTool, moduleOf, releaseOf, type ToolName } from "./catalog.ts";
import { versionOnPath } from "./find.ts";
import { buildTool, builtBefore, pinsOf, requireGo } from "./go.ts";
import { onceWithNetwork } from "./packages.ts";
import { fetchRelease, releaseFile } from "./release.ts";

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

/** A tool that can be run, and where it came from. */
export interface Tool {
  readonly path: string;
  readonly version: string;
  readonly origin: "PATH" | "release" | "go module";
  /** Seconds that finding or making it took in this call. */
  readonly seconds: number;
}

/** Found in a folder; what is on PATH is found without one. */
type Place = Omit<Tool, "path" | "seconds"> & { readonly path: (binary: string) => string };

export interface ToolOptions {
  /** What runs on a node is for this one. Default x86_64. */
  readonly node?: Architecture;
  /** Takes only what is on this host already. */
  readonly offline?: boolean;
}

/** Looks everywhere but to a Go build: PATH, what was built or fetched before, the official release. */
const findTool = async (
  host: Host,
  tool: GoTool,
  { node, offline }: Required<ToolOptions>,
): Promise<Place | undefined> => {
  const version = await versionOnPath(host, tool);
  if (version !== undefined) return { path: () => tool, version, origin: "PATH" };
  const folder = await builtBefore(host, tool, node);
  if (folder !== undefined) {
    return { path: (binary) => join(folder, binary), version: (await pinsOf(tool)).version, origin: "go module" };
  }
  const release = releaseOf(tool, host.architecture);
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
  { node = "x86_64", offline = false }: ToolOptions = {},
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
      wanted.reduce((a, b) => (isAtLeast(a, b) ? a : b)),
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

/** One tool, as `ensureTools` finds or makes it. @throws as `ensureTools`. */
export const ensureTool = async (host: Host, name: ToolName, options?: ToolOptions): Promise<Tool> =>
  (await ensureTools(host, [name], options))[name];

/** Binaries for a node, built from the pinned modules of `tools`, by name. @throws as `ensureTools`. */
export const buildGoTools = async (
  host: Host,
  tools: readonly Exclude<GoTool, "packer" | "packer-plugin-qemu" | "crane">[],
  node: Architecture = "x86_64",
): Promise<Record<"buildkite-agent" | "buildkitd" | "buildctl" | "goss", string>> => {
  const names = ["buildkite-agent", "buildkitd", "buildctl", "goss"] as const;
  const wanted = names.filter((name) => tools.some((tool) => tool === moduleOf(name)));
  const found = await ensureTools(host, wanted, { node });
  return Object.fromEntries(names.map((name) => [name, found[name]?.path ?? ""])) as Record<
    (typeof names)[number],
    string
  >;
};

/** crane, which speaks with registries: its path. @throws as `ensureTools`. */
export const ensureCrane = async (host: Host): Promise<string> => (await ensureTool(host, "crane")).path;
