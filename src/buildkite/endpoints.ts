/** Where Buildkite's APIs are, and who asks. */
import { BakeError } from "../errors.ts";

export interface BuildkiteSettings {
  readonly rest: string;
  readonly graphql: string;
  /** Slug of the organisation. */
  readonly organization: string;
  /** Secret. */
  readonly token: string;
}

/** Variables as Buildkite's own command line has them. */
export const buildkiteVariables = {
  token: "BUILDKITE_API_TOKEN",
  organization: "BUILDKITE_ORGANIZATION_SLUG",
  rest: "BUILDKITE_REST_API_ENDPOINT",
  graphql: "BUILDKITE_GRAPHQL_ENDPOINT",
} as const;

/**
 * The settings of an environment.
 * @throws BakeError BK440 when the token or the organisation is missing.
 */
export const buildkiteSettings = (env: Readonly<Record<string, string | undefined>>): BuildkiteSettings => {
  const read = (name: string): string | undefined => env[name]?.trim() || undefined;
  const token = read(buildkiteVariables.token);
  const organization = read(buildkiteVariables.organization);
  if (token === undefined || organization === undefined) {
    const missing = [
      ...(token === undefined ? [buildkiteVariables.token] : []),
      ...(organization === undefined ? [buildkiteVariables.organization] : []),
    ];
    throw new BakeError(
      "BK440",
      `${missing.join(" and ")} ${missing.length > 1 ? "are" : "is"} not set: nobody can ask Buildkite about agents`,
      "Make an API access token with read_agents, write_agents, read_clusters and GraphQL access; the organisation is the first part of a pipeline's address.",
    );
  }
  return {
    token,
    organization,
    rest: read(buildkiteVariables.rest) ?? "https://api.buildkite.com",
    graphql: read(buildkiteVariables.graphql) ?? "https://graphql.buildkite.com/v1",
  };
};
