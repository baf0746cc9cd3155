import { hubOf } from "../../profile/schema.ts";
import type { Rule } from "../../profile/rules/rule.ts";

/** A lock names a model by its name alone, whatever hub or revision it is of. */
export const modelListedTwice: Rule = {
  code: "BK113",
  reads: ["models"],
  find: ({ models }) => {
    const named = models.map(hubOf);
    return named.flatMap(({ hub, name }, index) => {
      const first = named.findIndex((other) => other.name === name);
      return first === index
        ? []
        : [
            {
              path: ["models", index, hub],
              message: `model ${name} is listed twice`,
              label: `so it is in models[${first}]`,
              help: "one hub and one revision of a model: remove one of the two",
            },
          ];
    });
  },
};
