/** What a job gets. Pure. */

/** What an agent checks out before the job's command. */
export interface Checkout {
  /** As git names it, before any rewriting. */
  readonly repository: string;
  readonly commit: string;
}

/** The environment variable of one tag, such as `BUILDKITE_AGENT_META_DATA_QUEUE` for `queue=ascend`. */
const tagVariable = (tag: string): [name: string, value: string] => {
  const [key = "", ...value] = tag.split("=");
  return [`BUILDKITE_AGENT_META_DATA_${key.toUpperCase().replace(/[^A-Z0-9]/g, "_")}`, value.join("=")];
};

/**
 * Job environment as Buildkite's server sends it, as far as the agent's bootstrap and CI scripts need it. Pure.
 * The job's own variables come last: they replace the server's.
 */
export const jobEnvironment = (
  job: {
    readonly id: string;
    readonly command: string;
    readonly checkout?: Checkout;
    readonly env?: Readonly<Record<string, string>>;
  },
  agent: { readonly id: string; readonly name: string; readonly tags: readonly string[] },
): Record<string, string> => ({
  CI: "true",
  BUILDKITE: "true",
  BUILDKITE_AGENT_ID: agent.id,
  // The bootstrap requires it, and the agent leaves it to the server.
  BUILDKITE_AGENT_NAME: agent.name,
  ...Object.fromEntries(agent.tags.map(tagVariable)),
  BUILDKITE_BRANCH: "main",
  BUILDKITE_BUILD_ID: job.id,
  BUILDKITE_BUILD_NUMBER: "1",
  BUILDKITE_BUILD_URL: "https://example.invalid/bake/check/builds/1",
  BUILDKITE_COMMAND: job.command,
  BUILDKITE_COMMIT: job.checkout?.commit ?? "HEAD",
  BUILDKITE_JOB_ID: job.id,
  BUILDKITE_LABEL: "bake check",
  BUILDKITE_MESSAGE: "bake check",
  BUILDKITE_ORGANIZATION_SLUG: "bake",
  BUILDKITE_PIPELINE_NAME: "check",
  BUILDKITE_PIPELINE_PROVIDER: "git",
  BUILDKITE_PIPELINE_SLUG: "check",
  BUILDKITE_PULL_REQUEST: "false",
  // Not empty: the bootstrap then refuses to start ("Missing repository"), checkout or not.
  BUILDKITE_REPO: job.checkout?.repository ?? "https://example.invalid/bake/check.git",
  BUILDKITE_RETRY_COUNT: "0",
  BUILDKITE_SOURCE: "api",
  BUILDKITE_STEP_ID: job.id,
  // Leaves out the checkout where there is nothing to check out. BUILDKITE_SKIP_CHECKOUT is unknown to older agents.
  BUILDKITE_BOOTSTRAP_PHASES: job.checkout === undefined ? "plugin,command" : "plugin,checkout,command",
  ...job.env,
});
