/** The lock: every artifact of a profile. docs/lock.md tells it to users. */
import { createHash } from "node:crypto";
import * as z from "zod";
import { Artifact, type Architecture, compareArtifacts, type Locked } from "../artifact.ts";
import { clashingPaths } from "../formats/tree-paths.ts";

/** Raised when an older bake would misread what a newer one wrote. */
export const lockVersion = 1;

/** For people: what no two artifacts of a lock share. */
const identityOf = ({ kind, name, architecture }: Artifact): string =>
  `${kind === name ? "" : `${kind} `}${name}${architecture === undefined ? "" : ` for ${architecture}`}`;

/** The shape of a lock's file. */
export const Lock = z.strictObject({
  lockVersion: z.literal(lockVersion),
  profile: z.string(),
  /** Sorted by kind, name and architecture. */
  artifacts: z.array(Artifact).superRefine((artifacts, context) => {
    const seen = new Set<string>();
    for (const [index, artifact] of artifacts.entries()) {
      const identity = identityOf(artifact);
      if (seen.has(identity)) context.addIssue({ code: "custom", path: [index], message: `a second ${identity}` });
      seen.add(identity);
      if (artifact.kind !== "model") continue;
      const paths = artifact.files.map(({ path }) => path);
      for (const { index: file, why } of clashingPaths(paths)) {
        const path = [index, "files", file, "path"];
        context.addIssue({ code: "custom", path, message: `${paths[file]} has ${why}` });
      }
    }
  }),
});
export type Lock = z.infer<typeof Lock>;

/**
 * A lock as the text of its file. Sorted, keys in one order, two blanks: the same lock has the same bytes, and a changed artifact
 * changes its lines alone. Pure.
 * @throws ZodError for what is no lock
 */
export const formatLock = (lock: Lock): string =>
  `${JSON.stringify(Lock.parse({ ...lock, artifacts: lock.artifacts.toSorted(compareArtifacts) }), null, 2)}\n`;

/** What of a lock goes to a node of this architecture, and the base that it is baked from. Pure. */
export const lockedFor = (lock: Lock, architecture: Architecture): Locked => {
  const mine = lock.artifacts.filter((each) => (each.architecture ?? architecture) === architecture);
  const base = mine.find((each) => each.kind === "base");
  return {
    ...(base !== undefined && { base }),
    artifacts: mine.filter((each) => each.kind !== "base"),
    digest: createHash("sha256").update(formatLock(lock)).digest("base64url"),
  };
};
