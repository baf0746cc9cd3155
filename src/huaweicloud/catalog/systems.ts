/** What the image service calls an image's system: it prepares servers by it, and takes only names of its own list. */
import * as z from "zod";
import { BakeError } from "../../errors.ts";
import type { Cloud } from "../client.ts";

const Systems = z.array(
  z.object({ platform: z.string().nullish(), version_list: z.array(z.object({ os_version: z.string() })).default([]) }),
);

/** By what a profile's `system`, or its base, is called. */
const systems: readonly (readonly [name: RegExp, system: string])[] = [
  [/^euleros-2\.0-sp8/, "EulerOS 2.8 64bit"],
  [/^openeuler-20\.03/, "openEuler 20.03 64bit"],
  [/^openeuler-22\.03/, "openEuler 22.03 64bit"],
  [/^openeuler-24\.03/, "openEuler 24.03 64bit"],
];

/** The service's name for the first of these that has one. Pure. */
export const systemFor = (names: readonly (string | undefined)[]): string | undefined =>
  names.flatMap((name) => systems.find(([pattern]) => pattern.test(name ?? ""))?.[1] ?? [])[0];

/**
 * @param wanted Undefined where nobody knows.
 * @returns it, as the region lists it.
 * @throws BakeError BK438 with those of the region that are like it; CloudError.
 */
export const requireSystem = async (cloud: Cloud, wanted: string | undefined): Promise<string> => {
  const listed = (await cloud.call("listSystems", { answer: Systems })).flatMap(({ version_list: versions }) =>
    versions.map(({ os_version: name }) => name),
  );
  const found = listed.find((name) => name.toLowerCase() === wanted?.toLowerCase());
  if (found !== undefined) return found;
  const family = listed.filter((name) => /euler/i.test(name));
  throw new BakeError(
    "BK438",
    wanted === undefined
      ? "nobody says which system the image has"
      : `${cloud.region} takes no image of the system ${JSON.stringify(wanted)}`,
    `Name one of its list by --os-version: ${family.length === 0 ? listed.slice(0, 20).join(", ") : family.join(", ")}.`,
  );
};
