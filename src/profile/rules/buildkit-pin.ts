import { imageReferenceOf } from "../../formats/image-reference.ts";
import { type Profile, type TargetName, targetNames } from "../schema.ts";
import type { Problem, Rule } from "./rule.ts";

/** Kernels of bases by their names (facts: openEuler releases); of others the kernel is not known here. */
const newKernels = /^openeuler-(22|24)\./;

/** BuildKit releases that carry runc 1.3.6 or 1.4.3, with which every RUN fails on some older kernels, 5.4 among them. */
const brokenOnOldKernels = /^v0\.3[12]\./;

type Settings = Profile["targets"];

/** What each target says of the system that it bakes from; nothing where the name does not tell. */
const systemOf: { readonly [Name in TargetName]: (settings: NonNullable<Settings[Name]>) => string } = {
  qemu: ({ base }) => (typeof base === "string" ? base : ""),
  huaweicloud: ({ system }) => system,
};

const baseNames = (settings: Settings): string[] =>
  targetNames.flatMap((name) => {
    const found = settings[name];
    // Settings go with the function of their own target.
    return found === undefined ? [] : [systemOf[name](found as never)];
  });

/** The tag that buildx takes by itself has broken hosts overnight (guide row G24, S6). */
export const buildkitPin: Rule = {
  code: "BK121",
  reads: ["builders.image", "targets"],
  find: ({ builders: { image }, targets }): Problem[] => {
    const path = ["builders", "image"];
    const { repository, tag } = imageReferenceOf(image);
    if (/^(latest|master|main|nightly|rootless|buildx-stable-\d+(-rootless)?)$/.test(tag)) {
      return [
        {
          path,
          message: `the tag ${tag} of builders.image moves`,
          label: "another BuildKit on another day",
          help: "name a release: moby/buildkit:v0.19.0 with Docker 27.5.1, moby/buildkit:v0.13.2 with Docker 26.1.3",
        },
      ];
    }
    const bases = baseNames(targets);
    const newKernel = bases.length > 0 && bases.every((base) => newKernels.test(base));
    return /(^|\/)moby\/buildkit$/.test(repository) && brokenOnOldKernels.test(tag) && !newKernel
      ? [
          {
            path,
            severity: "warning",
            message: `BuildKit ${tag} cannot run anything on some older kernels`,
            label: "its runc fails on Linux 5.4, perhaps on the base's kernel",
            help: "take v0.30 or older, or try it on the base first",
          },
        ]
      : [];
  },
};
