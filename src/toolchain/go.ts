/** Tools built from their pinned Go modules. */
import { createHash } from "node:crypto";
import { cp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import { type Architecture, goArchitecture } from "../artifact.ts";
import { BakeError } from "../errors.ts";
import { isAtLeast } from "../formats/version.ts";
import { exists } from "../host/exists.ts";
import type { Host } from "../host/host.ts";
import { currentProcess } from "../host/process-identity.ts";
import { root } from "../host/root.ts";
import { goModules, type GoTool } from "./catalog.ts";
import { aptCandidate, aptInstall } from "./packages.ts";

/**
 * What a tool's go.mod says: the version of the tool, and the Go that builds it. Pure.
 * @param goMod Text of the file.
 * @throws Error when it pins one of them not at all: a mistake of bake's own.
 */
export const readPins = (goMod: string, module: string): { version: string; go: string } => {
  const version = goMod
    .split("\n")
    .map((line) => line.replace(/^\s*(?:require\s+)?/, "").split(/\s+/))
    .find(([name, second]) => name === module && second?.startsWith("v"))?.[1];
  const go = /^go ([\d.]+)/m.exec(goMod)?.[1];
  if (version === undefined || go === undefined) throw new Error(`a go.mod that pins neither ${module} nor Go`);
  return { version: version.slice(1), go };
};

/** `readPins` of a tool of bake's own. @throws NodeJS.ErrnoException when go.mod cannot be read. */
export const pinsOf = async (tool: GoTool): Promise<{ version: string; go: string }> =>
  readPins(await readFile(join(root, "toolchain", tool, "go.mod"), "utf8"), goModules[tool].module);

const linkerVersion = async (tool: GoTool): Promise<string> => {
  const { versionVariable } = goModules[tool];
  return versionVariable === undefined ? "" : `-X ${versionVariable}=v${(await pinsOf(tool)).version}`;
};

/** sha256 over what pins a Go build: lower-case hex. @throws NodeJS.ErrnoException when go.mod or go.sum cannot be read. */
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
 * @param needed Dotted version.
 * @throws BakeError BK303 when there is none, BK304 when installing it needs a right that is not there.
 */
export const requireGo = async (host: Host, needed: string): Promise<void> => {
  let found = await goVersion(host);
  if (found !== undefined && isAtLeast(found, needed)) return;
  const candidate = await aptCandidate(host, "golang-go");
  // Debian's package is named by the first two numbers only; the third is seen once it is there.
  if (candidate !== undefined && isAtLeast(candidate, needed.split(".").slice(0, 2).join("."))) {
    await aptInstall(host, [
      { package: "golang-go", provides: "go", why: "builds the tools from their pinned modules" },
    ]);
    found = await goVersion(host);
    if (found !== undefined && isAtLeast(found, needed)) return;
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

/** Where the binaries of `tool` lie when all of them were built before; undefined when one is missing. */
export const builtBefore = async (host: Host, tool: GoTool, node: Architecture): Promise<string | undefined> => {
  const folder = await buildFolder(host, tool, node);
  const there = Object.keys(goModules[tool].binaries).map((binary) => exists(join(folder, binary)));
  return (await Promise.all(there)).every(Boolean) ? folder : undefined;
};

/**
 * Builds a tool in bake's own cache, for this host or for a node.
 * @param node Architecture of the node, for what runs on one.
 * @returns the folder of its binaries.
 * @throws BakeError BK302 when the build fails.
 */
export const buildTool = async (host: Host, tool: GoTool, node: Architecture): Promise<string> => {
  const target = await buildFolder(host, tool, node);
  const { binaries, forNode } = goModules[tool];
  const { version } = await pinsOf(tool);
  const flags = ["-s", "-w", await linkerVersion(tool)].join(" ").trim();
  await host.progress.step(`tool:${tool}`, `build ${tool} ${version} from its pinned Go module`, async () => {
    const work = `${target}.${currentProcess()}`;
    try {
      await rm(work, { recursive: true, force: true });
      await makeFolder(join(work, "bin"));
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
