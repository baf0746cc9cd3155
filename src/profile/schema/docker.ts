/** The settings of the Docker engine and of its build plugin. */
import * as z from "zod";
import { absolutePath, version } from "./text.ts";
import { cidr } from "./address.ts";

export const Docker = z.strictObject({
  version: version("27.5.1").describe("Docker static archive."),
  dataRoot: absolutePath
    .default("/mnt/docker-data/docker")
    .describe("Where Docker keeps images and volumes; on the data disk."),
  logMaxSize: z
    .string()
    .regex(/^\d+[kmg]$/, "expected a size such as 50m")
    .default("50m")
    .describe("Size at which a container's log file is rotated."),
  logMaxFiles: z.int().min(1).default(3).describe("Rotated log files kept for each container."),
  mtu: z
    .int()
    .min(576)
    .max(65_535)
    .optional()
    .describe("Bytes of the largest packet in Docker's networks, where the site's is below 1500."),
  addressPools: z
    .array(z.strictObject({ base: cidr, size: z.int().min(8).max(30).describe("Prefix length of each network.") }))
    .min(1)
    .default([{ base: "198.18.0.0/16", size: 24 }])
    .describe(
      "Where Docker's networks get their addresses, docker0 first. Docker's own default takes 172.17.0.0/16 to 172.31.0.0/16 and 192.168.0.0/16, where VPCs and caches lie; 198.18.0.0/16 is no VPC's.",
    ),
});

export const Buildx = z.strictObject({
  version: version("0.20.0").describe("buildx release; the pair of the Docker version."),
  allowUnpaired: z
    .boolean()
    .default(false)
    .describe("Take this buildx although it is not the pair of the Docker version."),
});
