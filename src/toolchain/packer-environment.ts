import { join } from "node:path";
import type { Host } from "../host/host.ts";

/** Packer's environment: it sees none of the user's plugins and settings, and does not phone home. Pure. */
export const packerEnvironment = ({ cacheDir }: Pick<Host, "cacheDir">): Record<string, string> => ({
  PACKER_PLUGIN_PATH: join(cacheDir, "packer", "plugins"),
  PACKER_CONFIG_DIR: join(cacheDir, "packer", "config"),
  CHECKPOINT_DISABLE: "1",
});
