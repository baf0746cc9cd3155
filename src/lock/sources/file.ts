import type { PlainFile } from "../../artifact.ts";
import type { FileRequirement } from "../../node/requirement.ts";
import { lockBytes } from "./bytes.ts";
import { entryOf, type Resolver } from "./resolver.ts";

const lastPart = (url: string): string => decodeURIComponent(new URL(url).pathname.split("/").at(-1) ?? "");

/** A file by URL. It has no version but its bytes when the profile gives none. */
export const plainFile: Resolver<FileRequirement, PlainFile> = {
  versions: () => Promise.resolve([]),
  resolve: async (requirement, { web }) => {
    const { name, url, sha256 } = requirement;
    const checksums =
      requirement.checksums === undefined ? undefined : { url: requirement.checksums, file: lastPart(url) };
    const bytes = await lockBytes({ name, url, sha256, checksums }, web);
    const version = /^[A-Za-z0-9][A-Za-z0-9._+-]*$/.test(requirement.asked)
      ? requirement.asked
      : bytes.sha256.slice(0, 12);
    return { kind: requirement.kind, ...entryOf(requirement, version), ...bytes };
  },
};
