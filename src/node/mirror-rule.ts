import type { Rule } from "../profile/rules/rule.ts";
import type { Profile } from "../profile/schema.ts";
import { artifactMirror } from "./artifact-mirror.ts";

/** A section whose entries an image carries, or not. */
interface Carried {
  readonly section: "images" | "models" | "caches";
  /** What an entry is called, and in short. */
  readonly noun: string;
  readonly short: string;
  readonly entries: (profile: Profile) => readonly { readonly name: string; readonly from: "image" | "mirror" }[];
}

/** What no image carries comes from a mirror alone: a node asks no hub. */
export const withoutMirror = ({ section, noun, short, entries }: Carried): Rule => ({
  code: "BK152",
  reads: [section, "network", "targets"],
  find: (profile) =>
    artifactMirror(profile) !== undefined
      ? []
      : entries(profile).flatMap(({ name, from }, index) =>
          from === "image"
            ? []
            : [
                {
                  path: [section, index, "from"],
                  message: `${noun} ${name} comes from a mirror, and none is named`,
                  label: "a node has nowhere to fetch it from",
                  help: `name the mirror that \`bake fetch --to\` fills, network.artifactMirror, or leave this out: the image then carries the ${short}`,
                },
              ],
        ),
});
