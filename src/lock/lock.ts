/** The lock: every artifact of a profile. docs/lock.md tells it to users. */
import * as z from "zod";
import { Artifact, type Architecture, type Base, compareArtifacts } from "../artifact.ts";

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
    }
  }),
});
export type Lock = z.infer<typeof Lock>;

/** What of a lock goes to a node of this architecture, and the base that it is baked from. Pure. */
export const lockedFor = (
  { artifacts }: Lock,
  architecture: Architecture,
): { readonly base?: Base; readonly artifacts: readonly Exclude<Artifact, Base>[] } => {
  const mine = artifacts.filter((each) => (each.architecture ?? architecture) === architecture);
  const base = mine.find((each) => each.kind === "base");
  return { ...(base !== undefined && { base }), artifacts: mine.filter((each) => each.kind !== "base") };
};

/**
 * A lock as the text of its file. Sorted, keys in one order, two blanks: the same lock has the same bytes, and a changed artifact
 * changes its lines alone. Pure.
 * @throws ZodError for what is no lock
 */
export const formatLock = (lock: Lock): string =>
  `${JSON.stringify(Lock.parse({ ...lock, artifacts: lock.artifacts.toSorted(compareArtifacts) }), null, 2)}\n`;
