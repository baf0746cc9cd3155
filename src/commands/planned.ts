/** From what the user asked for to a plan: one way for a trial and for a lock, for `bake image` and for `bake check`. */
import { join } from "node:path";
import type { Host } from "../host.ts";
import type { Lock } from "../lock/lock.ts";
import { lockPath, readLock, requireLockFor } from "../lock/read.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { planNode } from "../plan/plan.ts";
import { planTarget, type TargetName } from "../plan/target.ts";
import type { Profile } from "../profile/schema.ts";
import { type Rendered, renderTree, templateNames, type Templates } from "../render/tree.ts";
import { readTemplates } from "../root.ts";
import type { Store } from "../store/store.ts";
import { prepareTrial } from "../trial/prepare.ts";
import { substitute, type Substitution } from "../trial/substitutions.ts";
import { type ProfileFile, readProfileFile, requireProfile } from "./profile-file.ts";

export interface Asked {
  readonly file: ProfileFile;
  /** With a trial's replacements. */
  readonly profile: Profile;
  readonly trial: boolean;
  readonly substitutions: readonly Substitution[];
  /** The lock beside the profile; a trial makes its own. */
  readonly lock?: Lock;
  /** `out/2cards`, `out/2cards-trial`. */
  readonly folder: string;
}

/** @returns undefined after the profile's problems were printed. */
export const readAsked = async (options: {
  readonly profile: string;
  readonly trial?: boolean;
}): Promise<Asked | undefined> => {
  const trial = options.trial === true;
  const file = await readProfileFile(options.profile);
  const written = requireProfile(file);
  if (written === undefined) return undefined;
  const { profile, substitutions } = trial ? substitute(written) : { profile: written, substitutions: [] };
  const lock = trial ? undefined : await readLock(lockPath(file.file));
  return {
    file,
    profile,
    trial,
    substitutions,
    ...(lock !== undefined && { lock }),
    folder: join("out", trial ? `${file.name}-trial` : file.name),
  };
};

export interface Planned extends Rendered {
  readonly plan: NodePlan;
  readonly templates: Templates;
  /** Absent without one and without --trial: nothing is compared by digest then. */
  readonly lock?: Lock;
}

/** What a lock must have for a target of the profile; without one for its first. */
export const lockedBy = (profile: Profile, target?: TargetName): { architecture: string; images: string[] } => ({
  architecture: planTarget("", profile, target).architecture,
  images: [profile.builders.image, ...profile.images],
});

/** Plans and renders; for a trial makes what its lock names, when it is not in the store yet. */
export const planAsked = async (host: Host, store: Store, { file, profile, trial, lock }: Asked): Promise<Planned> => {
  if (!trial && lock !== undefined) requireLockFor(lock, lockedBy(profile), lockPath(file.file));
  const used = trial ? await prepareTrial(host, store, { profileName: file.name }) : lock;
  const plan = planNode({ name: file.name, profile, trial, ...(used !== undefined && { lock: used }) });
  const templates = await readTemplates(templateNames(plan));
  return { plan, templates, ...(used !== undefined && { lock: used }), ...renderTree(plan, templates) };
};
