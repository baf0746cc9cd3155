/** What is said of a checksum file that gives no digest. */
import { BakeError } from "../../errors.ts";
import { type Checksum, checksumOf } from "../../formats/checksum-file.ts";
import { shownUrl } from "../../store/url.ts";

const few = (names: readonly string[]): string =>
  names.slice(0, 5).join(", ") + (names.length > 5 ? ` and ${names.length - 5} more` : "");

const refusal = (checksum: Exclude<Checksum, { readonly sha256: string }>, file: string, shown: string): BakeError => {
  switch (checksum.problem) {
    case "empty":
      return new BakeError("BK232", `${shown}: the checksum file is empty`, "Try again, or set a mirror in `sources`.");
    case "web page":
      return new BakeError(
        "BK232",
        `${shown}: a web page came in place of the checksum file`,
        "A login or error page of a proxy, or of the server: open the URL in a browser on this machine.",
      );
    case "no checksums":
      return new BakeError("BK232", `${shown}: holds no sha256`, "Is this the checksum file, and is it sha256?");
    case "not named":
      return new BakeError("BK233", `${shown} does not name ${file}`, `It names ${few(checksum.files)}.`);
    default:
      return new BakeError(
        "BK234",
        `${shown} gives ${checksum.digests.length} digests for ${file}:\n${checksum.digests.map((each) => `  ${each}`).join("\n")}`,
        "Give the right one in the profile, as sha256.",
      );
  }
};

/**
 * The digest that a checksum file gives for a file, in lower-case hex. Pure.
 * @param url of the checksum file, for messages
 * @throws BakeError BK232 when it is no checksum file, BK233 when it does not name the file, BK234 when it gives it two digests
 */
export const digestIn = (text: string, file: string, url: string): string => {
  const checksum = checksumOf(text, file);
  if ("sha256" in checksum) return checksum.sha256;
  throw refusal(checksum, file, shownUrl(url));
};
