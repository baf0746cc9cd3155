/** ssh to one node, by the OpenSSH client and a key made for it. */
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Host, RunOptions, RunResult } from "../host.ts";

export interface SshKey {
  readonly privateKeyFile: string;
  /** One line, as in authorized_keys. */
  readonly publicKey: string;
}

/** Makes an ed25519 key pair in `folder`. */
export const makeSshKey = async (host: Host, folder: string): Promise<SshKey> => {
  const privateKeyFile = join(folder, "id_ed25519");
  await host.run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "bake", "-f", privateKeyFile]);
  return { privateKeyFile, publicKey: (await readFile(`${privateKeyFile}.pub`, "utf8")).trim() };
};

export type Ssh = (
  command: string,
  options?: Pick<RunOptions, "allowFailure" | "timeout" | "input">,
) => Promise<RunResult>;

/**
 * Runs commands as root on 127.0.0.1:port; one connection serves them all. Its socket is not in the cache: a path of a
 * socket ends at 108 bytes.
 */
export const sshTo =
  (host: Host, key: SshKey, port: number): Ssh =>
  (command, options = {}) =>
    host.run(
      "ssh",
      [
        ...["-i", key.privateKeyFile, "-p", String(port), "-F", "none", "-T"],
        // The VM is new and reached over loopback: there is no host key to compare with.
        ...["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"],
        ...["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15"],
        ...[
          "-o",
          "ControlMaster=auto",
          "-o",
          `ControlPath=${join(tmpdir(), `bake-${process.pid}-%C`)}`,
          "-o",
          "ControlPersist=30",
        ],
        "root@127.0.0.1",
        command,
      ],
      options,
    );
