/** Further files of the node: from the machine that bakes, as a part of what is rendered, or by URL. */
import { createHash } from "node:crypto";
import { formatBytes } from "../formats/bytes.ts";
import { localBytes, textOfBytes } from "../profile/local-bytes.ts";
import type { Profile } from "../profile/schema.ts";
import type { Concern, Contribution, Install } from "./concern.ts";

/** A name of a plain file: its place on the node. */
const fileName = (path: string): string => path.replace(/^\/+/, "");

const localFiles = (profile: Profile) =>
  profile.files.flatMap((file) => {
    if (!("from" in file)) return [];
    const bytes = localBytes(profile, file.from);
    return [{ ...file, bytes, sha256: createHash("sha256").update(bytes).digest("hex") }];
  });

/** A site's own repositories, and the keys that their packages are signed with: packages may come from them. */
const ofPackages = /^\/etc\/(?:yum\.repos\.d|pki\/rpm-gpg|apt\/sources\.list\.d|apt\/keyrings)\//;

/** They are laid down as every other file of the node, and told with their digests. */
const told = (local: ReturnType<typeof localFiles>): Contribution => ({
  files: local.map(({ path, mode, bytes }) => ({
    path,
    mode,
    ...textOfBytes(bytes),
    ...(ofPackages.test(path) && { stage: "base" as const }),
  })),
  explain: local.map(({ path, from, bytes, sha256 }) => ({
    what: path,
    value: `${formatBytes(bytes.length)} of ${from}, sha256 ${sha256}`,
    because: ["files"],
    order: 400,
  })),
  page: {
    paths: local.map(({ path, sha256 }) => ({
      paths: [path],
      what: `a file of the site, sha256 ${sha256}`,
      order: 950,
    })),
  },
});

export const files: Concern = {
  name: "files",
  requirements: (profile) =>
    profile.files.flatMap((file, index) => {
      if (!("url" in file)) return [];
      const { url, path, sha256, checksums } = file;
      return [
        {
          kind: "file" as const,
          name: fileName(path),
          asked: url,
          url,
          path: ["files", index, "url"],
          ...(sha256 !== undefined && { sha256 }),
          ...(checksums !== undefined && { checksums }),
        },
      ];
    }),
  contribute: ({ profile, locked }) => {
    const local = localFiles(profile);
    return {
      installs: (locked?.artifacts ?? []).flatMap((artifact): Install[] => {
        if (artifact.kind !== "file") return [];
        const file = profile.files.find((each) => "url" in each && fileName(each.path) === artifact.name);
        return file === undefined
          ? []
          : [{ artifact, rows: [["file", artifact.name, artifact.sha256, file.path, file.mode]] }];
      }),
      ...(local.length > 0 && told(local)),
    };
  },
};
