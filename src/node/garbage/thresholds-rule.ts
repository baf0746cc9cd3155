import type { Rule } from "../../profile/rules/rule.ts";

/** What is collected from one limit on ends below another one. */
export const garbageThresholds: Rule = {
  code: "BK146",
  reads: ["storage.garbageCollection.highThresholdPercent", "storage.garbageCollection.lowThresholdPercent"],
  find: ({ storage: { garbageCollection } }) => {
    const { highThresholdPercent: high, lowThresholdPercent: low } = garbageCollection;
    return low < high
      ? []
      : [
          {
            path: ["storage", "garbageCollection", "lowThresholdPercent"],
            orAt: ["storage", "garbageCollection", "highThresholdPercent"],
            message: `storage.garbageCollection.lowThresholdPercent (${low}) is not below highThresholdPercent (${high})`,
            label: "collecting would end where it begins",
            help: "leave some percent between the two, such as 85 and 80: each run then makes room for a while",
          },
        ];
  },
};
