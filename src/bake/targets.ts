/** How each target bakes. A target that is missing here does not compile. */
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { StepTime } from "../host/progress.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import type { Line } from "../huaweicloud/preflight/index.ts";
import type { Stage } from "../render/stages.ts";
import type { RenderedFile } from "../render/tree.ts";
import type { SecretSources } from "../check/known-secrets.ts";
import { type Profile, type TargetName, targetNames } from "../profile/schema.ts";
import { targetsOf } from "../targets/index.ts";
import type { Store } from "../store/store.ts";
import type { Accelerator } from "../vm/accelerator.ts";
import { basePassword } from "./base-password.ts";
import { cloudCredentials } from "./cloud-credentials.ts";
import type { Provenance } from "./image-record.ts";

/** What is baked, and with what: the same for every target. */
export interface PreparedBake {
  /** The folder below out/, holding the rendered tree. */
  readonly folder: string;
  /** With a lock, for this target. */
  readonly plan: NodePlan;
  readonly bakeId: string;
  /** Absent where no layers are kept. */
  readonly stages?: readonly Stage[];
  /** Every stage is made anew, and the image too when nothing has changed. */
  readonly noCache?: boolean;
  readonly trial: boolean;
  /** Where the profile's secrets come from: those that are on this machine are searched for in the image. */
  readonly secrets: SecretSources;
  /** What `basePassword` returned: of root on the base, where Packer gets in by it. */
  readonly basePassword?: string;
  readonly store: Store;
  readonly packer: { readonly path: string; readonly environment: Readonly<Record<string, string>> };
  readonly steps: () => readonly StepTime[];
  readonly provenance: Provenance;
}

/** What a target's baker is asked for. */
export interface BakeRequest extends PreparedBake {
  /** The rendered tree. */
  readonly files: readonly RenderedFile[];
  /** What `credentials` returned. */
  readonly credentials: Readonly<Record<string, string>>;
  /** Puts what the plan names into the store. */
  readonly fetch: () => Promise<void>;
  /** Keeps the time of a phase that is no step of `host.progress`. */
  readonly recordStep: (step: StepTime) => void;
  /** Tells the user one or more lines. */
  readonly print: (text: string) => void;
}

/** What came of a bake, or was there already. */
interface Baked {
  /** For the user. @param seconds What this run took. */
  readonly describe: (seconds: number) => string;
  /** What is booted and checked next. Absent where only the cloud has the image. */
  readonly bootable?: { readonly image: string; readonly accelerator: () => Promise<Accelerator> };
}

export interface Baker {
  /** Installs what a bake of this profile needs on this host. @returns the path of Packer. */
  readonly setUp: (host: Host, profile: Profile, options: { readonly offline: boolean }) => Promise<string>;
  /** Bakes, unless `folder` has the image of this bake id. */
  readonly bake: (host: Host, request: BakeRequest) => Promise<Baked>;
}

export interface BakeTarget {
  /** For sentences: "a bake in the cloud". */
  readonly where: string;
  readonly takesTrials: boolean;
  readonly worksOffline: boolean;
  /** The folder below out/ of a profile's image. Pure. */
  readonly folderName: (profile: string) => string;
  /** What Packer gets in its environment besides. Pure. @throws BakeError BK410 naming all that is missing. */
  readonly credentials: (env: Host["env"]) => Record<string, string>;
  /**
   * The password by which Packer gets into the base; undefined where that needs none. Reads the file that the profile names.
   * @throws BakeError BK414 when it is not on this machine.
   */
  readonly basePassword: (profile: Profile, env: Host["env"]) => Promise<string | undefined>;
  /** Loaded when something is baked: it brings Packer, VM and cloud along. */
  readonly load: () => Promise<Baker>;
  /** Looks at what a bake there needs, and makes nothing. Absent where the bake itself finds out at no cost. */
  readonly preflight?: (
    host: Host,
    rendered: {
      readonly plan: NodePlan;
      readonly files: readonly RenderedFile[];
    },
  ) => Promise<readonly Line[]>;
}

/** All targets, in the order of the profile's: the local one first. */
export const bakeTargets: Readonly<Record<TargetName, BakeTarget>> = {
  qemu: {
    where: "in a local VM",
    takesTrials: true,
    worksOffline: true,
    folderName: (profile) => profile,
    credentials: () => ({}),
    basePassword,
    load: async () => (await import("./qemu.ts")).qemuBaker,
  },
  huaweicloud: {
    where: "in the cloud",
    takesTrials: false,
    worksOffline: false,
    folderName: (profile) => `${profile}-huaweicloud`,
    credentials: cloudCredentials,
    basePassword: async () => undefined,
    load: async () => (await import("./huaweicloud.ts")).huaweiCloudBaker,
    preflight: async (host, rendered) =>
      (await (await import("./cloud-preflight.ts")).cloudPreflight(host, rendered)).lines,
  },
};

const firstThatTakesTrials = (): TargetName => {
  const name = targetNames.find((each) => bakeTargets[each].takesTrials);
  if (name === undefined) throw new Error("no target takes trials");
  return name;
};

/** Where a trial bakes, whatever targets the profile has. */
export const trialTarget: TargetName = firstThatTakesTrials();

/**
 * The target that is baked. Pure.
 * @param asked What the user asked for; without it a trial's, or the first that the profile has.
 * @param file The profile's file, for messages.
 * @throws BakeError BK413 for a target that cannot be.
 */
export const chooseTarget = (
  profile: Profile,
  file: string,
  {
    asked,
    trial,
    offline,
  }: { readonly asked: TargetName | undefined; readonly trial: boolean; readonly offline: boolean },
): TargetName => {
  const there = targetsOf(profile);
  const name = asked ?? (trial ? trialTarget : there[0]);
  if (name === undefined) throw new RangeError("the profile has no target");
  const { where, takesTrials, worksOffline } = bakeTargets[name];
  if (trial && !takesTrials) {
    throw new BakeError(
      "BK413",
      `a trial bakes ${bakeTargets[trialTarget].where} alone`,
      `Leave --trial or --target ${name} out.`,
    );
  }
  if (!there.includes(name)) {
    throw new BakeError("BK413", `${file} has no target ${name}`, `It has: ${there.join(", ")}.`);
  }
  if (offline && !worksOffline) {
    const other = there.find((each) => bakeTargets[each].worksOffline);
    throw new BakeError(
      "BK413",
      `a bake ${where} needs the network`,
      `Leave --offline out${other === undefined ? "" : `, or bake ${bakeTargets[other].where}: --target ${other}`}.`,
    );
  }
  return name;
};
