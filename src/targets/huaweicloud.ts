/** A server in Huawei Cloud, of which an image is made. */
import { createHash } from "node:crypto";
import { BakeError } from "../errors.ts";
import type { HuaweiCloudTarget } from "../node/target.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import type { Profile } from "../profile/schema.ts";
import { datasourceFiles } from "./datasources.ts";
import type { Target } from "./target.ts";

/** Its name among a profile's targets. */
export const cloudTarget = "huaweicloud";

/**
 * A profile's settings for the cloud.
 * @param file The profile's, for the message. @param why What needs them.
 * @throws BakeError BK413 where it has none.
 */
export const requireCloudTarget = (
  { targets: { [cloudTarget]: settings } }: Profile,
  file: string,
  why: string,
): NonNullable<Profile["targets"][typeof cloudTarget]> => {
  if (settings !== undefined) return settings;
  throw new BakeError("BK413", `${file} has no target ${cloudTarget}`, why);
};

/** What the cloud takes as a name, whatever the profile's file is called. */
export const defaultName = (profile: string): string =>
  `bake-${profile.replace(/[^A-Za-z0-9._-]+/g, "-")}`.slice(0, 63).replace(/[^A-Za-z0-9]+$/, "");

/** Tags that bake sets itself: three in a bake, two on images of the catalogue. The cloud takes ten; five are the profile's. */
export const ownTags = ["bake-id", "bake-lock", "bake-profile", "bake-promoted", "bake-verified"] as const;

/** GiB of a system disk from which on it is worth a word that its free space is overwritten. */
export const largeDisk = 100;

/** Of a server's name that many letters are the bake id's, and 64 are all that the cloud takes. */
const [idLetters, mostLetters] = [10, 64];

/**
 * A profile's name as the cloud takes it: what it does not take becomes a hyphen. One that had to be changed or cut ends in a digest:
 * else two profiles would have one name, and who prunes one would remove the other's. Pure.
 * @param most Letters.
 */
const nameInCloud = (profile: string, most: number): string => {
  const taken = profile.replace(/[^A-Za-z0-9._-]+/g, "-");
  if (taken === profile && taken.length <= most) return taken;
  const digest = createHash("sha256").update(profile).digest("hex").slice(0, 8);
  return `${taken.slice(0, most - digest.length - 1)}-${digest}`;
};

/** What the names of servers that build an image of a profile begin with; the bake id's beginning follows. */
export const serverPrefix = (profile: string): string =>
  `bake-${nameInCloud(profile, mostLetters - idLetters - "bake--".length)}-`;

/**
 * Name of the server that builds: the cloud takes no blanks in it, and after a bake that was cut off it is found by it.
 * @param bakeId Absent without a lock.
 */
export const serverName = (profile: string, bakeId: string | undefined): string =>
  bakeId === undefined ? serverPrefix(profile).slice(0, -1) : serverPrefix(profile) + bakeId.slice(0, idLetters);

/** Letters of a tag's value (facts: IMS API reference, image tags). */
const longestTag = 43;

/** The value of the tag `bake-profile`. */
export const tagValue = (profile: string): string => nameInCloud(profile, longestTag);

/** Tags of the profile and bake's own. Pure. @param tags The profile's. */
export const imageTags = (
  tags: Readonly<Record<string, string>>,
  { profile, lockDigest }: { readonly profile: string; readonly lockDigest?: string | undefined },
  bakeId: string | undefined,
): Record<string, string> => ({
  ...tags,
  "bake-profile": tagValue(profile),
  ...(bakeId !== undefined && { "bake-id": bakeId }),
  ...(lockDigest !== undefined && { "bake-lock": lockDigest }),
});

/** The same by name, as the template has them. */
const tagsOf = (
  { tags }: HuaweiCloudTarget,
  node: NodePlan,
  bakeId: string | undefined,
): { name: string; value: string }[] =>
  Object.entries(imageTags(tags, node, bakeId))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ({ name, value }));

/** Of the 1024 characters that the service takes in a description; a bake may add as many as the template's variable allows. */
const longestDescription = 600;

