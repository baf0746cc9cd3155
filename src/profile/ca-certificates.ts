/** Certificates of a site's own authorities (CA): what one has to be, and how it is written. Pure. */
import { X509Certificate } from "node:crypto";
import type { Profile } from "./schema.ts";

/** One certificate of an authority in PEM form, in lines of 64 characters; undefined for anything else. Pure. */
export const caCertificate = (text: string): string | undefined => {
  if (text.match(/-----BEGIN /g)?.length !== 1) return undefined;
  try {
    const certificate = new X509Certificate(text);
    return certificate.ca ? certificate.toString() : undefined;
  } catch {
    return undefined;
  }
};

/** Those of a profile, each once. Pure. */
export const caCertificates = ({ network }: Profile): string[] => [
  ...new Set(network.caCertificates.map((text) => caCertificate(text) ?? text)),
];
