/** Tools that are on PATH already. */
import type { Host } from "../host/host.ts";
import { type GoTool, onPath } from "./catalog.ts";
import { packerEnvironment } from "./packer-environment.ts";
import { atLeast } from "./version.ts";

/**
 * Looks for a tool on PATH.
 * @returns its version; undefined when it is not there, too old, or one that bake takes from elsewhere.
 * @throws the signal's reason.
 */
export const versionOnPath = async (host: Host, tool: GoTool): Promise<string | undefined> => {
  const look = onPath[tool];
  if (look === undefined) return undefined;
  const version = await host
    .run(tool, look.args, { allowFailure: true, env: tool === "packer" ? packerEnvironment(host) : {} })
    .then(({ stdout }) => look.version.exec(stdout)?.[1])
    .catch(() => {
      host.signal.throwIfAborted();
      return undefined;
    });
  return version !== undefined && atLeast(version, look.least) ? version : undefined;
};
