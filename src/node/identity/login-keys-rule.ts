import { userDataLimit } from "../../profile/user-data-limit.ts";
import type { Rule } from "../../profile/rules/rule.ts";

/** What golden user-data holds besides keys: files with secrets, names, comments. */
const rest = 3_000;

/** Keys are all but random: gzip takes a quarter off them. */
const compressed = 0.77;

const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(0)} KB`;

/** User-data above the limit is refused when a server is made, long after the profile was written. */
export const userDataSize: Rule = {
  code: "BK133",
  reads: ["ssh.operatorKeys"],
  find: ({ ssh: { operatorKeys } }) => {
    const bytes = rest + operatorKeys.reduce((sum, key) => sum + Buffer.byteLength(key) + 9, 0);
    if (bytes <= userDataLimit) return [];
    const fits = bytes * compressed <= userDataLimit;
    return [
      {
        path: ["ssh", "operatorKeys"],
        at: "key",
        severity: fits ? "warning" : "error",
        message: `${operatorKeys.length} ssh keys make user-data of about ${kilobytes(bytes)}; Huawei Cloud takes 32 KB`,
        label: fits ? "fits as gzip alone" : "does not fit, not even as gzip",
        help: fits
          ? "take bake user-data --format gzip or base64, or fewer or shorter keys"
          : "fewer keys, or ed25519 keys, which are a seventh of the size of RSA keys",
      },
    ];
  },
};
