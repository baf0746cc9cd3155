/** bake's own downloads trust the authorities of the profile's site: by the variable that its client, crane, curl and Go programs read. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { makeFolder } from "../host/make-folder.ts";
import { writeFileAtomic } from "../host/write-file-atomic.ts";

/**
 * A host that trusts these besides: SSL_CERT_FILE of its environment and of its commands names the common authorities, those of a file
 * that it named before, and these.
 * @param certificates In PEM form; without any the host is the same.
 * @throws BakeError BK219 when SSL_CERT_FILE cannot be read.
 */
export const trusting = async (host: Host, certificates: readonly string[]): Promise<Host> => {
  if (certificates.length === 0) return host;
  const named = host.env["SSL_CERT_FILE"];
  let before = "";
  if (named !== undefined && named !== "") {
    before = await readFile(named, "utf8").catch((error: unknown) => {
      throw new BakeError(
        "BK219",
        `SSL_CERT_FILE cannot be read: ${(error as Error).message}`,
        "It names a file of certificates in PEM form.",
      );
    });
  }
  const content = [...rootCertificates, before, ...certificates].map((each) => `${each.trim()}\n`).join("");
  const folder = join(host.cacheDir, "authorities");
  const file = join(folder, `${createHash("sha256").update(content).digest("hex").slice(0, 16)}.pem`);
  await makeFolder(folder);
  await writeFileAtomic(file, content);
  return {
    ...host,
    env: { ...host.env, SSL_CERT_FILE: file },
    run: (command, args, options) =>
      host.run(command, args, { ...options, env: { SSL_CERT_FILE: file, ...options?.env } }),
  };
};
