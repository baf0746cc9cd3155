/** A private authority and a certificate of it, for servers of this machine. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Certificates {
  /** A file for SSL_CERT_FILE. */
  readonly authority: string;
  readonly key: string;
  readonly certificate: string;
}

const made = new Map<string, Certificates>();

/** @param name A host name, or a wildcard. Made once a process; the authority's file is there as long as that. */
export const certificatesFor = (name: string): Certificates => {
  const known = made.get(name);
  if (known !== undefined) return known;
  const folder = mkdtempSync(join(tmpdir(), "bake-cloud-authority-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const at = (file: string): string => join(folder, file);
  const openssl = (...args: string[]): void =>
    void execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const subject = ["-subj", "/CN=bake test authority"];
  openssl("req", "-x509", ...newKey, "-days", "2", ...subject, "-keyout", "ca.key", "-out", "ca.pem");
  openssl("req", ...newKey, "-subj", "/CN=emulator", "-keyout", "server.key", "-out", "server.csr");
  writeFileSync(at("names"), `subjectAltName=DNS:${name}\n`);
  openssl(
    ...["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"],
    ...["-days", "2", "-extfile", "names", "-out", "server.pem"],
  );
  const certificates = {
    authority: at("ca.pem"),
    key: readFileSync(at("server.key"), "utf8"),
    certificate: readFileSync(at("server.pem"), "utf8"),
  };
  made.set(name, certificates);
  return certificates;
};
