/** Files of this machine that a profile takes bytes from: `from`, in `files` and in `network.caCertificates`. Pure, but for the reader. */
import { findSecretShapes, looksSecret } from "../secrets/shapes.ts";
import { caCertificate, certificatesIn } from "./ca-certificates.ts";
import type { Problem, Rule } from "./rules/rule.ts";
import { textOfBytes } from "./local-bytes.ts";
import type { Profile } from "./schema.ts";

/** They lie in out/ and travel to the build VM as they are: what is larger belongs to a server, and into the lock. */
export const largestLocalFile = 1024 ** 2;

/** Why a file's bytes cannot be had: what stands behind its path in a message, and what to do. */
interface Refusal {
  readonly why: string;
  readonly help?: string;
}

/** Reads a whole file of at most `largestLocalFile` bytes. Throws nothing. */
export type ReadLocal = (path: string) => Uint8Array | Refusal;

interface Named {
  readonly path: readonly (string | number)[];
  readonly from: string;
  readonly what: "file" | "authorities";
}

const namedBy = ({ files, network }: Profile): Named[] => [
  ...files.flatMap((file, index): Named[] =>
    "from" in file ? [{ path: ["files", index, "from"], from: file.from, what: "file" }] : [],
  ),
  ...network.caCertificates.flatMap((each, index): Named[] =>
    typeof each === "string"
      ? []
      : [{ path: ["network", "caCertificates", index, "from"], from: each.from, what: "authorities" }],
  ),
];

/** What an editor on Windows, or a copy, leaves alone: certificates are read whatever is around them. */
const certificateProblem = (text: string): Omit<Problem, "path"> | undefined => {
  if (text.includes("PRIVATE KEY"))
    return { message: "holds a private key", label: "of an authority the certificate alone is wanted" };
  const found = certificatesIn(text);
  if (found.length === 0) {
    return {
      message: "holds no certificate in PEM form",
      help: "of a certificate in DER form: openssl x509 -inform der -in FILE -out FILE.pem",
    };
  }
  const other = found.findIndex((each) => caCertificate(each) === undefined);
  return other < 0
    ? undefined
    : {
        message: `${found.length === 1 ? "is no certificate" : `holds as certificate ${other + 1} none`} of an authority (CA)`,
        help: "a server's own certificate is not trusted by itself: take that of the authority that signed it",
      };
};

/** The first line with a secret in it. */
const secretLine = (text: string): number | undefined => {
  if (!looksSecret(text)) return undefined;
  const first = Math.min(...findSecretShapes(text).map(([start]) => start));
  return text.slice(0, Number.isFinite(first) ? first : 0).split("\n").length;
};

/**
 * Reads what a profile names, each file once.
 * @returns the bytes by their paths, and a rule that says what is wrong with them
 */
export const readLocalFiles = (
  profile: Profile,
  read: ReadLocal,
): { readonly files: ReadonlyMap<string, Uint8Array>; readonly rules: readonly Rule[] } => {
  const files = new Map<string, Uint8Array>();
  const refused = new Map<string, Refusal>();
  const named = namedBy(profile);
  for (const { from } of named) {
    if (files.has(from) || refused.has(from)) continue;
    const found = read(from);
    if (found instanceof Uint8Array) files.set(from, found);
    else refused.set(from, found);
  }
  const unusable: Rule = {
    code: "BK153",
    reads: "each by itself",
    find: () =>
      named.flatMap(({ path, from, what }): Problem[] => {
        const refusal = refused.get(from);
        if (refusal !== undefined) {
          const { why, help } = refusal;
          return [{ path, message: `${from} ${why}`, ...(help !== undefined && { help }) }];
        }
        const problem =
          what === "file" ? undefined : certificateProblem(textOfBytes(files.get(from) ?? new Uint8Array()).content);
        return problem === undefined ? [] : [{ ...problem, path, message: `${from} ${problem.message}` }];
      }),
  };
  const secret: Rule = {
    code: "BK118",
    reads: "each by itself",
    find: () =>
      named.flatMap(({ path, from, what }): Problem[] => {
        const bytes = files.get(from);
        // A line of a certificate may look like anything.
        const line = bytes === undefined || what !== "file" ? undefined : secretLine(textOfBytes(bytes).content);
        return line === undefined
          ? []
          : [
              {
                path,
                message: `${from} holds a secret`,
                label: `line ${line} looks like a token, a key or a password`,
                help: "it would lie in out/ and in the image: remove it from there; secrets reach a node as docs/secrets.md says",
              },
            ];
      }),
  };
  return { files, rules: [unusable, secret] };
};
