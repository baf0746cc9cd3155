import type { Rule } from "./rule.ts";

/** Folders of the system: a disk over one of them, or within most, would hide what the node needs. */
const system = [
  "/bin",
  "/boot",
  "/dev",
  "/etc",
  "/lib",
  "/lib64",
  "/opt",
  "/proc",
  "/root",
  "/run",
  "/sbin",
  "/sys",
  "/tmp",
  "/usr",
  "/var",
];

/** A data disk is no place of the system's. */
export const mount: Rule = {
  code: "BK122",
  reads: ["storage.mount"],
  find: ({ storage }) => {
    const folder = system.find((each) => storage.mount === each || storage.mount.startsWith(`${each}/`));
    return folder === undefined
      ? []
      : [
          {
            path: ["storage", "mount"],
            message: `storage.mount cannot be ${storage.mount}`,
            label: storage.mount === folder ? "a folder of the system" : `below ${folder}, a folder of the system`,
            help: "mount the data disk at /mnt, or at a folder of its own such as /data",
          },
        ];
  },
};
