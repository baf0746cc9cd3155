/** goss: a plain binary, its own file of checksums beside it (goss-org/goss: release workflow). */
import { releaseResolver } from "./github-releases.ts";

export const goss = releaseResolver({
  repository: "goss-org/goss",
  base: (sources) => sources.goss,
  file: (_version, architecture) => `goss-linux-${architecture}`,
  checksums: (_version, architecture) => `goss-linux-${architecture}.sha256`,
});
