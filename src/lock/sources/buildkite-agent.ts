import { gitHubRelease } from "./releases.ts";
import { goArchitecture } from "../../artifact.ts";
import { majorOf } from "../../formats/version.ts";

/** The Buildkite agent. Another major version has other settings (rule BK124): it is offered to nobody who did not ask for it. */
export const buildkiteAgent = gitHubRelease({
  repository: "buildkite/agent",
  location: ({ architecture }, version, { sources }) => ({
    folder: `${sources.agent}/v${version}`,
    file: `buildkite-agent-linux-${goArchitecture[architecture]}-${version}.tar.gz`,
    checksums: `buildkite-agent-${version}.SHA256SUMS`,
  }),
  offered: (version, asked) => majorOf(version) === majorOf(asked),
});
