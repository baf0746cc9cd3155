/** A certificate that nobody trusts, made when it is needed: no private key lies in bake. */
import { generateKeyPairSync, sign } from "node:crypto";

/** One element of DER. Pure. */
const der = (tag: number, ...parts: readonly Buffer[]): Buffer => {
  const content = Buffer.concat(parts);
  const size = content.length.toString(16);
  const long = Buffer.from(size.padStart(size.length + (size.length % 2), "0"), "hex");
  const length = content.length < 0x80 ? Buffer.from([content.length]) : Buffer.from([0x80 | long.length, ...long]);
  return Buffer.concat([Buffer.from([tag]), length, content]);
};

const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, ...parts);
const number = (value: number): Buffer => der(0x02, Buffer.from([value]));
const time = (text: string): Buffer => der(0x17, Buffer.from(text));

/** ecdsa-with-SHA256, 1.2.840.10045.4.3.2 */
const algorithm = sequence(der(0x06, Buffer.from("2a8648ce3d040302", "hex")));

/** commonName, 2.5.4.3 */
const named = (name: string): Buffer =>
  sequence(der(0x31, sequence(der(0x06, Buffer.from("550403", "hex")), der(0x0c, Buffer.from(name)))));

const pem = (content: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${content
    .toString("base64")
    .replace(/.{64}/g, "$&\n")
    .trimEnd()}\n-----END CERTIFICATE-----\n`;

/** @returns a new key and its self-signed certificate, as PEM. @param name Its common name, of ASCII. */
export const selfSigned = (name: string): { readonly key: string; readonly cert: string } => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const content = sequence(
    der(0xa0, number(2)),
    number(1),
    algorithm,
    named(name),
    sequence(time("200101000000Z"), time("491231235959Z")),
    named(name),
    publicKey.export({ type: "spki", format: "der" }),
  );
  const signature = der(0x03, Buffer.from([0]), sign("sha256", content, privateKey));
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
    cert: pem(sequence(content, algorithm, signature)),
  };
};
