import { type Architecture, architectures } from "../artifact.ts";
import { imageReferenceOf } from "../formats/image-reference.ts";
import type { Problem, Rule } from "../profile/rules/rule.ts";
import { planTarget, targetsOf } from "./index.ts";

/** How the makers of files and images spell an architecture in their names. */
const spellings: Readonly<Record<Architecture, RegExp>> = {
  x86_64: /(?<![a-z0-9])(?:x86[_-]64|amd64)(?![a-z0-9])/i,
  aarch64: /(?<![a-z0-9])(?:aarch64|arm64)(?:v8)?(?![a-z0-9])/i,
};

/** The one architecture that a name is about; undefined when it names none, or several. Pure. */
const architectureInName = (name: string): Architecture | undefined => {
  const named = architectures.filter((architecture) => spellings[architecture].test(name));
  return named.length === 1 ? named[0] : undefined;
};

const lastOf = (path: string): string =>
  path
    .replace(/[?#].*$/, "")
    .split("/")
    .at(-1) ?? "";

/**
 * Names that say another architecture than the one that is baked for. Of a base nothing else would find out before a VM
 * stood for minutes at a firmware that finds nothing to start; of a file nothing at all. What an image is for is asked of
 * its registry, when the lock is made.
 */
export const architecture: Rule = {
  code: "BK145",
  reads: ["targets", "images", "files", "secrets.basePassword"],
  find: (profile): Problem[] => {
    const baked = [...new Set(targetsOf(profile).map((name) => planTarget("", profile, name).plan.architecture))];
    const others = (name: string): Architecture | undefined => {
      const named = architectureInName(name);
      return named === undefined || baked.length === 0 || baked.includes(named) ? undefined : named;
    };
    const { qemu } = profile.targets;
    const base = qemu === undefined ? "" : lastOf(typeof qemu.base === "string" ? qemu.base : qemu.base.file);
    const baseIsFor = architectureInName(base);
    const named = (what: "images" | "files", name: string, path: Problem["path"]): Problem[] => {
      const other = others(name);
      if (other === undefined) return [];
      return [
        {
          path,
          severity: "warning",
          message: `by its name ${name} is for ${other}, and this profile bakes for ${baked.join(" and ")}`,
          label: "another architecture",
          help:
            what === "images"
              ? "take the image for these processors, or one for several; the lock refuses one that is not made for them"
              : "take the file for these processors: nothing else looks at what is in it",
        },
      ];
    };
    return [
      ...(qemu === undefined || baseIsFor === undefined || baseIsFor === qemu.architecture
        ? []
        : [
            {
              path: ["targets", "qemu", "base", ...(typeof qemu.base === "string" ? [] : ["file"])],
              message: `the base ${base} is for ${baseIsFor}, and targets.qemu.architecture is ${qemu.architecture}`,
              label: "another architecture",
              help: `take the base for ${qemu.architecture}, or set targets.qemu.architecture: ${baseIsFor}`,
            },
          ]),
      ...profile.images.flatMap(({ image }, index) => named("images", imageReferenceOf(image).tag, ["images", index])),
      ...profile.files.flatMap((file, index) =>
        "url" in file
          ? named("files", lastOf(file.url), ["files", index, "url"])
          : named("files", lastOf(file.from), ["files", index, "from"]),
      ),
    ];
  },
};
