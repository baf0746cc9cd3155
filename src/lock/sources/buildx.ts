import { gitHubRelease } from "./releases.ts";
import { goArchitecture } from "../../artifact.ts";

/** buildx: a plain binary, with `checksums.txt` beside it. */
export const buildx = gitHubRelease({
  repository: "docker/buildx",
  location: ({ architecture }, version, { sources }) => ({
    folder: `${sources.buildx}/v${version}`,
    file: `buildx-v${version}.linux-${goArchitecture[architecture]}`,
    checksums: "checksums.txt",
  }),
});
