/** The credentials of Huawei Cloud. */
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { fromHome } from "../profile/secret-values.ts";

/** What the plugin reads; the first two must be there (facts: packer-plugin-huaweicloud, access config). */
const required = ["HW_ACCESS_KEY", "HW_SECRET_KEY"] as const;
const optional = ["HW_SECURITY_TOKEN", "HW_PROJECT_ID", "HW_PROJECT_NAME", "HW_AUTH_URL"] as const;

/**
 * Credentials of the cloud, for Packer alone. Pure.
 * @returns them by the variable that Packer's plugin reads.
 * @throws BakeError BK410 naming all that are missing.
 */
export const cloudCredentials = (env: Host["env"]): Record<string, string> => {
  const missing = required.filter((name) => (env[name] ?? "").trim() === "");
  if (missing.length > 0) {
    throw new BakeError(
      "BK410",
      `credentials of Huawei Cloud are missing: ${missing.join(" and ")}`,
      `Set them in the environment, never in a file: an access key of a user that may make servers, images and key pairs.\nTemporary ones need HW_SECURITY_TOKEN too.`,
    );
  }
  return Object.fromEntries(
    [...required, ...optional].flatMap((name) => {
      const value = env[name];
      return value === undefined || value === "" ? [] : [[name, value]];
    }),
  );
};

const keyVariable = "BAKE_SSH_PRIVATE_KEY";

/**
 * The file with the private key of a key pair that exists in the cloud.
 * @param keyPair Its name; undefined where the plugin makes one.
 * @throws BakeError BK410 when the environment names none.
 */
export const privateKeyFile = (env: Host["env"], keyPair: string | undefined): string | undefined => {
  if (keyPair === undefined) return undefined;
  const file = (env[keyVariable] ?? "").trim();
  if (file !== "") return fromHome(file, env);
  throw new BakeError(
    "BK410",
    `the private key of the key pair ${keyPair} is missing: ${keyVariable}`,
    `Set ${keyVariable} to the file that holds it, or leave targets.huaweicloud.keyPair out: a key pair is then made for the bake.`,
  );
};
