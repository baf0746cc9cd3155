import type { Rule } from "../../profile/rules/rule.ts";

/** A lock names a build cache by its name alone. */
export const cacheListedTwice: Rule = {
  code: "BK113",
  reads: ["caches"],
  find: ({ caches }) =>
    caches.flatMap(({ name }, index) => {
      const first = caches.findIndex((other) => other.name === name);
      return first === index
        ? []
        : [
            {
              path: ["caches", index, "name"],
              message: `build cache ${name} is listed twice`,
              label: `so it is in caches[${first}]`,
              help: "give each a name of its own: agents get all of them as one",
            },
          ];
    }),
};
