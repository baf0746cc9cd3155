import type { PlainFile } from "../lock.ts";
import type { FileWish } from "../wish.ts";
import { lockBytes } from "./bytes.ts";
import { entryOf, type Resolver } from "./resolver.ts";

const lastPart = (url: string): string => decodeURIComponent(new URL(url).pathname.split("/").at(-1) ?? "");

/** A file by URL. It has no version but its bytes when the profile gives none. */
export const plainFile: Resolver<FileWish, PlainFile> = {
  versions: () => Promise.resolve([]),
  resolve: async (wish, { web }) => {
    const { name, url, sha256 } = wish;
    const checksums = wish.checksums === undefined ? undefined : { url: wish.checksums, file: lastPart(url) };
    const bytes = await lockBytes({ name, url, sha256, checksums }, web);
    const version = /^[A-Za-z0-9][A-Za-z0-9._+-]*$/.test(wish.asked) ? wish.asked : bytes.sha256.slice(0, 12);
    return { kind: wish.kind, ...entryOf(wish, version), ...bytes };
  },
};
