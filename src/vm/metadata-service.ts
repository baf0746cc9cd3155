/** A metadata service in the guest's network: something that answers at http://169.254.169.254/. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { shellWord } from "../formats/shell.ts";
import { optionValue } from "./qemu.ts";

/**
 * What the service answers: the same to every question, or by path, without the slash in front and without a query. What is
 * not among the paths is not found; a folder answers the names in it.
 */
export type Answers = string | Readonly<Record<string, string>>;

/**
 * Answers one connection, which QEMU hands over as standard input and output. A path is one file's name, with `%` for each
 * slash: no path leads out of the folder.
 */
const script = `#!/bin/sh
IFS=' ' read -r method path version
while IFS= read -r line && [ "\${#line}" -gt 1 ]; do :; done
path=\${path%%\\?*}
path=\${path#/}
name=$(printf %s "\${path%/}" | tr / %)
folder=\${0%.sh}
file=$folder/at-$name
[ -e "$file" ] || file=$folder/any
if [ -e "$file" ]; then
  printf 'HTTP/1.0 200 OK\\r\\nContent-Type: text/plain\\r\\nConnection: close\\r\\n\\r\\n'
  cat "$file"
else
  printf 'HTTP/1.0 404 Not Found\\r\\nContent-Type: text/plain\\r\\nConnection: close\\r\\n\\r\\nnot here\\n'
fi
`;

/** The command line that QEMU starts for each connection. Pure. @param file An absolute path. */
export const metadataCommand = (file: string): string => `/bin/sh ${shellWord(file)}`;

/** The names in each folder above these paths, a line each. Pure. */
const listings = (paths: readonly string[]): Record<string, string> => {
  const names = new Map<string, Set<string>>();
  for (const path of paths) {
    const parts = path.split("/");
    for (const [depth, part] of parts.entries()) {
      const folder = parts.slice(0, depth).join("/");
      names.set(folder, (names.get(folder) ?? new Set()).add(part));
    }
  }
  return Object.fromEntries([...names].map(([folder, each]) => [folder, `${[...each].toSorted().join("\n")}\n`]));
};

/**
 * Writes the service into `workDir`. Answers may hold secrets: their files are for this user alone.
 * @returns how QEMU's user network forwards to it, to be a part of a `-netdev user` whose network has this address.
 */
export const metadataForward = async (workDir: string, answers: Answers): Promise<string> => {
  const file = join(resolve(workDir), "metadata.sh");
  await writeFile(file, script, { mode: 0o755 });
  const folder = join(workDir, "metadata");
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { mode: 0o700 });
  const byName =
    typeof answers === "string"
      ? { any: answers }
      : Object.fromEntries(
          Object.entries({ ...listings(Object.keys(answers)), ...answers }).map(([path, content]) => [
            `at-${path.replaceAll("/", "%")}`,
            content,
          ]),
        );
  for (const [name, content] of Object.entries(byName)) await writeFile(join(folder, name), content, { mode: 0o600 });
  return `guestfwd=tcp:169.254.169.254:80-cmd:${optionValue(metadataCommand(file))}`;
};

/**
 * The service, and with which options QEMU offers it beside the network that a machine has anyway.
 * It has a network of its own, since QEMU forwards no address outside a network.
 * That network is closed and offers no route, so the default route stays with the other card.
 */
export const metadataService = async (workDir: string, answers: Answers): Promise<string[]> => [
  "-netdev",
  `user,id=metadata,restrict=on,ipv6=off,net=169.254.169.0/24,${await metadataForward(workDir, answers)}`,
  "-device",
  "virtio-net-pci,netdev=metadata,romfile=",
];
