/**
 * The one place that says what `--trial` changes: sources, versions, sizes and absent hardware. Everything else of the
 * profile stays as it is written.
 */
import { hubOf, type Profile } from "../profile/schema.ts";

export interface Substitution {
  /** Profile path, or the thing that is replaced. */
  readonly what: string;
  readonly profile: string;
  readonly trial: string;
  readonly why: string;
}

/** Versions that the trial's sources have: Debian trixie packages and the pinned Go modules under toolchain/. */
export const trialVersions = {
  /** Debian trixie docker.io, docker-cli, containerd, runc, tini. */
  docker: "26.1.5",
  /** Debian trixie docker-buildx: the pair of Docker 26.1 (guide row G22). */
  buildx: "0.13.1",
  /** toolchain/buildkite-agent. */
  agent: "3.59.0",
  /** toolchain/goss. */
  goss: "0.4.9",
  /** toolchain/buildkit with Debian's runc. */
  buildkitImage: "moby/buildkit:v0.26.1",
  /** Busybox from Debian, as an image with a shell. */
  smallImage: "bake.local/trial/busybox:1",
  /** A few made-up files, in both hubs' ways. */
  modelscopeModel: "bake/tiny-scope",
  huggingfaceModel: "bake/tiny-face",
  /** A made-up layer, as an export of BuildKit has it. */
  buildCache: "tiny-cache",
} as const;

/** GiB: what a trial's disks need. */
const trialSizes = { systemDisk: 6, minSize: 4, minFree: 1, systemMinFree: 1 } as const;

type Qemu = NonNullable<Profile["targets"]["qemu"]>;

const baseName = (base: Qemu["base"]): string => (typeof base === "string" ? base : base.file);

/** Of a profile that bakes in the cloud alone: what the schema says of a VM, for the same processors. */
const localVm = ({ huaweicloud }: Profile["targets"]): Qemu => ({
  base: "none",
  architecture: huaweicloud?.architecture ?? "x86_64",
  memory: 2048,
  cpus: 2,
  diskSize: 40,
});

