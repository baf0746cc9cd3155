/** Plain files by URL: by the profile's digest, by a file of checksums, or on trust of the first download. */
import type { PlainFile } from "../lock.ts";
import type { FileWish } from "../wish.ts";
import { digestIn } from "./checksum-file.ts";
import type { Resolver } from "./resolver.ts";

/** A file has no version but its digest. */
const versionOf = (sha256: string): string => sha256.slice(0, 12);

export const file: Resolver<FileWish, PlainFile> = {
  versions: () => Promise.resolve([]),
  resolve: async ({ kind, name, asked, url, sha256: given, checksums }, { web }) => {
    const last = decodeURIComponent(new URL(url).pathname.split("/").at(-1) ?? "");
    const known = given ?? (checksums === undefined ? undefined : digestIn(await web.text(checksums), last, checksums));
    const { sha256, size } = await web.store({ name, url, ...(known !== undefined && { sha256: known }) });
    return {
      kind,
      name,
      version: versionOf(sha256),
      asked,
      url,
      size,
      sha256,
      trust: given !== undefined ? "profile" : checksums !== undefined ? "checksums" : "first-use",
      ...(checksums !== undefined && { checksums }),
    };
  },
};
