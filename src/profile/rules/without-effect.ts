import { fleetUuid, seedDefaults } from "../schema/storage.ts";
import type { Problem, Rule } from "./rule.ts";

/** A setting that another one makes void: whoever wrote it believes in something that does not happen. */
export const withoutEffect: Rule = {
  code: "BK151",
  reads: [
    "storage.disk",
    "storage.uuid",
    "storage.filesystem",
    "storage.seed",
    "network.metadata",
    "files",
    "pins",
    "secrets.basePassword",
    "targets",
  ],
  find: ({
    storage: { disk, uuid, filesystem, seed },
    network: { metadata },
    files,
    pins,
    secrets,
    targets,
  }): Problem[] => [
    ...(secrets.basePassword !== undefined && targets.qemu === undefined
      ? [
          {
            path: ["secrets", "basePassword"],
            message: "secrets.basePassword has no effect without targets.qemu",
            label: "it is for the base of a local bake",
            help: "remove it: an image of the cloud brings cloud-init",
          },
        ]
      : []),
    ...(uuid !== fleetUuid && "adopt" in disk
      ? [
          {
            path: ["storage", "uuid"],
            message: "storage.uuid has no effect beside storage.disk.adopt",
            label: `${disk.adopt} is mounted as it is`,
            help: "remove it: it is for a file system that the node makes",
          },
        ]
      : []),
    ...("adopt" in disk || filesystem === "xfs"
      ? (["level", "window"] as const)
          .filter((key) => seed[key] !== seedDefaults[key])
          .map(
            (key): Problem => ({
              path: ["storage", "seed", key],
              message: `storage.seed.${key} has no effect ${"adopt" in disk ? "beside storage.disk.adopt" : "with xfs"}`,
              label: "the image carries no seed then: images are loaded at the first boot",
              help: "remove it, or let bake make an ext4 on a blank disk",
            }),
          )
      : []),
    ...(!metadata.closed && metadata.exceptUsers.length > 0
      ? [
          {
            path: ["network", "metadata", "exceptUsers"],
            message: "network.metadata.exceptUsers has no effect while network.metadata.closed is false",
            label: "everybody reaches the metadata service",
            help: "remove it, or closed: false",
          },
        ]
      : []),
    ...Object.entries(pins).flatMap(([name, pin]): Problem[] =>
      Object.values(pin).some((value) => value !== undefined)
        ? []
        : [
            {
              path: ["pins", name],
              at: "key",
              message: `the pin ${name} says nothing`,
              label: "it holds no version: the version stands where it is asked for",
              help: "give it a reason, a day to look again (reviewAt), or what it follows",
            },
          ],
    ),
    ...files.flatMap((file, index): Problem[] =>
      !("url" in file) || file.sha256 === undefined || file.checksums === undefined
        ? []
        : [
            {
              path: ["files", index, "checksums"],
              message: `files[${index}].checksums has no effect beside its sha256`,
              label: "sha256 says already which bytes they are",
              help: "keep one of the two",
            },
          ],
    ),
  ],
};
