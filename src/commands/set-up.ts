/** Makes what the tests need, through the code that `bake image` uses, and writes where it is to a file that they read. */
import { access, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Host } from "../host.ts";
import { makeHost } from "./host.ts";
import { bakeNeeds, installPackages, testNeeds } from "../toolchain/packages.ts";
import { buildGoTools, ensureCrane, ensurePacker, installQemuPlugin } from "../toolchain/tools.ts";
import { unpackPackages } from "../trial/debian.ts";
import { reportFailure } from "./profile-file.ts";

/** Packages in a tree that only tests see, once. @returns the tree. */
const unpacked = async (host: Host, name: string, packages: readonly string[]): Promise<string> => {
  const folder = join(host.cacheDir, "test", name);
  const complete = join(folder, "complete");
  if (
    !(await access(complete).then(
      () => true,
      () => false,
    ))
  ) {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await host.progress.step(`test-${name}`, `unpack ${packages.join(", ")}`, () =>
      unpackPackages(host, packages, folder),
    );
    await writeFile(complete, "");
  }
  return join(folder, "tree");
};

/** `bake set-up --for-tests`. @returns the exit code. */
export const setUpForTests = async (): Promise<number> => {
  const { host } = await makeHost();
  try {
    await installPackages(host, [...bakeNeeds, ...testNeeds]);
    const tools = await ensurePacker(host);
    await installQemuPlugin(host, tools);
    const crane = await ensureCrane(host);
    const built = await buildGoTools(host, ["buildkite-agent", "buildkit", "goss"]);
    // Unpacked, not installed: these packages start services.
    const cloudInit = await unpacked(host, "cloud-init", ["cloud-init"]);
    const registry = await unpacked(host, "docker-registry", ["docker-registry"]);
    const docker = await unpacked(host, "docker", ["docker.io", "docker-cli", "containerd", "runc"]);
    await writeFile(
      join(host.cacheDir, "test", "tools.json"),
      JSON.stringify({
        BAKE_TEST_PACKER: tools.packer,
        BAKE_TEST_CRANE: crane,
        BAKE_TEST_AGENT: built["buildkite-agent"],
        BAKE_TEST_GOSS: built.goss,
        BAKE_TEST_CLOUD_INIT_SCHEMA: join(
          cloudInit,
          "usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json",
        ),
        BAKE_TEST_REGISTRY: join(registry, "usr/bin/docker-registry"),
        BAKE_TEST_DOCKER: docker,
      }),
    );
    return 0;
  } catch (error) {
    return reportFailure(error);
  }
};
