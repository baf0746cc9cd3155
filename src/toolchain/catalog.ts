/** The tools that bake finds, fetches or builds: their names, where they come from, and the versions it takes. Data alone. */

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

export const goModules: Readonly<Record<GoTool, GoModule>> = {
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

export interface Release {
  readonly version: string;
  /** Folder of the release; the archive and its checksums lie in it. */
  readonly url: string;
  /** A zip or a tar.gz. */
  readonly archive: string;
  readonly sums: string;
  /** The file in the archive. */
  readonly member: string;
}

/**
 * The official releases. Pure.
 * @param host Architecture of the machine that runs the tools, as Go calls it.
 */
const releasesFor = (host: "amd64" | "arm64"): Partial<Record<GoTool, Release>> => ({
  packer: {
    version: "1.11.2",
    url: "https://releases.hashicorp.com/packer/1.11.2",
    archive: `packer_1.11.2_linux_${host}.zip`,
    sums: "packer_1.11.2_SHA256SUMS",
    member: "packer",
  },
  "packer-plugin-qemu": {
    version: "1.0.9",
    url: "https://github.com/hashicorp/packer-plugin-qemu/releases/download/v1.0.9",
    archive: `packer-plugin-qemu_v1.0.9_x5.0_linux_${host}.zip`,
    sums: "packer-plugin-qemu_v1.0.9_SHA256SUMS",
    member: `packer-plugin-qemu_v1.0.9_x5.0_linux_${host}`,
  },
  crane: {
    version: "0.20.7",
    url: "https://github.com/google/go-containerregistry/releases/download/v0.20.7",
    archive: `go-containerregistry_Linux_${host === "amd64" ? "x86_64" : "arm64"}.tar.gz`,
    sums: "checksums.txt",
    member: "crane",
  },
});

/**
 * The official release of a tool; undefined where bake takes none.
 * @param architecture Of the machine that runs it, as Node calls it; all but arm64 run what is made for amd64. Pure.
 */
export const releaseOf = (tool: GoTool, architecture: string): Release | undefined =>
  releasesFor(architecture === "arm64" ? "arm64" : "amd64")[tool];

export type ToolName =
  | "packer"
  | "packer-plugin-qemu"
  | "goss"
  | "buildkite-agent"
  | "buildkitd"
  | "buildctl"
  | "crane";

/** The module that a tool is built from. Pure. */
export const moduleOf = (name: ToolName): GoTool => (name === "buildkitd" || name === "buildctl" ? "buildkit" : name);

/** How a tool on PATH is asked for its version, and the least that is taken. */
interface OnPath {
  readonly args: readonly string[];
  readonly version: RegExp;
  readonly least: string;
}

export const onPath: Partial<Record<GoTool, OnPath>> = {
  packer: { args: ["version"], version: /^Packer v(\d+\.\d+\.\d+)/, least: "1.11" },
  crane: { args: ["version"], version: /^v?(\d+\.\d+\.\d+)/, least: "0.20" },
};
