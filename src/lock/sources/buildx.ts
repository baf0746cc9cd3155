/** buildx: a plain binary, `checksums.txt` beside it (docker/buildx: hack/hash-files). */
import { releaseResolver } from "./github-releases.ts";

export const buildx = releaseResolver({
  repository: "docker/buildx",
  base: (sources) => sources.buildx,
  file: (version, architecture) => `buildx-v${version}.linux-${architecture}`,
  checksums: () => "checksums.txt",
});
