/** Makes what the tests need, through the code that `bake image` uses, and writes where it is to a file that they read. */
import { access, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeHost } from "./host.ts";
import { bakeNeeds, installPackages, testNeeds } from "../toolchain/packages.ts";
import { buildGoTools, ensurePacker, installQemuPlugin } from "../toolchain/tools.ts";
import { unpackPackages } from "../trial/debian.ts";
import { reportFailure } from "./profile-file.ts";

/** `bake set-up --for-tests`. @returns the exit code. */
export const setUpForTests = async (): Promise<number> => {
  const { host } = await makeHost();
  try {
    await installPackages(host, [...bakeNeeds, ...testNeeds]);
    const tools = await ensurePacker(host);
    await installQemuPlugin(host, tools);
    const built = await buildGoTools(host, ["buildkite-agent", "buildkit", "goss"]);
    const schemaFolder = join(host.cacheDir, "test", "cloud-init");
    const schema = join(
      schemaFolder,
      "tree/usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json",
    );
    if (
      !(await access(schema).then(
        () => true,
        () => false,
      ))
    ) {
      await rm(schemaFolder, { recursive: true, force: true });
      await mkdir(schemaFolder, { recursive: true });
      await host.progress.step("test-cloud-init", "unpack cloud-init for its schema", () =>
        unpackPackages(host, ["cloud-init"], schemaFolder),
      );
    }
    await writeFile(
      join(host.cacheDir, "test", "tools.json"),
      JSON.stringify({
        BAKE_TEST_PACKER: tools.packer,
        BAKE_TEST_AGENT: built["buildkite-agent"],
        BAKE_TEST_GOSS: built.goss,
        BAKE_TEST_CLOUD_INIT_SCHEMA: schema,
      }),
    );
    return 0;
  } catch (error) {
    return reportFailure(error);
  }
};
