import { gitHubRelease } from "./releases.ts";
import { goArchitecture } from "../../artifact.ts";

/** goss, which runs the checks: a plain binary, each with a checksum file of its own. */
export const goss = gitHubRelease({
  repository: "goss-org/goss",
  location: ({ architecture }, version, { sources }) => {
    const file = `goss-linux-${goArchitecture[architecture]}`;
    return { folder: `${sources.goss}/v${version}`, file, checksums: `${file}.sha256` };
  },
});
