import type { Problem, Rule } from "../../profile/rules/rule.ts";

/** Variables of the agent that its configuration does not have, or that only jobs read. */
const harmless = /^BUILDKITE_(PLUGIN_|TEST_|ANALYTICS_|ARTIFACT_|S3_|GS_|ARTIFACTORY_|AZURE_)/;

/** A variable beats the configuration (guide row G4, S27): what the profile says elsewhere would not count. */
export const agentEnvironment: Rule = {
  code: "BK132",
  reads: ["agents.environment{}", "network.pypiCache"],
  find: ({ agents, network }) =>
    Object.keys(agents.environment).flatMap((name): Problem[] => {
      const problem = { path: ["agents", "environment", name], at: "key" as const };
      if (name.startsWith("BUILDKITE_") && !harmless.test(name)) {
        return [
          {
            ...problem,
            message: `agents.environment cannot set ${name}`,
            label: "it would override buildkite-agent.cfg",
            help: "remove it, and set what it means below agents or agents.settings",
          },
        ];
      }
      if (name === "BUILDX_CONFIG") {
        return [
          {
            ...problem,
            message: "agents.environment cannot set BUILDX_CONFIG",
            label: "jobs would not find the builders",
            help: "remove it; DOCKER_CONFIG may be set, by a job too",
          },
        ];
      }
      return network.pypiCache !== undefined && (name === "PYPI_CACHE_HOST" || name === "PYPI_CACHE_PORT")
        ? [{ ...problem, message: `${name} is set twice`, label: "network.pypiCache sets it too", help: "remove it" }]
        : [];
    }),
};
