import type { Architecture } from "../artifact.ts";
import type { Problem, Rule } from "../profile/rules/rule.ts";
import { targetNames } from "../profile/schema.ts";
import { ownTags } from "./huaweicloud.ts";
import { targetsOf } from "./index.ts";

const own: readonly string[] = ownTags;

/** Tags that an image may have (facts: IMS API reference, image tags). */
const mostTags = 10;

/**
 * cloud-init from 22.4 on knows Huawei Cloud on x86; these bring an older one (facts: cloud-init by version). EulerOS SP8's
 * was never seen: 17.x to 19.4 by its age, and 18.5 does not find Huawei Cloud on bare metal (canonical/cloud-init#3378).
 */
const withoutDetection: Readonly<Record<string, string>> = {
  "euleros-2.0-sp8": "17.x to 19.4",
  "openeuler-20.03": "19.4",
  "openeuler-22.03": "21.4",
};

/** Servers without a hypervisor: their firmware names a maker, not OpenStack. */
const isBareMetal = (flavor: string): boolean => flavor.startsWith("physical.");

/** Families of flavors by the processor that they have, as their names begin in Huawei Cloud's list of types. Of others nothing is said. */
const flavorFamilies: readonly (readonly [beginning: RegExp, architecture: Architecture])[] = [
  [/^(?:physical\.)?(?:k[a-z]{1,2}\d|kAi\d)/, "aarch64"],
  [/^(?:s|t|x|c|m|e|d|i|ir|h|hc|g|p|pi|ac|am|as|aC|aM|ai|Ai)\d/, "x86_64"],
];

/** What Huawei Cloud and its Packer plugin would refuse late, or take and do something else. */
export const targets: Rule = {
  code: "BK129",
  reads: ["targets"],
  find: (profile): Problem[] => {
    const { huaweicloud } = profile.targets;
    if (targetsOf(profile).length === 0) {
      return [
        {
          path: ["targets"],
          message: "targets names no target",
          label: "nowhere to bake",
          help: `add ${targetNames.map((name) => `targets.${name}`).join(", ")} or both`,
        },
      ];
    }
    if (huaweicloud === undefined) return [];
    const path = (key: string): string[] => ["targets", "huaweicloud", key];
    const { tags, architecture, system, flavor } = huaweicloud;
    const ofFlavor = flavorFamilies.find(([beginning]) => beginning.test(flavor))?.[1];
    const old = architecture === "x86_64" ? withoutDetection[system] : undefined;
    return [
      ...Object.keys(tags).flatMap((name): Problem[] =>
        own.includes(name)
          ? [
              {
                path: [...path("tags"), name],
                at: "key",
                message: `targets.huaweicloud.tags cannot set ${name}`,
                label: "bake's own",
                help: "remove it",
              },
            ]
          : [],
      ),
      ...(Object.keys(tags).length + own.length > mostTags
        ? [
            {
              path: path("tags"),
              message: `an image can have ${mostTags} tags, this one would have ${Object.keys(tags).length + own.length}`,
              label: `${own.length} of them are bake's own`,
              help: `keep ${mostTags - own.length} at most`,
            },
          ]
        : []),
      ...(ofFlavor === undefined || ofFlavor === architecture
        ? []
        : [
            {
              path: path("flavor"),
              message: `flavor ${flavor} is ${ofFlavor}, and targets.huaweicloud.architecture is ${architecture}`,
              label: ofFlavor === "aarch64" ? "k… is Kunpeng" : "an x86 flavor",
              help: `set targets.huaweicloud.architecture: ${ofFlavor}, or take another flavor`,
            },
          ]),
      ...(old === undefined
        ? []
        : [
            {
              path: path("system"),
              severity: "warning" as const,
              message: `cloud-init ${old} of ${system} may not find Huawei Cloud's metadata on x86_64`,
              label: "from 22.4 on it does",
              help: "see that /sys/class/dmi/id/product_name on such a server says OpenStack Nova, or bring a newer cloud-init into the source image",
            },
          ]),
      ...(isBareMetal(flavor)
        ? [
            {
              path: path("flavor"),
              severity: "warning" as const,
              message: `${flavor} is bare metal: its firmware need not say OpenStack, and an image of a disk may not be made of it`,
              label: "never tried with bake",
              help: "see that cloud-init of the source image finds its metadata on such a server (cloud-init status --long); a host with a stock image becomes a node without a bake: bake user-data --stock",
            },
          ]
        : []),
    ];
  },
};
