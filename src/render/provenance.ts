/** What was baked from what: an in-toto statement with a SLSA v1 provenance predicate. Pure. */
import { createHash } from "node:crypto";
import { digestOf } from "../artifact.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { targetOf } from "../targets/index.ts";
import { purlOf } from "./sbom.ts";

export interface Baked {
  readonly bakeId: string;
  /** The image: a file's digest, or what the cloud calls it. */
  readonly subject: { readonly name: string; readonly digest: Readonly<Record<string, string>> };
  /** Texts of the profile and of what it extends, by file as shown to the user, secrets starred out. */
  readonly profileTexts: ReadonlyMap<string, string>;
  readonly bakeVersion: string;
  /** ISO 8601 */
  readonly started: string;
  readonly finished: string;
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/**
 * The statement as JSON, the same for the same plan and bake. Pure.
 * @throws Error for a plan without a lock: then nothing is baked.
 */
export const provenance = (plan: NodePlan, baked: Baked): string => {
  const { base, artifacts, lockDigest } = plan;
  if (artifacts === undefined || lockDigest === undefined) throw new Error("a bake has a lock");
  const made = targetOf(plan.target).dependency(plan.target);
  const source =
    made !== undefined
      ? [made]
      : base === undefined
        ? []
        : [{ name: `base ${base.name}`, uri: purlOf(base), digest: { sha256: base.sha256 } }];
  return `${JSON.stringify(
    {
      _type: "https://in-toto.io/Statement/v1",
      subject: [baked.subject],
      predicateType: "https://slsa.dev/provenance/v1",
      predicate: {
        buildDefinition: {
          buildType: "urn:bake:image:v1",
          externalParameters: {
            profile: plan.profile,
            target: plan.target.name,
            architecture: plan.target.architecture,
            trial: plan.trial,
          },
          internalParameters: {
            bakeId: baked.bakeId,
            lock: { sha256: Buffer.from(lockDigest, "base64url").toString("hex") },
          },
          resolvedDependencies: [
            ...[...baked.profileTexts].map(([file, text]) => ({
              name: `profile ${file}`,
              digest: { sha256: sha256(text) },
            })),
            ...source,
            ...artifacts.map((artifact) => ({
              name: artifact.name,
              uri: purlOf(artifact),
              digest: { sha256: digestOf(artifact) },
            })),
          ],
        },
        runDetails: {
          builder: { id: "urn:bake", version: { bake: baked.bakeVersion } },
          metadata: { invocationId: baked.bakeId, startedOn: baked.started, finishedOn: baked.finished },
        },
      },
    },
    null,
    2,
  )}\n`;
};
