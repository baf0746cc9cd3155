/** The settings of the data disk. */
import * as z from "zod";
import { absolutePath } from "./text.ts";

/** Of every data disk, unless a profile says otherwise. */
export const fleetUuid = "7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001";

/** How the seed is packed, unless a profile says otherwise. */
export const seedDefaults = { level: 3, window: 8 } as const;

export const Storage = z.strictObject({
  disk: z
    .union([
      z.strictObject({
        blank: z
          .enum(["nvme", "any"])
          .describe("Take the one disk without any signature: among NVMe disks, or among all."),
        pick: z
          .enum(["only", "first", "largest"])
          .default("only")
          .describe(
            "When several are blank: only refuses, first takes the lowest in the order of their slots, largest the largest.",
          ),
      }),
      z.strictObject({
        adopt: z
          .string()
          .regex(
            /^(?:UUID=[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|LABEL=[A-Za-z0-9._-]{1,16})$/,
            "expected LABEL=… or UUID=… of a file system that exists, as blkid writes it: small letters, whole",
          )
          .meta({ examples: ["UUID=85805e4a-2b1f-4ba6-9d5e-0f6b7bd92a4e"] })
          .describe("Mount a file system that exists already; it is never formatted."),
      }),
    ])
    .describe("Which disk holds the data."),
  filesystem: z
    .enum(["ext4", "xfs"])
    .default("ext4")
    .describe("File system made on a blank disk, or found on an adopted one."),
  minSize: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(100)
    .describe("GiB below which a blank disk is not taken for the data disk."),
  minFree: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(10)
    .describe("GiB that must be free on the data disk; with less the node takes no jobs."),
  systemMinFree: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(2)
    .describe(
      "GiB that must be free on the system disk, which holds the checkouts of all jobs; with less the node takes no jobs.",
    ),
  seed: z
    .strictObject({
      level: z
        .int()
        .min(1)
        .max(19)
        .default(seedDefaults.level)
        .describe(
          "Of zstd: a higher one makes a smaller image that bakes longer; first boots read less of the system disk.",
        ),
      window: z
        .int()
        .min(8)
        .max(128)
        .refine((mib) => Number.isInteger(Math.log2(mib)), "expected 8, 16, 32, 64 or 128")
        .default(seedDefaults.window)
        .describe(
          "8, 16, 32, 64 or 128 MiB that zstd looks back, and that each range takes of a node's memory: a larger one makes a smaller image, and fewer ranges are unpacked at a time.",
        ),
    })
    .prefault({})
    .describe("The file system of a blank disk, with images, models and build caches in it, that the image carries."),
  removeOtherModels: z
    .boolean()
    .default(false)
    .describe(
      "Models on the data disk that the lock no longer names are removed once nothing uses them; they are only reported otherwise.",
    ),
  removeOtherImages: z
    .boolean()
    .default(false)
    .describe(
      "Images that bake brought and the lock no longer names are removed once no container uses them; they are only reported otherwise.",
    ),
  garbageCollection: z
    .strictObject({
      highThresholdPercent: z
        .int()
        .min(1)
        .max(100)
        .default(85)
        .describe(
          "Of the data disk, bytes or inodes: from this on garbage is collected. It is also collected shortly before storage.minFree would keep jobs off the node.",
        ),
      lowThresholdPercent: z
        .int()
        .min(0)
        .max(99)
        .default(80)
        .describe("Of the data disk: garbage is collected until less than this is used."),
      minimumAge: z
        .int()
        .min(1)
        .max(8760)
        .default(2)
        .describe("Hours that an image, a blob or a build step stays after it came or was last used."),
      interval: z.int().min(1).max(1440).default(5).describe("Minutes between two looks at how full the data disk is."),
    })
    .prefault({})
    .describe(
      "When images that no container uses, and build caches, are removed from the data disk. What the lock names always stays.",
    ),
  mount: absolutePath.default("/mnt").describe("Where the data disk is mounted."),
  uuid: z
    .uuid("expected a UUID of small letters and digits such as 7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001")
    // As blkid writes it, which compares letter by letter.
    .regex(/^[^A-F]*$/, "expected a UUID of small letters and digits such as 7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001")
    .default(fleetUuid)
    .describe("UUID of the file system: one for the whole fleet, so that a disk stays ours across profiles and bakes."),
});
