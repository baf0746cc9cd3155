/** Packer with its plugin. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import type { Host } from "../host/host.ts";
import { ensureTool, ensureTools, type ToolOptions } from "./ensure.ts";
import { pinsOf } from "./go.ts";
import { packerEnvironment } from "./packer-environment.ts";

/** Whether the plugin is where `packer init` looks: then nothing else of it is needed. */
const hasQemuPlugin = async (host: Host): Promise<boolean> => {
  const installed = join(packerEnvironment(host)["PACKER_PLUGIN_PATH"] ?? "", "github.com/hashicorp/qemu");
  const { version } = await pinsOf("packer-plugin-qemu");
  const names = await readdir(installed).catch((): string[] => []);
  // Packer writes the sum last: without it the binary may be half a copy.
  return names.some((name) => name.startsWith(`packer-plugin-qemu_v${version}_`) && name.endsWith("_SHA256SUM"));
};

/** Packer, with its qemu plugin where `packer init` looks. @returns Packer's path. @throws as `ensureTools`. */
export const ensurePacker = async (host: Host, options?: ToolOptions): Promise<string> => {
  if (await hasQemuPlugin(host)) return (await ensureTool(host, "packer", options)).path;
  const tools = await ensureTools(host, ["packer", "packer-plugin-qemu"], options);
  const environment = packerEnvironment(host);
  await makeFolder(environment["PACKER_CONFIG_DIR"] ?? "");
  const plugin = tools["packer-plugin-qemu"].path;
  await host.run(tools.packer.path, ["plugins", "install", "--path", plugin, "github.com/hashicorp/qemu"], {
    env: environment,
  });
  return tools.packer.path;
};
