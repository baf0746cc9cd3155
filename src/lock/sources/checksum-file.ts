/** Checksum files of releases, as `sha256sum` and its relatives write them. */
import { BakeError } from "../../errors.ts";
import { shownUrl } from "../../store/http.ts";

interface Entry {
  readonly sha256: string;
  readonly file: string;
}

/** `sha  name`, `sha *name` (binary), `SHA256 (name) = sha` (BSD); what else stands there, such as a signature, is no entry. */
const entryOf = (line: string): Entry | undefined => {
  const gnu = /^\\?([0-9a-fA-F]{64}) [ *]?(\S.*)$/.exec(line);
  if (gnu !== null) return { sha256: (gnu[1] ?? "").toLowerCase(), file: gnu[2] ?? "" };
  const bsd = /^SHA256 ?\((.+)\) ?= ?([0-9a-fA-F]{64})$/.exec(line);
  return bsd === null ? undefined : { sha256: (bsd[2] ?? "").toLowerCase(), file: bsd[1] ?? "" };
};

const lastPart = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

const few = (names: readonly string[]): string =>
  names.slice(0, 5).join(", ") + (names.length > 5 ? ` and ${names.length - 5} more` : "");

/**
 * The digest that a checksum file gives for a file. A file that holds one digest and nothing else is for the one file beside it.
 * @param url of the checksum file, for messages
 * @throws BakeError BK232 when it is no checksum file, BK233 when it does not name the file, BK234 when it gives it two digests
 */
export const digestIn = (text: string, file: string, url: string): string => {
  const shown = shownUrl(url);
  const none = (why: string, help: string) => new BakeError("BK232", `${shown}: ${why}`, help);
  if (text.trim() === "") throw none("the checksum file is empty", "Try again, or set a mirror in `sources`.");
  if (/^\s*<(?:!doctype|!--|html|head|body|\?xml)/i.test(text)) {
    throw none(
      "a web page came in place of the checksum file",
      "A login or error page of a proxy, or of the server: open the URL in a browser on this machine.",
    );
  }
  if (/^[0-9a-fA-F]{64}$/.test(text.trim())) return text.trim().toLowerCase();
  const entries = text.split(/\r?\n/).flatMap((line) => entryOf(line.trimEnd()) ?? []);
  if (entries.length === 0) throw none("holds no sha256", "Is this the checksum file, and is it sha256?");
  const named = entries.filter((entry) => entry.file.replace(/^\.\//, "") === file);
  const found = named.length > 0 ? named : entries.filter((entry) => lastPart(entry.file) === file);
  const digests = [...new Set(found.map(({ sha256 }) => sha256))];
  const [sha256, other] = digests;
  if (sha256 === undefined) {
    throw new BakeError(
      "BK233",
      `${shown} does not name ${file}`,
      `It names ${few(entries.map((entry) => entry.file))}.`,
    );
  }
  if (other !== undefined) {
    throw new BakeError(
      "BK234",
      `${shown} gives ${digests.length} digests for ${file}:\n${digests.map((each) => `  ${each}`).join("\n")}`,
      "Give the right one in the profile, as sha256.",
    );
  }
  return sha256;
};
