import { hubOf } from "../../profile/schema.ts";
import type { Rule } from "../../profile/rules/rule.ts";
import { artifactMirror } from "../artifact-mirror.ts";

/** What no image carries comes from a mirror alone: a node asks no hub. */
export const modelWithoutMirror: Rule = {
  code: "BK152",
  reads: ["models", "network", "targets"],
  find: (profile) =>
    artifactMirror(profile) !== undefined
      ? []
      : profile.models.flatMap((model, index) =>
          model.from === "image"
            ? []
            : [
                {
                  path: ["models", index, "from"],
                  message: `model ${hubOf(model).name} comes from a mirror, and none is named`,
                  label: "a node has nowhere to fetch it from",
                  help: "name the mirror that `bake fetch --to` fills, network.artifactMirror, or leave this out: the image then carries the model",
                },
              ],
        ),
};
