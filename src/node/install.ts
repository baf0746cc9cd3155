/** What a locked artifact brings to a node. Pure. */
import type { Artifact, Locked } from "../artifact.ts";
import type { Install } from "./concern.ts";

/** A release, whose place provision.sh knows by its kind; nothing without a lock. */
export const installRelease = (
  locked: Locked | undefined,
  kind: Artifact["kind"],
  stage?: Install["stage"],
): Install[] =>
  (locked?.artifacts ?? []).flatMap((artifact) =>
    artifact.kind === kind && "sha256" in artifact
      ? [
          {
            artifact,
            rows: [[artifact.kind, artifact.name, artifact.sha256, "-", "-"] as const],
            ...(stage !== undefined && { stage }),
          },
        ]
      : [],
  );
