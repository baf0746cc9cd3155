/**
 * The keys of buildkite-agent.cfg, by release (guide row G4): the agent ignores a key that it does not know, so a misspelt
 * one would go unnoticed (S27). Read off `AgentStartConfig` of the agent's source (buildkite/agent: clicommand/agent_start.go)
 * at 21 releases from 3.46.1 to 3.138.0.
 */
import { compareReleases } from "../../formats/version.ts";

interface Keys {
  /** The newest release looked at that does not know these keys yet. */
  readonly absentIn?: string;
  /** The oldest release looked at that does not know them any more. */
  readonly goneIn?: string;
  readonly keys: readonly string[];
}

const table: readonly Keys[] = [
  {
    keys: (
      "acquire-job bootstrap-script build-path cancel-grace-period cancel-signal config debug debug-http " +
      "disconnect-after-idle-timeout disconnect-after-job disconnect-after-job-timeout " +
      "enable-job-log-tmpfile endpoint experiment git-checkout-flags git-clean-flags git-clone-flags " +
      "git-clone-mirror-flags git-fetch-flags git-mirrors-lock-timeout git-mirrors-path " +
      "git-mirrors-skip-update health-check-addr hooks-path log-format log-level meta-data meta-data-ec2 " +
      "meta-data-ec2-tags meta-data-gcp metrics-datadog metrics-datadog-distributions metrics-datadog-host " +
      "name no-automatic-ssh-fingerprint-verification no-color no-command-eval no-feature-reporting " +
      "no-git-submodules no-http2 no-local-hooks no-plugin-validation no-plugins no-pty no-ssh-keyscan " +
      "plugins-path priority profile redacted-vars shell sockets-path spawn spawn-with-priority tags " +
      "tags-from-ec2 tags-from-ec2-meta-data tags-from-ec2-meta-data-paths tags-from-ec2-tags " +
      "tags-from-ecs-meta-data tags-from-gcp tags-from-gcp-labels tags-from-gcp-meta-data " +
      "tags-from-gcp-meta-data-paths tags-from-host timestamp-lines token tracing-backend " +
      "tracing-service-name wait-for-ec2-meta-data-timeout wait-for-ec2-tags-timeout " +
      "wait-for-ecs-meta-data-timeout wait-for-gcp-labels-timeout write-job-logs-to-stdout"
    ).split(" "),
  },
  {
    absentIn: "3.46.1",
    keys: "no-ansi-timestamps".split(" "),
  },
  {
    absentIn: "3.48.0",
    keys: "job-log-path".split(" "),
  },
  {
    absentIn: "3.50.1",
    keys: "signal-grace-period-seconds strict-single-hooks".split(" "),
  },
  {
    absentIn: "3.50.1",
    goneIn: "3.58.0",
    keys: "job-signing-algorithm job-verification-invalid-signature-behavior job-verification-no-signature-behavior".split(
      " ",
    ),
  },
  {
    absentIn: "3.50.1",
    goneIn: "3.59.0",
    keys: "job-signing-jwks-path job-signing-key-id job-verification-jwks-path".split(" "),
  },
  {
    absentIn: "3.52.0",
    keys: "allowed-plugins allowed-repositories".split(" "),
  },
  {
    absentIn: "3.52.0",
    goneIn: "3.59.0",
    keys: "job-verification-failure-behavior".split(" "),
  },
  {
    absentIn: "3.58.0",
    keys: "signing-jwks-file signing-jwks-key-id verification-failure-behavior verification-jwks-file".split(" "),
  },
  {
    absentIn: "3.60.1",
    keys: "allowed-environment-variables enable-environment-variable-allowlist".split(" "),
  },
  {
    absentIn: "3.62.0",
    keys: "debug-signing disable-warnings-for kubernetes-exec queue spawn-per-cpu".split(" "),
  },
  {
    absentIn: "3.78.0",
    keys: "additional-hooks-paths no-multipart-artifact-upload signing-aws-kms-key trace-context-encoding trace-http".split(
      " ",
    ),
  },
  {
    absentIn: "3.95.1",
    keys: "disconnect-after-uptime reflect-exit-status tracing-propagate-traceparent".split(" "),
  },
  {
    absentIn: "3.104.0",
    keys: "kubernetes-log-collection-grace-period plugins-always-clone-fresh skip-checkout".split(" "),
  },
  {
    absentIn: "3.116.0",
    keys: (
      "checkout-attempts fail-on-missing-tags git-checkout-timeout git-mirror-checkout-mode " +
      "git-skip-fetch-existing-commits git-submodule-clone-config hooks-shell " +
      "kubernetes-container-start-timeout ping-mode signing-gcp-kms-key"
    ).split(" "),
  },
  {
    absentIn: "3.127.1",
    keys: "artifact-upload-concurrency git-commit-verification git-sparse-checkout-paths".split(" "),
  },
  {
    absentIn: "3.133.0",
    keys: "checkout-override-mode".split(" "),
  },
  {
    absentIn: "3.134.0",
    keys: "job-logs-otlp".split(" "),
  },
  {
    absentIn: "3.135.0",
    keys: "git-sparse-checkout-mode job-context-dir".split(" "),
  },
];

/**
 * Every key that this release of the agent reads, as far as the table can tell, sorted. Pure.
 * @param version exact, or open (`3.46.x`): then of the newest release of its line
 * @throws RangeError for what is no version
 */
export const agentKeys = (version: string): string[] =>
  table
    .filter(
      ({ absentIn, goneIn }) =>
        (absentIn === undefined || compareReleases(version, absentIn) > 0) &&
        (goneIn === undefined || compareReleases(version, goneIn) < 0),
    )
    .flatMap(({ keys }) => keys)
    .toSorted();
