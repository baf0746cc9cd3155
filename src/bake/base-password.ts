/** The password of root on a base without cloud-init: by it Packer gets in once. */
import { readFile } from "node:fs/promises";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { documentedPassword } from "../profile/known-bases.ts";
import type { Profile } from "../profile/schema.ts";
import { readSecret } from "../profile/secret-values.ts";

/**
 * `secrets.basePassword`, else the one that the makers of a known base document.
 * @returns undefined for a base that lets the build's key in.
 * @throws BakeError BK414 when it is not on this machine, or cannot be one.
 */
export const basePassword = async (
  { targets: { qemu }, secrets }: Profile,
  environment: Host["env"],
): Promise<string | undefined> => {
  if (qemu === undefined) return undefined;
  if (secrets.basePassword === undefined) return documentedPassword(qemu.base);
  const read = await readSecret("basePassword", secrets.basePassword, {
    environment,
    readFile: async (path) => ({ text: await readFile(path, "utf8"), mode: 0o600 }),
  });
  if (read.value !== undefined) return read.value;
  throw new BakeError(
    "BK414",
    `the base cannot be entered: ${read.problem ?? "it has no password"}`,
    "Say where the password of root on targets.qemu.base is: secrets.basePassword: { file: PATH } or { env: NAME }.\nA base with cloud-init needs none: remove it. docs/bases.md",
  );
};
