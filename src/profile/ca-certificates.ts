/** Certificates of a site's own authorities (CA): what one has to be, and how it is written. Pure. */
import { X509Certificate } from "node:crypto";
import { localBytes, textOfBytes } from "./local-bytes.ts";
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

/** The certificates of a file in PEM form, which may hold a chain, and words between them. Pure. */
export const certificatesIn = (text: string): string[] =>
  text.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g) ??
  [];

/** Those of a profile, each once. Pure. @throws RangeError when a local file was not read with its profile. */
export const caCertificates = (profile: Profile): string[] => [
  ...new Set(
    profile.network.caCertificates
      .flatMap((each) =>
        typeof each === "string" ? [each] : certificatesIn(textOfBytes(localBytes(profile, each.from)).content),
      )
      .map((text) => caCertificate(text) ?? text),
  ),
];