/** The profile that a trial bakes, and the table of what differs. Pure. */
export const substitute = (profile: Profile): { profile: Profile; substitutions: Substitution[] } => {
  const { qemu = localVm(profile.targets) } = profile.targets;
  const { basePassword, ...secrets } = profile.secrets;
  const localFiles = profile.files.filter((file) => "from" in file);
  const rows: Substitution[] = [
    {
      what: "targets.qemu.base",
      profile: baseName(qemu.base),
      trial: "debian trixie stand-in",
      why: "bootstrapped from packages, no download host needed",
    },
    {
      what: "targets.qemu.diskSize",
      profile: `${qemu.diskSize} GiB`,
      trial: `${trialSizes.systemDisk} GiB`,
      why: "no large images",
    },
    {
      what: "storage.minSize",
      profile: `${profile.storage.minSize} GiB`,
      trial: `${trialSizes.minSize} GiB`,
      why: "a small data disk",
    },
    {
      what: "storage.minFree",
      profile: `${profile.storage.minFree} GiB`,
      trial: `${trialSizes.minFree} GiB`,
      why: "a small data disk",
    },
    {
      what: "storage.systemMinFree",
      profile: `${profile.storage.systemMinFree} GiB`,
      trial: `${trialSizes.systemMinFree} GiB`,
      why: "a small system disk",
    },
    {
      what: "docker.version",
      profile: profile.docker.version,
      trial: trialVersions.docker,
      why: "assembled from Debian packages in the layout of Docker's archive",
    },
    { what: "buildx.version", profile: profile.buildx.version, trial: trialVersions.buildx, why: "Debian package" },
    {
      what: "agents.version",
      profile: profile.agents.version,
      trial: trialVersions.agent,
      why: "built from its Go module",
    },
    {
      what: "checks.gossVersion",
      profile: profile.checks.gossVersion,
      trial: trialVersions.goss,
      why: "built from its Go module",
    },
    {
      what: "builders.image",
      profile: profile.builders.image,
      trial: trialVersions.buildkitImage,
      why: "built from its Go module with Debian's runc",
    },
    {
      what: "images",
      profile: profile.images
        .map(({ image, from }) => (from === "image" ? image : `${image} (from: ${from})`))
        .join(", "),
      trial: trialVersions.smallImage,
      why: "a small image with a shell, no registry needed",
    },
    {
      what: "models",
      profile: profile.models.map((model) => Object.values(hubOf(model)).join(" ")).join(", "),
      trial: `modelscope ${trialVersions.modelscopeModel}, huggingface ${trialVersions.huggingfaceModel}`,
      why: "small ones, no model hub needed",
    },
    {
      what: "caches",
      profile: profile.caches.map(({ name }) => name).join(", "),
      trial: trialVersions.buildCache,
      why: "a small one, that no build made",
    },
    {
      what: "files",
      profile: profile.files.map(({ path }) => path).join(", "),
      trial: localFiles.map(({ path }) => path).join(", "),
      why: "no download host needed",
    },
    {
      what: "targets.huaweicloud",
      profile: profile.targets.huaweicloud === undefined ? "" : profile.targets.huaweicloud.region,
      trial: "",
      why: "a trial bakes in a local VM alone",
    },
    {
      what: "secrets.agentToken",
      profile: Object.values(profile.secrets.agentToken)[0] ?? "",
      trial: "a random token for each boot",
      why: "the loopback agent API takes it; no Buildkite account needed",
    },
    {
      what: "secrets.basePassword",
      profile: Object.values(basePassword ?? {})[0] ?? "",
      trial: "",
      why: "the stand-in lets the build's key in",
    },
    {
      what: "NPUs",
      profile: `${profile.agents.spawn * profile.agents.cards}`,
      trial: "none",
      why: "not checked in a VM",
    },
  ];
  return {
    profile: {
      ...profile,
      docker: { ...profile.docker, version: trialVersions.docker },
      buildx: { ...profile.buildx, version: trialVersions.buildx },
      builders: { ...profile.builders, image: trialVersions.buildkitImage },
      agents: { ...profile.agents, version: trialVersions.agent },
      checks: { ...profile.checks, gossVersion: trialVersions.goss },
      images: [{ image: trialVersions.smallImage, from: "image" }],
      storage: {
        ...profile.storage,
        minSize: trialSizes.minSize,
        minFree: trialSizes.minFree,
        systemMinFree: trialSizes.systemMinFree,
      },
      models: [
        { modelscope: trialVersions.modelscopeModel, from: "image" },
        { huggingface: trialVersions.huggingfaceModel, from: "image" },
      ],
      // Below the source that a trial assembles.
      caches: [{ name: trialVersions.buildCache, path: `caches/${trialVersions.buildCache}`, from: "image" }],
      files: localFiles,
      pins: {},
      secrets,
      targets: {
        qemu: { ...qemu, base: "debian-trixie-stand-in", diskSize: trialSizes.systemDisk },
      },
    },
    substitutions: rows.filter((row) => row.profile !== row.trial),
  };
};

/** The table that a trial prints first. Pure. */
export const formatSubstitutions = (rows: readonly Substitution[]): string => {
  const header = { what: "setting", profile: "profile", trial: "trial", why: "why" };
  const width = (key: "what" | "profile" | "trial"): number =>
    Math.max(...[header, ...rows].map((row) => row[key].length));
  const widths = [width("what"), width("profile"), width("trial")] as const;
  return [header, ...rows]
    .map((row) =>
      `  ${row.what.padEnd(widths[0])}  ${row.profile.padEnd(widths[1])}  ${row.trial.padEnd(widths[2])}  ${row.why}`.trimEnd(),
    )
    .join("\n");
};
