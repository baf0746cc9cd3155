import type { Problem, Rule } from "../profile/rules/rule.ts";
import type { Profile } from "../profile/schema.ts";
import { artifactMirror } from "./artifact-mirror.ts";
import { storageFacts } from "./storage/facts.ts";

/** A section whose entries an image carries, or not. */
interface Carried {
  readonly section: "images" | "models" | "caches";
  /** What an entry is called, and in short. */
  readonly noun: string;
  readonly short: string;
  /** Carried by the seed alone: with an adopted disk or XFS no image has it. */
  readonly inSeed: boolean;
  readonly entries: (profile: Profile) => readonly { readonly name: string; readonly from: "image" | "mirror" }[];
}

/** What no image carries comes from a mirror alone: a node asks no hub. */
export const withoutMirror = ({ section, noun, short, inSeed, entries }: Carried): Rule => ({
  code: "BK152",
  reads: [section, "network", "storage", "targets"],
  find: (profile) => {
    if (artifactMirror(profile) !== undefined) return [];
    const { disk } = profile.storage;
    const hasNoSeed = inSeed && storageFacts(profile).seed === undefined;
    return entries(profile).flatMap(({ name, from }, index): Problem[] => {
      if (from === "mirror") {
        return [
          {
            path: [section, index, "from"],
            message: `${noun} ${name} comes from a mirror, and none is named`,
            label: "a node has nowhere to fetch it from",
            help: `name the mirror that \`bake fetch --to\` fills, network.artifactMirror, or leave this out: the image then carries the ${short}`,
          },
        ];
      }
      // A host with a stock image asks the mirror that it was made from: no error.
      return hasNoSeed
        ? [
            {
              path: [section, index],
              severity: "warning",
              message: `no image carries ${noun} ${name}: ${"adopt" in disk ? "an adopted disk" : "a disk with XFS"} gets no seed, and no mirror is named`,
              label: "a node from a golden image has nowhere to fetch it from",
              help: "name the mirror that `bake fetch --to` fills, network.artifactMirror; a stock image asks the one that its user-data names",
            },
          ]
        : [];
    });
  },
});
