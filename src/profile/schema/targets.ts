/** Where an image is baked: a table of the targets' settings. */
import * as z from "zod";
import { architectures } from "../../artifact.ts";
import { httpUrl, ofFolder } from "./address.ts";
import { localFile, token } from "./text.ts";

const Qemu = z.strictObject({
  base: z
    .union([
      token("the name of a base").meta({ examples: ["openeuler-22.03-lts-sp4"] }),
      z.strictObject({ file: localFile.describe("A qcow2 file.") }),
    ])
    .describe("Base image: a known name, or a qcow2 file."),
  architecture: z.enum(architectures).default("x86_64").describe("Processor architecture of the image."),
  memory: z.int().min(1024).default(2048).describe("MiB of memory of the build VM and of the booted image."),
  cpus: z.int().min(1).default(2).describe("Processors of these VMs."),
  diskSize: z.int().min(4).default(40).describe("GiB of the system disk."),
});

/** IDs of Huawei Cloud; some of its services write them without hyphens. */
const cloudId = (what: string) =>
  z
    .string()
    .regex(
      /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/,
      `expected the ID of ${what}: 32 hex digits, usually with hyphens`,
    )
    .meta({ examples: ["0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"] });

/** Systems of source images, by what their os-release says, with the cloud-init that they bring (facts: cloud-init by version). */
const cloudSystems = ["euleros-2.0-sp8", "openeuler-20.03", "openeuler-22.03", "openeuler-24.03", "other"] as const;

const diskTypes = ["SAS", "SSD", "GPSSD", "ESSD"] as const;

const kmsKey = (disk: string) =>
  cloudId("a KMS key").optional().describe(`KMS key that ${disk} is encrypted with; IMS shares no encrypted image.`);

const HuaweiCloud = z.strictObject({
  region: token("a region")
    .meta({ examples: ["cn-north-4"] })
    .describe("Region where the image is made, such as cn-north-4."),
  sourceImage: cloudId("an image").describe(
    "Image that the bake starts from, by its ID: names and filters may match another one tomorrow.",
  ),
  system: z
    .enum(cloudSystems)
    .default("other")
    .describe("What the source image is: some need care before they find this cloud."),
  architecture: z.enum(architectures).default("x86_64").describe("Processor architecture of the image."),
  flavor: token("a flavor")
    .meta({ examples: ["kc1.large.4"] })
    .describe("Flavor of the server that builds."),
  availabilityZone: token("an availability zone")
    .optional()
    .describe("Where that server runs; the cloud chooses otherwise."),
  vpc: cloudId("a VPC").describe("VPC of that server: one made for the build would always be 172.16.0.0/16."),
  subnet: cloudId("a subnet").describe("Subnet of that server; it needs DHCP."),
  securityGroup: cloudId("a security group").describe(
    "The one security group of that server: ssh from where Packer runs, 169.254.0.0/16 by TCP 80 outward.",
  ),
  publicIp: z
    .union([
      z.strictObject({
        bandwidth: z.int().min(1).max(300).describe("Mbit/s."),
        type: token("a type of public addresses").default("5_bgp").describe("Type of the public address."),
      }),
      z.strictObject({
        id: cloudId("a public address").describe("One that exists and is bound to nothing; it stays."),
      }),
    ])
    .optional()
    .describe(
      "Gives the building server a public address, a new one or one that exists; without it Packer must reach its private one.",
    ),
  keyPair: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, "expected the name of a key pair: 1 to 64 letters, digits, `_` and `-`")
    .optional()
    .describe(
      "Key pair of the cloud that the building server takes, where users may make none; the file with its private key is named by BAKE_SSH_PRIVATE_KEY in the environment.",
    ),
  spot: z
    .strictObject({
      maximumPrice: z
        .number()
        .positive()
        .optional()
        .describe("Highest price of an hour, in the account's currency; without it the market's."),
    })
    .optional()
    .describe("The building server is a spot one: cheaper, and the cloud may end it in the middle of a bake."),
  diskSize: z
    .int()
    .min(40)
    .max(1024)
    .default(40)
    .describe("GiB of the system disk; at least what the source image needs."),
  diskType: z.enum(diskTypes).default("SSD").describe("Type of the system disk while it is built."),
  kmsKey: kmsKey("the system disk"),
  dataDisks: z
    .array(
      z.strictObject({
        size: z.int().min(10).max(32_768).describe("GiB."),
        type: z.enum(diskTypes).default("SSD").describe("Type of the disk."),
        kmsKey: kmsKey("the disk"),
      }),
    )
    .max(23)
    .default([])
    .describe("Further disks of the building server. They are no part of the image."),
  mirror: ofFolder(httpUrl("http://mirror.example.com/bake"))
    .optional()
    .describe("Where the building server gets artifacts by content address; without it Packer uploads them."),
  imageName: z
    .string()
    .regex(
      /^[A-Za-z0-9](?:[A-Za-z0-9._ -]{0,61}[A-Za-z0-9])?$/,
      "expected 1 to 63 letters, digits, `.`, `_`, `-` and blanks",
    )
    .optional()
    .describe(
      "Name of the image; bake-<profile> otherwise. Images may share a name: their IDs and tags tell them apart.",
    ),
  tags: z
    .record(
      z.string().regex(/^[A-Za-z0-9_-]{1,36}$/, "expected the name of a tag: 1 to 36 letters, digits, `_` and `-`"),
      z.string().regex(/^[A-Za-z0-9._-]{0,43}$/, "expected at most 43 letters, digits, `.`, `_` and `-`"),
    )
    .default({})
    .describe(
      "Further tags of the image, besides those of bake (bake-id, bake-lock, bake-profile, bake-promoted, bake-verified); at most five.",
    ),
  enterpriseProject: z
    .union([z.literal("0"), cloudId("an enterprise project")])
    .optional()
    .describe('Enterprise project that server and image belong to; "0" is the default one.'),
  members: z
    .array(z.string().regex(/^[0-9a-f]{32}$/, "expected the ID of a project: 32 hex digits"))
    .max(128)
    .default([])
    .describe("Projects of other accounts that the image is shared with; each has to accept it."),
  bucket: z
    .string()
    .regex(
      /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/,
      "expected the name of a bucket: 3 to 63 small letters, digits and hyphens, no dots",
    )
    .optional()
    .meta({ examples: ["ci-images"] })
    .describe("Bucket of the region that bake catalog import uploads an image to; what it uploads goes again."),
  imageTimeout: z
    .int()
    .min(10)
    .max(600)
    .default(60)
    .describe("Minutes that the cloud may take to make an image of the disk."),
});

/** What a profile may say of each target, the local one first. Another target is another line here. */
const targetSettings = {
  qemu: Qemu.describe("A local VM."),
  huaweicloud: HuaweiCloud.describe("A server in Huawei Cloud, of which an image is made."),
};

export type TargetName = keyof typeof targetSettings;

/** In the order of the table. */
export const targetNames = Object.keys(targetSettings) as readonly TargetName[];

/** `targets`: each of the table, or not. */
export const Targets = z.strictObject(targetSettings).partial();
