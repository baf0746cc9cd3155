/** What a preflight says of the source image, of the name that a bake gives, and of what earlier ones left. Pure. */
import type { HuaweiCloudTarget } from "../../node/target.ts";
import { judged, type Line, ofSeen } from "./line.ts";
import type { Look, SeenImage } from "./look.ts";

/** `architecture` where the service says it, else the older mark of Arm images. */
const architectureOf = ({ architecture, __support_arm: arm }: SeenImage): "aarch64" | "x86_64" =>
  architecture === "arm" || arm === "true" ? "aarch64" : "x86_64";

const judgeImage = (image: SeenImage | undefined, target: HuaweiCloudTarget): Line[] => {
  if (image === undefined) {
    return [
      {
        id: "image",
        title: "source image",
        outcome: "wrong",
        detail: `there is no image ${target.sourceImage} in ${target.region} that this project sees`,
        help: "IDs of public images differ by region: look it up in the console, or accept the share of a private one.",
      },
    ];
  }
  const architecture = architectureOf(image);
  const environment = image.virtual_env_type ?? "FusionCompute";
  const firmware = image.hw_firmware_type ?? (architecture === "aarch64" ? "uefi" : "bios");
  return [
    judged(
      "image",
      "source image",
      `${image.name} (${image["__os_version"] ?? "system not said"}) is ${image.status}`,
      image.status !== "active" && { help: "Only an active image makes a server: wait for it, or take another one." },
    ),
    judged(
      "image-kind",
      "kind of the source image",
      `${environment}, ${image["__os_type"] ?? "system not said"}`,
      (environment !== "FusionCompute" || (image["__os_type"] ?? "Linux") !== "Linux") && {
        help: "An image of a disk, of bare metal or of another system makes no server that bake knows: take one of an ECS with Linux.",
      },
    ),
    judged(
      "image-architecture",
      "architecture of the source image",
      architecture,
      architecture !== target.architecture && {
        detail: `the image is ${architecture}, the profile says ${target.architecture}`,
        help: "Change targets.huaweicloud.sourceImage or targets.huaweicloud.architecture.",
      },
    ),
    judged(
      "image-disk",
      "system disk",
      `${target.diskSize} GiB, the image needs ${image.min_disk}`,
      (target.diskSize < image.min_disk || target.diskSize > 1024) && {
        help: `Set targets.huaweicloud.diskSize to ${Math.max(image.min_disk, 40)} or more.`,
      },
    ),
    judged(
      "image-boot",
      "boot mode of the source image",
      firmware,
      architecture === "aarch64" &&
        firmware !== "uefi" && {
          help: "Arm servers start by UEFI alone: set the image's boot mode to UEFI in the console, or take another one.",
        },
    ),
  ];
};

/** The image's name, and what earlier bakes may have left. */
const judgeNames = ({ named, servers }: Look, target: HuaweiCloudTarget): Line[] => [
  ...ofSeen("image-name", "name of the image", named, (images) => [
    {
      id: "image-name",
      title: "name of the image",
      outcome: "ok" as const,
      detail:
        images.length === 0
          ? `${target.imageName} is free`
          : `${images.length} of this name already: images may share one, their IDs and tags tell them apart`,
    },
  ]),
  ...ofSeen("leftovers", "servers of earlier bakes", servers, (found) => [
    judged(
      "leftovers",
      "servers of earlier bakes",
      "none",
      found.length > 0 && {
        detail: found
          .map(
            ({ id, name, status, key_name: key }) =>
              `${name} (${status}, ${id}${(key ?? "") === "" ? "" : `, key pair ${key}`})`,
          )
          .join(", "),
        help: "A bake of this profile runs, or one was cut off and left them, and they cost money: bake catalog leftovers\nshows each with its disk, its public address and its key pair, and with --yes removes those that are some hours old;\nunless a bake of the profile runs, --older-than 0 removes them at once.",
      },
    ),
  ]),
];

/** All lines about images. */
export const imageLines = (seen: Look, target: HuaweiCloudTarget): Line[] => [
  ...ofSeen("image", "source image", seen.image, (image) => judgeImage(image, target)),
  ...judgeNames(seen, target),
];
