/** ssh by the OpenSSH client: to a VM with a key made for it, and to a host as its user reaches it. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import type { Host, RunOptions, RunResult } from "../host/host.ts";
import { currentProcess, pidOf } from "../host/process-identity.ts";

export interface SshKey {
  readonly privateKeyFile: string;
  /** One line, as in authorized_keys. */
  readonly publicKey: string;
}

/**
 * Makes an ed25519 key pair without a passphrase.
 * @param folder Where both files are written; there must be none of their names.
 * @throws BakeError BK302 when ssh-keygen fails.
 */
export const makeSshKey = async (host: Host, folder: string): Promise<SshKey> => {
  const privateKeyFile = join(folder, "id_ed25519");
  await host.run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "bake", "-f", privateKeyFile]);
  return { privateKeyFile, publicKey: (await readFile(`${privateKeyFile}.pub`, "utf8")).trim() };
};

export type Ssh = (
  command: string,
  options?: Pick<RunOptions, "allowFailure" | "timeout" | "input" | "stdoutFile">,
) => Promise<RunResult>;

/** The socket of the connection that all commands share. */
const controlPath = (): string => join(tmpdir(), `bake-${pidOf(currentProcess())}-%C`);

/**
 * Ends the shared connection to 127.0.0.1:port. The one to a node that went down answers nobody, and holds up whoever
 * uses it.
 */
export const disconnect = async (host: Host, port: number): Promise<void> => {
  await host.run("ssh", ["-F", "none", "-p", String(port), "-S", controlPath(), "-O", "exit", "root@127.0.0.1"], {
    allowFailure: true,
    timeout: 10_000,
  });
};

/**
 * Runs commands as root on 127.0.0.1:port; one connection serves them all.
 * Its socket is not in the cache: a path of a socket ends at 108 bytes.
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
        ...["-o", "ControlMaster=auto", "-o", `ControlPath=${controlPath()}`, "-o", "ControlPersist=30"],
        "root@127.0.0.1",
        command,
      ],
      options,
    );

/** `[user@]host[:port]`, as given by `--host`. What is absent is for the user's ssh configuration to say. */
export interface SshTarget {
  readonly user?: string;
  /** A name, an address, or an alias of the ssh configuration. */
  readonly host: string;
  readonly port?: number;
}

/**
 * Reads `[user@]host[:port]`. Pure. IPv6 with a port takes brackets: `[::1]:22`.
 * @returns undefined when `text` is no target.
 */
export const parseSshTarget = (text: string): SshTarget | undefined => {
  const at = text.lastIndexOf("@");
  const user = at < 0 ? undefined : text.slice(0, at);
  // A dash at the beginning would be an option of ssh.
  if (user !== undefined && !/^[A-Za-z0-9_.][^\s@:'"`$\\]*$/.test(user)) return undefined;
  const rest = text.slice(at + 1);
  const match =
    /^\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)\](?::(\d+))?$|^([A-Za-z0-9_][A-Za-z0-9_.-]*)(?::(\d+))?$/.exec(rest);
  const bare = /^[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/.test(rest) ? rest : undefined;
  const host = match?.[1] ?? match?.[3] ?? bare;
  const port = match?.[2] ?? match?.[4];
  if (host === undefined || (port !== undefined && (Number(port) < 1 || Number(port) > 65_535))) return undefined;
  return { ...(user !== undefined && { user }), host, ...(port !== undefined && { port: Number(port) }) };
};

/** The same target as text, as `parseSshTarget` reads it. Pure. */
export const formatSshTarget = ({ user, host, port }: SshTarget): string =>
  `${user === undefined ? "" : `${user}@`}${host.includes(":") && port !== undefined ? `[${host}]` : host}${port === undefined ? "" : `:${port}`}`;

/** How a user would call ssh by hand. Pure. */
export const sshCommandLine = ({ user, host, port }: SshTarget): string =>
  ["ssh", ...(port === undefined ? [] : ["-p", String(port)]), `${user === undefined ? "" : `${user}@`}${host}`].join(
    " ",
  );

/**
 * Why ssh itself failed (it exits 255 then), with what the user can do about it. Pure.
 * @param stderr What ssh printed.
 * @returns BakeError BK511 unreachable, BK512 unknown host key, BK513 no key accepted.
 */
export const explainSshFailure = (target: SshTarget, stderr: string): BakeError => {
  const name = formatSshTarget(target);
  const said = stderr
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .slice(-12)
    .join("\n");
  const line = sshCommandLine(target);
  if (/REMOTE HOST IDENTIFICATION HAS CHANGED|Offending .* key in/.test(stderr)) {
    return new BakeError(
      "BK512",
      `${name} has another host key than before`,
      `Find out why: a host that was set up anew has a new key, and so has one that stands in its place.\nThen remove the old key by ssh-keygen -R and accept the new one by hand: ${line}\n${said}`,
    );
  }
  if (/Host key verification failed|host key is known for|unknown host key/i.test(stderr)) {
    return new BakeError(
      "BK512",
      `the host key of ${name} is not known here, and bake never accepts one`,
      `Compare it with the one on the host's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub),\nand accept it by hand once: ${line}\n${said}`,
    );
  }
  if (/Permission denied|Too many authentication failures|authentication methods? available/i.test(stderr)) {
    return new BakeError(
      "BK513",
      `${name} refused every key`,
      `bake asks no passwords. This has to work by itself, with your ssh configuration and agent: ${line} true\n${said}`,
    );
  }
  return new BakeError(
    "BK511",
    `${name} cannot be reached by ssh`,
    `This has to work by itself: ${line} true\n${said}`,
  );
};

export interface HostConnection {
  readonly ssh: Ssh;
  close(): Promise<void>;
}

/**
 * Reaches a host with the user's own ssh configuration, keys, known hosts and agent; one connection serves all
 * commands.
 * Asks nothing, forwards nothing, and never accepts a host key, whatever that configuration says.
 * Nothing is sent before the first command.
 */
export const sshToHost = async (host: Host, target: SshTarget): Promise<HostConnection> => {
  const folder = await mkdtemp(join(tmpdir(), "bake-ssh-"));
  const socket = join(folder, "s");
  const options = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=15",
    "ServerAliveInterval=10",
    "ServerAliveCountMax=3",
    "RemoteCommand=none",
    "ClearAllForwardings=yes",
    "LogLevel=ERROR",
    "ControlMaster=auto",
    `ControlPath=${socket}`,
    "ControlPersist=60",
  ].flatMap((option) => ["-o", option]);
  const destination = [
    ...(target.port === undefined ? [] : ["-p", String(target.port)]),
    "--",
    `${target.user === undefined ? "" : `${target.user}@`}${target.host}`,
  ];
  return {
    ssh: (command, runOptions = {}) => host.run("ssh", ["-T", ...options, ...destination, command], runOptions),
    close: async () => {
      await host
        .run("ssh", ["-O", "exit", "-o", `ControlPath=${socket}`, ...destination], {
          allowFailure: true,
          timeout: 5000,
        })
        .catch(() => undefined);
      await rm(folder, { recursive: true, force: true });
    },
  };
};
