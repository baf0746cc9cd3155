/**
 * Programs of another architecture on this host, for as long as a base is bootstrapped: its packages' scripts are run.
 * The kernel hands them to QEMU's user emulation by a registration of this run's own, which is taken back at the end.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Architecture } from "../artifact.ts";
import type { Host } from "../host/host.ts";
import { currentProcess } from "../host/process-identity.ts";
import { localMachines } from "../targets/local-machine.ts";

/** An ELF header up to the machine it is for, two hex digits a byte; 18 bytes of it decide. */
const elfHeader = (machine: number): string => {
  const little = [machine & 0xff, machine >> 8];
  return [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, ...little].map(escaped).join("");
};

const escaped = (byte: number): string => `\\x${byte.toString(16).padStart(2, "0")}`;

/** Whatever the ABI's version; and executables of both kinds, fixed and movable. */
const mask = [
  ...Array.from({ length: 7 }, () => 0xff),
  0,
  ...Array.from({ length: 8 }, () => 0xff),
  0xfe,
  0xff,
  0xff,
  0xff,
]
  .map(escaped)
  .join("");

/** EM_X86_64, EM_AARCH64. */
const elfMachine: Readonly<Record<Architecture, number>> = { x86_64: 62, aarch64: 183 };

/**
 * A line for binfmt_misc (Linux, admin-guide/binfmt-misc.rst). Pure.
 * F: the interpreter is opened now, so that a chroot needs none. C: as the user that a set-uid program is for.
 */
export const registration = (name: string, architecture: Architecture, interpreter: string): string =>
  `:${name}:M::${elfHeader(elfMachine[architecture])}:${mask}:${interpreter}:OCF`;

/** The script's exit code when the kernel takes no registration. */
export const noRegistration = 78;

/**
 * Runs a command between registration and its end. The command has processes of its own: with the first one all of them end,
 * so that a signal leaves none behind that goes on writing.
 */
const script = `set -eu
line=$1 name=$2
shift 2
at=/proc/sys/fs/binfmt_misc
{ mount -t binfmt_misc binfmt_misc "$at" && printf '%s' "$line" >"$at/register"; } || exit ${noRegistration}
unshare --pid --fork --kill-child --mount-proc "$@" &
child=$!
trap 'kill -KILL "$child"' TERM INT
code=0
while kill -0 "$child" 2>/dev/null; do
  code=0
  wait "$child" || code=$?
done
echo -1 >"$at/$name"
exit "$code"
`;

/**
 * What stands before a command line that runs programs of this architecture; nothing on a host of that kind.
 * It needs a mount namespace of its own, and root.
 * @param folder Where its script is written.
 */
export const runningForeign = async (host: Host, architecture: Architecture, folder: string): Promise<string[]> => {
  const { kvmHost, userEmulator } = localMachines[architecture];
  if (host.architecture === kvmHost) return [];
  const file = join(folder, "foreign.sh");
  await writeFile(file, script);
  const name = `bake-${currentProcess()}`;
  return ["sh", file, registration(name, architecture, `/usr/bin/${userEmulator}`), name];
};
