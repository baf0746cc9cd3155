/** Further files of the node, by URL. */
import type { Concern, Install } from "./concern.ts";

/** A name of a plain file: its place on the node. */
const fileName = (path: string): string => path.replace(/^\/+/, "");

export const files: Concern = {
  name: "files",
  requirements: (profile) =>
    profile.files.map(({ url, path, sha256, checksums }, index) => ({
      kind: "file" as const,
      name: fileName(path),
      asked: url,
      url,
      path: ["files", index, "url"],
      ...(sha256 !== undefined && { sha256 }),
      ...(checksums !== undefined && { checksums }),
    })),
  contribute: ({ profile, locked }) => ({
    installs: (locked?.artifacts ?? []).flatMap((artifact): Install[] => {
      if (artifact.kind !== "file") return [];
      const file = profile.files.find(({ path }) => fileName(path) === artifact.name);
      return file === undefined
        ? []
        : [{ artifact, rows: [["file", artifact.name, artifact.sha256, file.path, file.mode]] }];
    }),
  }),
};
