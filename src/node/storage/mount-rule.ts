import type { Rule } from "../../profile/rules/rule.ts";

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

/** Where CI's script has its caches, whatever the profile says (guide rows G27, G28; run-npu-test.sh). */
const ofTheScript = "/mnt";

/** A data disk is no place of the system's, and CI's caches are to lie on it. */
export const mountRule: Rule = {
  code: "BK122",
  reads: ["storage.mount"],
  find: ({ storage }) => {
    const folder = system.find((each) => storage.mount === each || storage.mount.startsWith(`${each}/`));
    if (folder === undefined) {
      return storage.mount === ofTheScript
        ? []
        : [
            {
              path: ["storage", "mount"],
              severity: "warning",
              message: `vLLM's CI script keeps its caches below ${ofTheScript}, not ${storage.mount}`,
              label: "they would fill the system disk",
              help: `mount the data disk at ${ofTheScript}, unless your CI was told otherwise`,
            },
          ];
    }
    return [
      {
        path: ["storage", "mount"],
        message: `storage.mount cannot be ${storage.mount}`,
        label: storage.mount === folder ? "a folder of the system" : `below ${folder}, a folder of the system`,
        help: "mount the data disk at /mnt",
      },
    ];
  },
};
