import { knownBases } from "../known-bases.ts";
import { closest } from "../suggest.ts";
import type { Problem, Rule } from "./rule.ts";

/** A base by a name that nobody knows would only fail when the lock is made. */
export const baseName: Rule = {
  code: "BK150",
  reads: ["targets"],
  find: ({ targets: { qemu } }): Problem[] => {
    if (qemu === undefined || typeof qemu.base !== "string" || knownBases.includes(qemu.base)) return [];
    const isFile = /[/\\]|\.(?:qcow2|img|raw|xz)$/i.test(qemu.base);
    const meant = closest(qemu.base, knownBases);
    return [
      {
        path: ["targets", "qemu", "base"],
        message: `${qemu.base} is no base that bake knows`,
        label: isFile
          ? "a file is named as one"
          : meant === undefined
            ? "not one of its names"
            : `did you mean ${meant}?`,
        help: isFile
          ? `write base: { file: ${qemu.base} }`
          : `known are ${knownBases.join(", ")}; or name a qcow2 file of this machine: base: { file: … }`,
      },
    ];
  },
};
