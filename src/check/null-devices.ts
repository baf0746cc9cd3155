/** A VM has no NPUs: null devices under their names, so that jobs get what they ask for. */
import { shellWord } from "../formats/shell.ts";
import type { Ssh } from "../vm/ssh.ts";

/** Makes the devices that are not there, and prints their names. Pure. @param devices Absolute paths. */
export const createCommand = (devices: readonly string[]): string =>
  `for device in ${devices.map(shellWord).join(" ")}; do [ -e "$device" ] || { mknod "$device" c 1 3 && printf '%s\\n' "$device"; }; done`;

/**
 * Makes those of the devices that are not there.
 * @param devices Absolute paths; each may stand there more than once.
 * @returns what removes them again, and leaves those that were there.
 */
export const createNullDevices = async (ssh: Ssh, devices: readonly string[]): Promise<() => Promise<void>> => {
  const { stdout } = await ssh(createCommand([...new Set(devices)]));
  const created = stdout
    .trim()
    .split("\n")
    .filter((device) => device !== "");
  return async () => {
    if (created.length > 0) await ssh(`rm -f ${created.map(shellWord).join(" ")}`);
  };
};
