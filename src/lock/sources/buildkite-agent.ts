/** The Buildkite agent: an archive, `SHA256SUMS` beside it. Version 3 alone: rule BK124 sees to it. */
import { releaseResolver } from "./github-releases.ts";

const releases = releaseResolver({
  repository: "buildkite/agent",
  base: (sources) => sources.agent,
  file: (version, architecture) => `buildkite-agent-linux-${architecture}-${version}.tar.gz`,
  checksums: (version) => `buildkite-agent-${version}.SHA256SUMS`,
});

export const buildkiteAgent: typeof releases = {
  ...releases,
  // Version 4 has other settings; who asks for 3 is not told of it.
  versions: async (wish, context) => {
    const major = `${wish.asked.split(".")[0]}.`;
    return (await releases.versions(wish, context)).filter((version) => version.startsWith(major));
  },
};
