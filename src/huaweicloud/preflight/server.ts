/** What a preflight says of the flavor, its zones, and quotas. Pure. */
import type * as z from "zod";
import type { HuaweiCloudTarget } from "../../node/target.ts";
import { judged, type Line, ofSeen } from "./line.ts";
import type { Look, SeenFlavor, Zones } from "./look.ts";

/** States in which a flavor is sold (facts: ECS API reference, flavors). */
const sold = ["normal", "obt", "promotion"];

/** How a flavor is sold in a zone: zones that differ are listed, `cn-north-4a(sellout), cn-north-4b(normal)`. */
export const saleIn = ({ os_extra_specs: specs }: Pick<SeenFlavor, "os_extra_specs">, zone: string): string => {
  const listed = new Map(
    [...(specs["cond:operation:az"] ?? "").matchAll(/([A-Za-z0-9_-]+)\s*\((\w+)\)/g)].map(
      ([, name = "", state = ""]) => [name, state] as const,
    ),
  );
  return listed.get(zone) ?? specs["cond:operation:status"] ?? "normal";
};

const setZone = (zones: readonly string[]): string =>
  `Set targets.huaweicloud.availabilityZone: ${zones.join(" or ")}.`;

const sellingZones = (flavor: SeenFlavor, open: readonly string[]): string[] =>
  open.filter((zone) => sold.includes(saleIn(flavor, zone)));

const openZones = (zones: z.infer<typeof Zones>["availabilityZoneInfo"]): string[] =>
  zones.filter(({ zoneState }) => zoneState.available).map(({ zoneName }) => zoneName);

/**
 * The zone that a bake takes: the profile's, else the first that sells the flavor, one that sells it as usual before one that
 * is on trial. Packer's plugin would draw one at random, sold there or not.
 * @returns undefined where it is not known.
 */
export const zoneOf = ({ flavor, zones }: Look, { availabilityZone }: HuaweiCloudTarget): string | undefined => {
  if (availabilityZone !== undefined) return availabilityZone;
  if (!("value" in flavor) || !("value" in zones) || flavor.value === undefined) return undefined;
  const found = flavor.value;
  const selling = sellingZones(found, openZones(zones.value)).toSorted();
  return selling.find((zone) => saleIn(found, zone) === "normal") ?? selling[0];
};

const judgeZones = (
  flavor: SeenFlavor,
  open: readonly string[],
  target: HuaweiCloudTarget,
  taken: string | undefined,
): Line => {
  const [id, title] = ["zone", "zone of the server"];
  const selling = sellingZones(flavor, open);
  const states = open.map((zone) => `${zone} ${saleIn(flavor, zone)}`).join(", ");
  const { availabilityZone: asked } = target;
  if (selling.length === 0) {
    return {
      id,
      title,
      outcome: "wrong",
      detail: `${flavor.id} is sold in no zone of ${target.region}: ${states}`,
      help: "Take another flavor: targets.huaweicloud.flavor.",
    };
  }
  if (asked !== undefined) {
    return judged(
      id,
      title,
      `${asked} sells ${flavor.id}`,
      !selling.includes(asked) && {
        detail: `${asked} ${open.includes(asked) ? `does not sell ${flavor.id}` : `is no zone that is open in ${target.region}`}: ${states}`,
        help: setZone(selling),
      },
    );
  }
  return { id, title, outcome: "ok", detail: `${taken ?? ""} is taken, of those that sell ${flavor.id}: ${states}` };
};

