/** Where secrets come from; never their values. */
import * as z from "zod";
import { localFile } from "./text.ts";

const SecretSource = z
  .union([
    z.strictObject({ file: localFile.describe("A file on the machine that renders user-data.") }),
    z.strictObject({
      env: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "expected the name of an environment variable, such as AGENT_TOKEN")
        .describe("An environment variable there."),
    }),
  ])
  .describe("Where a secret comes from; never its value.");

export const Secrets = z.strictObject({
  agentToken: SecretSource.describe("Token of the Buildkite cluster that the agents join."),
  gitToken: SecretSource.optional().describe(
    "GitHub token for private repositories, sent to the git proxy if there is one.",
  ),
  proxyCredentials: SecretSource.optional().describe("user:password of network.httpProxy."),
  nodeKey: SecretSource.optional().describe(
    "Private key of the node, in OpenSSH's format, instead of one that it makes.",
  ),
});
