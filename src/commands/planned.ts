/** From what the user asked for to a plan: one way for a trial and for a lock, for `bake image` and for `bake check`. */
import { join } from "node:path";
import { bakeTargets, trialTarget } from "../bake/targets.ts";
import type { Host } from "../host/host.ts";
import type { Lock } from "../lock/lock.ts";
import { readLock } from "../lock/read.ts";
import { roomProblems } from "../lock/room.ts";
import { stalenessOf } from "../lock/requirements.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { planFor } from "./plan.ts";
import { targetsOf } from "../targets/index.ts";
import type { Profile, TargetName } from "../profile/schema.ts";
import type { Origins } from "../render/review.ts";
import { type Rendered, renderTree, templateNames } from "../render/tree.ts";
import { type Templates } from "../render/templates.ts";
import { readTemplates } from "../host/root.ts";
import type { Store } from "../store/store.ts";
import { substitute, type Substitution } from "../trial/substitutions.ts";
import { diagnosticsOf } from "../profile/load.ts";
import { printDiagnostics, type ProfileFile, readProfileFile, requireProfile } from "./profile-file.ts";

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
  /** No network may be touched. */
  readonly offline: boolean;
}

/**
 * Where an image of a profile is baked: `out/2cards`, or `out/2cards-huaweicloud`. Pure.
 * @param output Another folder than `out`.
 */
export const outFolder = (
  { name, home }: Pick<ProfileFile, "name" | "home">,
  target: TargetName,
  output = join(home, "out"),
): string => join(output, bakeTargets[target].folderName(name));

/** Makes a lock that is missing or stale. @returns undefined after problems were printed. */
export type LockMaker = (file: ProfileFile, profile: Profile, previous: Lock | undefined) => Promise<Lock | undefined>;

/**
 * Reads the profile and its lock. A trial makes its own lock.
 * @param makeLock Makes a lock that is missing or stale. Without it a stale lock is a problem, and a missing one is
 * none yet.
 * @returns undefined after problems were printed.
 */
export const readAsked = async (
  options: { readonly profile: string; readonly trial?: boolean; readonly offline?: boolean },
  makeLock?: LockMaker,
): Promise<Asked | undefined> => {
  const trial = options.trial === true;
  const file = await readProfileFile(options.profile);
  const written = requireProfile(file);
  if (written === undefined) return undefined;
  const { profile, substitutions } = trial ? substitute(written) : { profile: written, substitutions: [] };
  let lock = trial ? undefined : await readLock(file.lockFile);
  if (
    !trial &&
    makeLock !== undefined &&
    (lock === undefined || stalenessOf(lock, written, file.lockFile).length > 0)
  ) {
    lock = await makeLock(file, written, lock);
    if (lock === undefined) return undefined;
  }
  if (lock !== undefined && reportStaleness(file, written, lock)) return undefined;
  if (lock !== undefined) reportRoom(file, written, lock);
  return {
    file,
    profile,
    trial,
    offline: options.offline === true,
    substitutions,
    ...(lock !== undefined && { lock }),
    folder: join(file.home, "out", trial ? `${file.name}-trial` : file.name),
  };
};

/** Looks at rendered user-data once more, and prints what is wrong at the profile's lines. @returns whether something is. */
export const reportReview = async (file: ProfileFile, text: string, origins: Origins): Promise<boolean> => {
  // With all that it needs, after the profile has been found right.
  const { reviewUserData } = await import("../render/review.ts");
  const problems = reviewUserData(text, origins);
  if (problems.length === 0 || file.tree === undefined) return false;
  printDiagnostics({ diagnostics: diagnosticsOf(file.tree, "BK135", problems), texts: file.texts });
  return true;
};

export interface Planned extends Rendered {
  readonly plan: NodePlan;
  readonly templates: Templates;
  /** Absent without one and without --trial: nothing is compared by digest then. */
  readonly lock?: Lock;
}

/** Prints which disks have no room for what the lock names: warnings. */
export const reportRoom = (file: ProfileFile, profile: Profile, lock: Lock): void => {
  const problems = roomProblems(profile, lock);
  if (problems.length === 0 || file.tree === undefined) return;
  printDiagnostics({ diagnostics: diagnosticsOf(file.tree, "BK127", problems), texts: file.texts });
};

/** Prints where the profile has gone on without its lock. @returns whether it has. */
export const reportStaleness = (file: ProfileFile, profile: Profile, lock: Lock): boolean => {
  const problems = stalenessOf(lock, profile, file.lockFile);
  if (problems.length === 0 || file.tree === undefined) return false;
  printDiagnostics({ diagnostics: diagnosticsOf(file.tree, "BK205", problems), texts: file.texts });
  return true;
};

/**
 * Plans and renders. For a trial it makes what its lock names, when that is not in the store yet.
 * @param target Without it the profile's first.
 * @throws what `prepareTrial` throws.
 */
export const planAsked = async (
  host: Host,
  store: Store,
  { file, profile, trial, offline, lock }: Asked,
  target?: TargetName,
): Promise<Planned> => {
  // Loaded where it is used: with it comes the HTTP client, which takes longer to start than a plan takes to make.
  const used = trial
    ? await (await import("../trial/prepare.ts")).prepareTrial(host, store, {
        profileName: file.name,
        profile,
        offline,
      })
    : lock;
  const plan = planFor({
    name: file.name,
    profile,
    trial,
    ...(used !== undefined && { lock: used }),
    ...(target !== undefined && { target }),
  });
  const templates = readTemplates(templateNames(plan));
  return { plan, templates, ...(used !== undefined && { lock: used }), ...renderTree(plan, templates) };
};

/** The target whose stock images become nodes: the cloud where the profile has it, and for a trial the local VM. Pure. */
export const stockTarget = ({ profile, trial }: Asked): TargetName | undefined =>
  trial ? trialTarget : targetsOf(profile).at(-1);
