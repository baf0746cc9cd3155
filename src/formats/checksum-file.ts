/** Checksum files of releases, as `sha256sum` and its relatives write them. Pure. */

interface Entry {
  readonly sha256: string;
  readonly file: string;
}

/** What a checksum file says about one file: its digest in lower-case hex, or why there is none. */
export type Checksum =
  | { readonly sha256: string }
  /** `web page`: HTML or XML in place of the file. */
  | { readonly problem: "empty" | "web page" | "no checksums" }
  /** `files` are those that it names. */
  | { readonly problem: "not named"; readonly files: readonly string[] }
  | { readonly problem: "ambiguous"; readonly digests: readonly string[] };

/** `sha  name`, `sha *name` (binary), `SHA256 (name) = sha` (BSD); what else stands there, such as a signature, is no entry. */
const entryOf = (line: string): Entry | undefined => {
  const gnu = /^\\?([0-9a-fA-F]{64}) [ *]?(\S.*)$/.exec(line);
  if (gnu !== null) return { sha256: (gnu[1] ?? "").toLowerCase(), file: gnu[2] ?? "" };
  const bsd = /^SHA256 ?\((.+)\) ?= ?([0-9a-fA-F]{64})$/.exec(line);
  return bsd === null ? undefined : { sha256: (bsd[2] ?? "").toLowerCase(), file: bsd[1] ?? "" };
};

const lastPart = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/**
 * The digest that a checksum file gives for a file. A file that holds one digest and nothing else is for the one file beside it.
 * @param text Of the checksum file.
 * @param file Name of the file; an entry of this very name goes before one of another folder.
 */
export const checksumOf = (text: string, file: string): Checksum => {
  if (text.trim() === "") return { problem: "empty" };
  if (/^\s*<(?:!doctype|!--|html|head|body|\?xml)/i.test(text)) return { problem: "web page" };
  if (/^[0-9a-fA-F]{64}$/.test(text.trim())) return { sha256: text.trim().toLowerCase() };
  const entries = text.split(/\r?\n/).flatMap((line) => entryOf(line.trimEnd()) ?? []);
  if (entries.length === 0) return { problem: "no checksums" };
  const named = entries.filter((entry) => entry.file.replace(/^\.\//, "") === file);
  const found = named.length > 0 ? named : entries.filter((entry) => lastPart(entry.file) === file);
  const digests = [...new Set(found.map(({ sha256 }) => sha256))];
  const [sha256, other] = digests;
  if (sha256 === undefined) return { problem: "not named", files: entries.map((entry) => entry.file) };
  return other === undefined ? { sha256 } : { problem: "ambiguous", digests };
};
