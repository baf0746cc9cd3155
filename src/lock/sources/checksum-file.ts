/** Files of checksums, as `sha256sum` writes them: `<digest>  name` or `<digest> *name`; or a digest alone. */
import { BakeError } from "../../errors.ts";

const shownUrl = (url: string): string => url.replace(/[?#].*$/, "");

/**
 * @param url Where the text came from, for messages.
 * @throws BakeError BK231 when it is no list of checksums, does not name the file, or names it twice with two digests.
 */
export const digestIn = (text: string, name: string, url: string): string => {
  const where = shownUrl(url);
  const help = "Is the address right, and is nothing between that answers in its place? Nothing was taken.";
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  const entries = lines.flatMap((line) => {
    const [, digest = "", listed] = /^([0-9a-fA-F]{64})(?:\s+\*?(?:\.\/)?(.+))?$/.exec(line) ?? [];
    return digest === "" ? [] : [{ digest: digest.toLowerCase(), listed }];
  });
  if (entries.length === 0) {
    const looks = /^\s*</.test(text) ? "a web page" : text.trim() === "" ? "empty" : "no list of sha256 checksums";
    throw new BakeError("BK231", `${where} is ${looks}`, help);
  }
  const own = entries.filter(({ listed }) => listed === name || listed?.split("/").at(-1) === name);
  // A file for one file alone needs no name.
  const found = own.length > 0 ? own : entries.length === 1 && entries[0]?.listed === undefined ? entries : [];
  const digests = [...new Set(found.map(({ digest }) => digest))];
  const [digest] = digests;
  if (digest === undefined) {
    throw new BakeError("BK231", `${where} does not name ${name}`, `It names ${entries.length} others. ${help}`);
  }
  if (digests.length > 1) throw new BakeError("BK231", `${where} names ${name} twice, with two digests`, help);
  return digest;
};
