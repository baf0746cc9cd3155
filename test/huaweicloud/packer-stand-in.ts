/** Puts a command `packer` into a folder that does what packer.mjs does; what asks nothing of the cloud ends at once. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../src/host/root.ts";

/** @returns the path of the command. */
export const layPacker = (folder: string): string => {
  const path = join(folder, "packer");
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    path,
    [
      "#!/bin/sh",
      'case "$1" in',
      'version) echo "Packer v1.11.2" ;;',
      'init) [ -z "$NO_PLUGIN" ] || { echo "Error: no release found" >&2; exit 1; } ;;',
      "validate) ;;",
      `*) exec '${process.execPath}' '${join(root, "test/huaweicloud/packer.mjs")}' "$@" ;;`,
      "esac",
      "",
    ].join("\n"),
  );
  chmodSync(path, 0o755);
  return path;
};