/**
 * An image's description as the service takes it: no line breaks, no angle brackets. Where it is too long the header is cut: by bake
 * id and lock an image is found. Pure.
 */
export const describeImage = (header: string, bakeId: string | undefined, lockDigest: string | undefined): string => {
  const identity = [
    ...(bakeId === undefined ? [] : [`Bake id ${bakeId}.`]),
    ...(lockDigest === undefined ? [] : [`Lock ${lockDigest}.`]),
  ].join(" ");
  const most = longestDescription - identity.length - 1;
  return [header.replace(/[^\x20-\x7e]|[<>]/g, "").slice(0, most), identity].filter((text) => text !== "").join(" ");
};

type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Without what is undefined. */
const present = <T extends object>(settings: T): Present<T> =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as Present<T>;

/** The template's values about the public address: a new one, one that exists, or none. */
const addressValues = ({ publicIp }: HuaweiCloudTarget): object =>
  publicIp === undefined
    ? { public: false, newAddress: false }
    : "id" in publicIp
      ? { public: true, newAddress: false, addressId: publicIp.id }
      : { public: true, newAddress: true, addressType: publicIp.type, bandwidth: publicIp.bandwidth };

export const huaweicloud: Target<HuaweiCloudTarget> = {
  plan: (profileName, { targets }) => {
    if (targets.huaweicloud === undefined) return undefined;
    // Of an import alone: no bake reads it.
    const { system: _system, bucket: _bucket, imageName = defaultName(profileName), ...rest } = targets.huaweicloud;
    const { spot, dataDisks, ...settings } = rest;
    return {
      name: "huaweicloud",
      ...present(settings),
      imageName,
      ...(spot !== undefined && { spot: present(spot) }),
      dataDisks: dataDisks.map(present),
    };
  },
  concern: {
    name: "huaweicloud",
    contribute: ({ header, target }) => ({
      ...(target.name === "huaweicloud" &&
        target.diskSize >= largeDisk && {
          explain: [
            {
              what: "hygiene",
              value: `overwrites the free space of ${target.diskSize} GiB: on ext4 what was ever used of it, elsewhere all of it`,
              because: ["targets.huaweicloud.diskSize"],
              order: 91,
            },
          ],
        }),
      files: [...datasourceFiles(header, ["OpenStack", "ConfigDrive"])],
      needsLock: [{ what: "the tags bake-id and bake-lock in packer/huaweicloud.pkr.hcl", order: 70 }],
    }),
  },
  source: ({ sourceImage }) => sourceImage,
  // An image of a stage would cost a server, its image and minutes for each.
  disk: () => undefined,
  needsBase: false,
  template: "huaweicloud.pkr.hcl",
  templateValues: (plan, node, bakeId) => ({
    ...plan,
    zoned: plan.availabilityZone !== undefined,
    inProject: plan.enterpriseProject !== undefined,
    ...addressValues(plan),
    keyed: plan.keyPair !== undefined,
    isSpot: plan.spot !== undefined,
    capped: plan.spot?.maximumPrice !== undefined,
    ...(plan.spot?.maximumPrice !== undefined && { spotPrice: String(plan.spot.maximumPrice) }),
    encrypted: plan.kmsKey !== undefined,
    disks: plan.dataDisks.map((disk) => ({ ...disk, encrypted: disk.kmsKey !== undefined })),
    shared: plan.members.length > 0,
    upload: plan.mirror === undefined,
    artifactsVariable: `BAKE_ARTIFACTS=${plan.mirror?.replace(/\/+$/, "") ?? "file:///var/tmp/bake/artifacts"}`,
    serverName: serverName(node.profile, bakeId),
    imageDescription: describeImage(node.header, bakeId, node.lockDigest),
    imageTimeout: `${plan.imageTimeout}m`,
    tags: tagsOf(plan, node, bakeId),
  }),
  // The cloud's metadata bring it.
  buildKeys: [],
  vmSize: () => ({ memoryMiB: 2048, cpus: 2 }),
  dependency: ({ region, sourceImage }) => ({ name: "source image", uri: `huaweicloud:${region}:${sourceImage}` }),
};
