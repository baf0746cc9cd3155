/** Where the image is baked, as data of the plan. What a target means and does is in src/targets/ and src/bake/. */
import type { Architecture } from "../artifact.ts";
import type { TargetName } from "../profile/schema.ts";

export interface QemuTarget {
  readonly name: "qemu";
  readonly architecture: Architecture;
  /** MiB */
  readonly memory: number;
  readonly cpus: number;
  /** GiB */
  readonly diskSize: number;
  /** Packer gets in by a password of root, not by a key that cloud-init places. */
  readonly passwordLogin: boolean;
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
  readonly publicIp?: { readonly bandwidth: number; readonly type: string } | { readonly id: string };
  /** Name of a key pair that exists. */
  readonly keyPair?: string;
  readonly spot?: { readonly maximumPrice?: number };
  /** GiB */
  readonly diskSize: number;
  readonly diskType: string;
  readonly kmsKey?: string;
  readonly dataDisks: readonly { readonly size: number; readonly type: string; readonly kmsKey?: string }[];
  readonly mirror?: string;
  readonly imageName: string;
  /** Those of the profile; bake's own come with the bake id. */
  readonly tags: Readonly<Record<string, string>>;
  readonly enterpriseProject?: string;
  /** IDs of projects. */
  readonly members: readonly string[];
  /** Minutes. */
  readonly imageTimeout: number;
}

/** By name: a further target has its line here. */
export interface TargetPlans {
  readonly qemu: QemuTarget;
  readonly huaweicloud: HuaweiCloudTarget;
}

export type TargetPlan = TargetPlans[TargetName];

/** Where clouds hand out user-data and credentials, Huawei Cloud among them. */
export const metadataAddress = "169.254.169.254";