const judgeFlavor = (flavor: SeenFlavor | undefined, seen: Look, target: HuaweiCloudTarget): Line[] => {
  if (flavor === undefined) {
    return [
      {
        id: "flavor",
        title: "flavor",
        outcome: "wrong",
        detail: `${target.region} has no flavor ${target.flavor}`,
        help: "The console lists those of the region: set targets.huaweicloud.flavor.",
      },
    ];
  }
  const said = flavor.os_extra_specs["ecs:instance_architecture"];
  const architecture = said === undefined ? undefined : /arm|aarch64/i.test(said) ? "aarch64" : "x86_64";
  return [
    judged(
      "flavor",
      "flavor",
      `${flavor.id}: ${flavor.vcpus} vCPUs, ${Math.round(flavor.ram / 1024)} GiB, ${architecture ?? "architecture not said"}`,
      architecture !== undefined &&
        architecture !== target.architecture && {
          detail: `${flavor.id} is ${architecture}, the profile says ${target.architecture}`,
          help: "Change targets.huaweicloud.flavor or targets.huaweicloud.architecture.",
        },
    ),
    ...ofSeen("zone", "zone of the server", seen.zones, (all) => [
      judgeZones(flavor, openZones(all), target, zoneOf(seen, target)),
    ]),
  ];
};

interface Use {
  readonly what: string;
  readonly used: number;
  /** -1: as many as one likes. */
  readonly most: number;
  readonly needed: number;
}

const judgeQuota = (id: string, title: string, uses: readonly Use[]): Line => {
  const short = uses.filter(({ used, most, needed }) => most >= 0 && used + needed > most);
  const say = ({ what, used, most }: Use): string => `${what} ${used} of ${most < 0 ? "any number" : most}`;
  return judged(
    id,
    title,
    uses.map(say).join(", "),
    short.length > 0 && {
      detail: short.map((use) => `${say(use)} in use, ${use.needed} more needed`).join("; "),
      help: "Remove what is not needed, or ask for more in the console (My Quotas).",
    },
  );
};

const quotaLines = (seen: Look, target: HuaweiCloudTarget): Line[] => {
  const flavor = "value" in seen.flavor ? seen.flavor.value : undefined;
  const disks = [target.diskSize, ...target.dataDisks.map(({ size }) => size)];
  const sum = disks.reduce((all, size) => all + size, 0);
  const one = (id: string, title: string, what: string, found: { used: number; quota: number } | undefined): Line[] =>
    found === undefined
      ? [{ id, title, outcome: "not checked", detail: "the service says nothing of it" }]
      : [judgeQuota(id, title, [{ what, used: found.used, most: found.quota, needed: 1 }])];
  return [
    ...ofSeen("quota-servers", "quota of servers", seen.limits, (limits) => [
      judgeQuota("quota-servers", "quota of servers", [
        { what: "servers", used: limits.totalInstancesUsed, most: limits.maxTotalInstances, needed: 1 },
        { what: "vCPUs", used: limits.totalCoresUsed, most: limits.maxTotalCores, needed: flavor?.vcpus ?? 1 },
        { what: "MiB", used: limits.totalRAMUsed, most: limits.maxTotalRAMSize, needed: flavor?.ram ?? 1024 },
      ]),
    ]),
    ...ofSeen("quota-disks", "quota of disks", seen.disks, ({ volumes, gigabytes }) => [
      judgeQuota("quota-disks", "quota of disks", [
        { what: "disks", used: volumes.in_use + volumes.reserved, most: volumes.limit, needed: disks.length },
        { what: "GiB", used: gigabytes.in_use + gigabytes.reserved, most: gigabytes.limit, needed: sum },
      ]),
    ]),
    ...ofSeen("quota-images", "quota of images", seen.imageQuota, (found) =>
      one("quota-images", "quota of images", "private images", found),
    ),
    ...(seen.addresses === undefined
      ? []
      : ofSeen("quota-addresses", "quota of public addresses", seen.addresses, (found) =>
          one("quota-addresses", "quota of public addresses", "public addresses", found),
        )),
  ];
};

/** All lines about the server that builds. */
export const serverLines = (seen: Look, target: HuaweiCloudTarget): Line[] => [
  ...ofSeen("flavor", "flavor", seen.flavor, (flavor) => judgeFlavor(flavor, seen, target)),
  ...quotaLines(seen, target),
];
