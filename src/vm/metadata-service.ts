/** A metadata service in the guest's network: something that answers at http://169.254.169.254/. */
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { shellWord } from "../formats/shell.ts";
import { optionValue } from "./qemu.ts";

/** Answers one connection, which QEMU hands over as standard input and output. */
const script = `#!/bin/sh
while IFS= read -r line && [ "\${#line}" -gt 1 ]; do :; done
printf 'HTTP/1.0 200 OK\\r\\nContent-Type: text/plain\\r\\nConnection: close\\r\\n\\r\\n'
cat "\${0%.sh}.txt"
`;

/** The command line that QEMU starts for each connection. Pure. @param file An absolute path. */
export const metadataCommand = (file: string): string => `/bin/sh ${shellWord(file)}`;

/**
 * Writes the service into `workDir`, and says with which options QEMU offers it.
 * It has a network of its own, since QEMU forwards no address outside a network.
 * That network is closed and offers no route, so the default route stays with the other card.
 * @param answer The body of every answer.
 */
export const metadataService = async (workDir: string, answer: string): Promise<string[]> => {
  const file = join(resolve(workDir), "metadata.sh");
  await writeFile(file, script, { mode: 0o755 });
  await writeFile(join(workDir, "metadata.txt"), answer);
  const command = optionValue(metadataCommand(file));
  return [
    "-netdev",
    `user,id=metadata,restrict=on,ipv6=off,net=169.254.169.0/24,guestfwd=tcp:169.254.169.254:80-cmd:${command}`,
    "-device",
    "virtio-net-pci,netdev=metadata,romfile=",
  ];
};
