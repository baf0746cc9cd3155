/** Where the image is baked. */
import type { Architecture } from "../artifact.ts";
import { type Profile, type TargetName, targetNames } from "../profile/schema.ts";

export type { TargetName };

export interface QemuTarget {
  readonly name: "qemu";
  readonly architecture: Architecture;
  /** MiB */
  readonly memory: number;
  readonly cpus: number;
  /** GiB */
  readonly diskSize: number;
}

export interface HuaweiCloudTarget {
  readonly name: "huaweicloud";
  readonly architecture: Architecture;
  readonly region: string;
  readonly sourceImage: string;
  readonly flavor: string;
  readonly availabilityZone?: string;
  readonly vpc: string;
  readonly subnet: string;
  readonly securityGroup: string;
  readonly publicIp?: { readonly bandwidth: number; readonly type: string };
  /** GiB */
  readonly diskSize: number;
  readonly diskType: string;
  readonly mirror?: string;
  readonly imageName: string;
  /** Those of the profile; bake's own come with the bake id. */
  readonly tags: Readonly<Record<string, string>>;
  readonly enterpriseProject?: string;
  /** Minutes. */
  readonly imageTimeout: number;
}

/** Targets that the profile has, the local one first. */
export const targetsOf = ({ targets }: Profile): TargetName[] =>
  targetNames.filter((name) => targets[name] !== undefined);

/** What the cloud takes as a name, whatever the profile's file is called. */
const defaultName = (profile: string): string =>
  `bake-${profile.replace(/[^A-Za-z0-9._-]+/g, "-")}`.slice(0, 63).replace(/[^A-Za-z0-9]+$/, "");

/** @param name Without it the profile's first. @throws RangeError when the profile has no such target: rules see to it. */
export const planTarget = (
  profileName: string,
  profile: Profile,
  name: TargetName = targetsOf(profile)[0] ?? "qemu",
): QemuTarget | HuaweiCloudTarget => {
  const { qemu, huaweicloud } = profile.targets;
  if (name === "qemu" && qemu !== undefined) {
    const { architecture, memory, cpus, diskSize } = qemu;
    return { name, architecture, memory, cpus, diskSize };
  }
  if (name === "huaweicloud" && huaweicloud !== undefined) {
    const {
      system: _system,
      imageName = defaultName(profileName),
      availabilityZone,
      publicIp,
      mirror,
      enterpriseProject,
      ...rest
    } = huaweicloud;
    return {
      name,
      ...rest,
      imageName,
      ...(availabilityZone !== undefined && { availabilityZone }),
      ...(publicIp !== undefined && { publicIp }),
      ...(mirror !== undefined && { mirror }),
      ...(enterpriseProject !== undefined && { enterpriseProject }),
    };
  }
  throw new RangeError(`the profile has no target ${name}`);
};

/** Memory and processors of a VM that an image is booted in. */
export const vmSizeOf = (
  target: QemuTarget | HuaweiCloudTarget,
): { readonly memoryMiB: number; readonly cpus: number } =>
  target.name === "qemu" ? { memoryMiB: target.memory, cpus: target.cpus } : { memoryMiB: 2048, cpus: 2 };
