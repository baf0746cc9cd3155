/** Where secrets come from; never their values. */
import * as z from "zod";
import { httpUrl } from "./address.ts";
import { localFile } from "./text.ts";

/** On the machine that makes user-data. */
const local = [
  z.strictObject({ file: localFile.describe("A file on the machine where bake runs.") }),
  z.strictObject({
    env: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "expected the name of an environment variable, such as AGENT_TOKEN")
      .describe("An environment variable there."),
  }),
] as const;

const SecretSource = z.union(local).describe("Where a secret comes from; never its value.");

/** Of Huawei Cloud's secret service (CSMS): the node asks, through the agency of its server. */
const CsmsSource = z.strictObject({
  csms: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,64}$/, "expected the name of a secret of CSMS: letters, digits, _, . and -")
    .meta({ examples: ["buildkite-agent-token"] })
    .describe(
      "Name of a secret of Huawei Cloud's CSMS; the node fetches its latest version through its server's agency.",
    ),
  field: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,64}$/, "expected the name of a field: letters, digits, _, . and -")
    .optional()
    .describe("Of a secret that is a JSON object: the field that holds the value."),
  region: z
    .string()
    .regex(/^[a-z]+(-[a-z0-9]+)+$/, "expected a region such as cn-north-4")
    .optional()
    .describe("Region of the secret. Default: targets.huaweicloud.region, else that of the server."),
  endpoint: httpUrl("https://kms.cn-north-4.myhuaweicloud.com")
    .regex(/^https:\/\/[^/?#@]+$/, "expected https:// and a host, such as https://kms.cn-north-4.myhuaweicloud.com")
    .optional()
    .describe("Where CSMS answers, when it is not the region's own address."),
});

export const Secrets = z.strictObject({
  agentToken: z.union([...local, CsmsSource]).describe("Token of the Buildkite cluster that the agents join."),
  gitToken: SecretSource.optional().describe(
    "GitHub token for private repositories, sent to the git proxy if there is one.",
  ),
  proxyCredentials: SecretSource.optional().describe("user:password of network.httpProxy."),
  nodeKey: SecretSource.optional().describe(
    "Private key of the node, in OpenSSH's format, instead of one that it makes.",
  ),
  basePassword: SecretSource.optional().describe(
    "Password of root on targets.qemu.base, where the base has no cloud-init that lets the build in by a key; that of openEuler's own images is known.",
  ),
});
