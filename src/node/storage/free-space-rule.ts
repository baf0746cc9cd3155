import type { Rule } from "../../profile/rules/rule.ts";

/** With less than `minFree` a node takes no jobs: a disk that is just large enough would never do. */
export const freeSpace: Rule = {
  code: "BK127",
  reads: ["storage.disk", "storage.minFree", "storage.minSize"],
  find: ({ storage }) =>
    // An adopted disk is taken whatever its size.
    "adopt" in storage.disk || storage.minFree < storage.minSize
      ? []
      : [
          {
            path: ["storage", "minFree"],
            orAt: ["storage", "minSize"],
            message: `storage.minFree (${storage.minFree} GiB) is not below storage.minSize (${storage.minSize} GiB)`,
            label: "the smallest disk would never take jobs",
            help: "lower storage.minFree, or raise storage.minSize",
          },
        ],
};
