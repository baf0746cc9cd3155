/** bake's own downloads trust the authorities of the profile's site: by the variables that its client, Go programs, curl and git read. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { makeFolder } from "../host/make-folder.ts";
import { writeFileAtomic } from "../host/write-file-atomic.ts";

/** curl and git have one of their own, which beats the first. */
const variables = ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"] as const;

/**
 * A host that trusts these besides: SSL_CERT_FILE of its environment and of its commands names the common authorities, those of files
 * that it and its like named before, and these.
 * @param certificates In PEM form; without any the host is the same.
 * @throws BakeError BK219 when a file that one of them names cannot be read.
 */
export const trusting = async (host: Host, certificates: readonly string[]): Promise<Host> => {
  if (certificates.length === 0) return host;
  const before = new Map<string, string>();
  for (const name of variables) {
    const named = host.env[name] ?? "";
    if (named === "" || before.has(named)) continue;
    const text = await readFile(named, "utf8").catch((error: unknown) => {
      throw new BakeError(
        "BK219",
        `${name} cannot be read: ${(error as Error).message}`,
        "It names a file of certificates in PEM form.",
      );
    });
    before.set(named, text);
  }
  const content = [...rootCertificates, ...before.values(), ...certificates].map((each) => `${each.trim()}\n`).join("");
  const folder = join(host.cacheDir, "authorities");
  const file = join(folder, `${createHash("sha256").update(content).digest("hex").slice(0, 16)}.pem`);
  await makeFolder(folder);
  await writeFileAtomic(file, content);
  const named = Object.fromEntries(variables.map((name) => [name, file]));
  return {
    ...host,
    env: { ...host.env, ...named },
    run: (command, args, options) => host.run(command, args, { ...options, env: { ...named, ...options?.env } }),
  };
};
