/** Makes what the tests need, through the code that `bake image` uses, and writes where it is to a file that they read. */
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import { exists } from "../host/exists.ts";
import type { Host } from "../host/host.ts";
import { makeHost } from "./host.ts";
import { bakeNeeds, chromiumPath, installPackages, testNeeds } from "../toolchain/packages.ts";
import { buildGoTools, ensureCrane } from "../toolchain/ensure.ts";
import { ensurePacker } from "../toolchain/packer.ts";
import { unpackPackages } from "../trial/debian.ts";
import { reportFailure } from "./profile-file.ts";

/** Packages in a tree that only tests see, once. @returns the tree. */
const unpacked = async (host: Host, name: string, packages: readonly string[], release?: string): Promise<string> => {
  const folder = join(host.cacheDir, "test", name);
  const complete = join(folder, "complete");
  if (!(await exists(complete))) {
    await rm(folder, { recursive: true, force: true });
    await makeFolder(folder);
    await host.progress.step(`test-${name}`, `unpack ${packages.join(", ")}`, () =>
      unpackPackages(host, packages, folder, release),
    );
    await writeFile(complete, "");
  }
  return join(folder, "tree");
};

/** Programs of Debian 11, the oldest that packages can be had of, with the libraries that newer systems have no more. */
const oldPrograms = {
  release: "bullseye",
  packages: [
    ...["bash", "coreutils", "util-linux", "mount", "fdisk", "e2fsprogs", "findutils", "grep", "sed", "tar", "gawk"],
    ...["libext2fs2", "libcom-err2", "libblkid1", "libmount1", "libsmartcols1", "libfdisk1"],
    ...["systemd", "git", "curl", "libcurl4", "libldap-2.4-2", "libssl1.1", "libpcre3"],
  ],
} as const;

/** Clients of model hubs: one of the last that keep models as CI's images do, and the newest ones. */
const modelClients = {
  BAKE_TEST_MODELSCOPE_1_35: "modelscope==1.35.3",
  BAKE_TEST_MODELSCOPE: "modelscope==1.40.2",
  BAKE_TEST_HUGGINGFACE: "huggingface_hub==2.4.0",
} as const;

/** Python packages in a folder that only tests see, once. @returns the folder. */
const pythonPackages = async (host: Host, requirement: string, options: readonly string[] = []): Promise<string> => {
  const folder = join(host.cacheDir, "test", "python", requirement);
  if (await exists(folder)) return folder;
  const fresh = `${folder}.new`;
  await rm(fresh, { recursive: true, force: true });
  await makeFolder(fresh);
  await host.progress.step(`test-${requirement}`, `install ${requirement}`, () =>
    host.run(
      "python3",
      ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...options, "--target", fresh, requirement],
      {
        timeout: 600_000,
      },
    ),
  );
  await rename(fresh, folder);
  return folder;
};

/** Node.js as npm has it: the oldest that bake runs on, and the lines after it. */
const nodes = {
  BAKE_TEST_NODE_20_18: "20.18.1",
  BAKE_TEST_NODE_22: "22.23.3",
  BAKE_TEST_NODE_24: "24.21.0",
} as const;

/** A Node.js that only tests run, once. @returns the path of its program. */
const nodeOf = async (host: Host, version: string): Promise<string> => {
  const name = `node-linux-${host.architecture}`;
  const folder = join(host.cacheDir, "test", "node", version);
  const program = join(folder, "node_modules", name, "bin/node");
  if (await exists(program)) return program;
  const fresh = `${folder}.new`;
  await rm(fresh, { recursive: true, force: true });
  await makeFolder(fresh);
  await host.progress.step(`test-node-${version}`, `install Node.js ${version}`, () =>
    host.run(
      "npm",
      ["install", "--prefix", fresh, "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", `${name}@${version}`],
      { cwd: fresh, timeout: 600_000 },
    ),
  );
  await rm(folder, { recursive: true, force: true });
  await rename(fresh, folder);
  return program;
};

/** `bake set-up --for-tests`. @returns the exit code. */
export const setUpForTests = async (): Promise<number> => {
  const { host } = await makeHost();
  try {
    await installPackages(host, [...bakeNeeds("x86_64", host), ...testNeeds]);
    const packer = await ensurePacker(host);
    const crane = await ensureCrane(host);
    const built = await buildGoTools(host, ["buildkite-agent", "buildkit", "goss"]);
    // Unpacked, not installed: these packages start services.
    const cloudInit = await unpacked(host, "cloud-init", ["cloud-init"]);
    const registry = await unpacked(host, "docker-registry", ["docker-registry"]);
    const docker = await unpacked(host, "docker", ["docker.io", "docker-cli", "containerd", "runc"]);
    const buildx = await unpacked(host, "docker-buildx", ["docker-buildx"]);
    // Of the same release as the programs below: a newer one wants a newer libc than some machines have.
    const xfs = await unpacked(host, "xfsprogs", ["xfsprogs", "libinih1", "liburcu6"], oldPrograms.release);
    const old = await unpacked(host, "debian-11", oldPrograms.packages, oldPrograms.release);
    const clients: Record<string, string> = {};
    for (const [name, requirement] of Object.entries(modelClients))
      clients[name] = await pythonPackages(host, requirement);
    // For its file alone: Buildkite's schema of pipelines.
    const sdk = await pythonPackages(host, "buildkite-sdk==0.12.0", ["--no-deps"]);
    const interpreters: Record<string, string> = {};
    for (const [name, version] of Object.entries(nodes)) interpreters[name] = await nodeOf(host, version);
    await writeFile(
      join(host.cacheDir, "test", "tools.json"),
      JSON.stringify({
        ...clients,
        ...interpreters,
        BAKE_TEST_PACKER: packer,
        BAKE_TEST_CRANE: crane,
        BAKE_TEST_AGENT: built["buildkite-agent"],
        BAKE_TEST_PIPELINE_SCHEMA: join(sdk, "buildkite_sdk/schema.json"),
        BAKE_TEST_GOSS: built.goss,
        BAKE_TEST_CHROMIUM: chromiumPath,
        BAKE_TEST_CLOUD_INIT_SCHEMA: join(
          cloudInit,
          "usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json",
        ),
        BAKE_TEST_REGISTRY: join(registry, "usr/bin/docker-registry"),
        BAKE_TEST_DOCKER: docker,
        BAKE_TEST_BUILDX: join(buildx, "usr/libexec/docker/cli-plugins/docker-buildx"),
        BAKE_TEST_XFSPROGS: xfs,
        BAKE_TEST_BUILDKITD: built.buildkitd,
        BAKE_TEST_BUILDCTL: built.buildctl,
        BAKE_TEST_OLD_PROGRAMS: old,
      }),
    );
    return 0;
  } catch (error) {
    return reportFailure(error);
  }
};
