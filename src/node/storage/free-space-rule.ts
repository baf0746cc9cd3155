import type { Profile } from "../../profile/schema.ts";
import type { Rule } from "../../profile/rules/rule.ts";

/** GiB that the smallest disk needs for the caches of all builders and for what must be free beside them. */
const needed = ({ agents, builders, storage }: Profile): number =>
  agents.spawn * (builders.maxCacheSize ?? 0) + storage.minFree;

/** With less than `minFree` a node takes no jobs: a disk that is just large enough would never do, or no more once its caches are full. */
export const freeSpace: Rule = {
  code: "BK127",
  reads: ["storage.disk", "storage.minFree", "storage.minSize", "builders.maxCacheSize", "agents.spawn"],
  find: (profile) => {
    const { agents, builders, storage } = profile;
    // An adopted disk is taken whatever its size.
    if ("adopt" in storage.disk) return [];
    if (storage.minFree >= storage.minSize) {
      return [
        {
          path: ["storage", "minFree"],
          orAt: ["storage", "minSize"],
          message: `storage.minFree (${storage.minFree} GiB) is not below storage.minSize (${storage.minSize} GiB)`,
          label: "the smallest disk would never take jobs",
          help: "lower storage.minFree, or raise storage.minSize",
        },
      ];
    }
    if (builders.maxCacheSize === undefined || needed(profile) < storage.minSize) return [];
    return [
      {
        path: ["builders", "maxCacheSize"],
        orAt: ["storage", "minSize"],
        message: `the caches of ${agents.spawn} builders (${agents.spawn} x ${builders.maxCacheSize} GiB) and storage.minFree (${storage.minFree} GiB) do not fit into storage.minSize (${storage.minSize} GiB)`,
        label: "the smallest disk would run full, and images have no room",
        help: `raise storage.minSize above ${needed(profile)}, or leave this out: the builders then share 60 % of the disk`,
      },
    ];
  },
};
