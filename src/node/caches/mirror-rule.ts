import type { Rule } from "../../profile/rules/rule.ts";
import { artifactMirror } from "../artifact-mirror.ts";

/** What no image carries comes from a mirror alone. */
export const cacheWithoutMirror: Rule = {
  code: "BK152",
  reads: ["caches", "network", "targets"],
  find: (profile) =>
    artifactMirror(profile) !== undefined
      ? []
      : profile.caches.flatMap(({ name, from }, index) =>
          from === "image"
            ? []
            : [
                {
                  path: ["caches", index, "from"],
                  message: `build cache ${name} comes from a mirror, and none is named`,
                  label: "a node has nowhere to fetch it from",
                  help: "name the mirror that `bake fetch --to` fills, network.artifactMirror, or leave this out: the image then carries the cache",
                },
              ],
        ),
};
