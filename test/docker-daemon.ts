/** A real dockerd with folders and a socket of its own: Debian's docker.io, unpacked. Wants root. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { toolPath } from "./needs.ts";

export interface DockerDaemon {
  /** For DOCKER_HOST. */
  readonly host: string;
  /** What the client prints. @throws Error with what it said. */
  readonly docker: (...args: string[]) => Promise<string>;
  readonly stop: () => Promise<void>;
}

/**
 * @param folder Of its own: data, sockets.
 * @param run How dockerd is started; its own command line by default.
 */
export const startDockerDaemon = async (
  folder: string,
  {
    args = [],
    run = (command) => command,
  }: { readonly args?: readonly string[]; readonly run?: (command: readonly string[]) => readonly string[] } = {},
): Promise<DockerDaemon> => {
  const tree = toolPath("docker");
  mkdirSync(folder, { recursive: true });
  const host = `unix://${join(folder, "docker.sock")}`;
  const env = {
    PATH: `${tree}/usr/sbin:${tree}/usr/bin:${process.env["PATH"] ?? ""}`,
    HOME: folder,
    DOCKER_HOST: host,
  };
  const [file = "", ...rest] = run([
    join(tree, "usr/sbin/dockerd"),
    ...["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs", "--host", host],
    ...["--data-root", join(folder, "data"), "--exec-root", join(folder, "exec"), "--pidfile", join(folder, "pid")],
    ...args,
  ]);
  const child: ChildProcess = spawn(file, rest, { env, stdio: ["ignore", "ignore", "pipe"] });
  let output = "";
  child.stderr?.on("data", (data: Buffer) => (output += data.toString()));
  const docker = async (...words: string[]): Promise<string> =>
    (await promisify(execFile)(join(tree, "usr/bin/docker"), words, { env, timeout: 60_000 })).stdout.trim();
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    await exited;
  };
  for (let tries = 0; tries < 300 && child.exitCode === null; tries++) {
    if (
      await docker("version").then(
        () => true,
        () => false,
      )
    )
      return { host, docker, stop };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await stop();
  throw new Error(`dockerd did not start:\n${output}`);
};
