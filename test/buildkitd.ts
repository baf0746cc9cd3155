/** A real buildkitd with a socket and state of its own. Wants root, buildkitd, buildctl, and runc of Debian's docker.io. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { toolPath } from "./needs.ts";

export interface Buildkitd {
  /** For `--addr`. */
  readonly address: string;
  /** What the client says, on both outputs. @throws Error with it. */
  readonly buildctl: (...words: readonly string[]) => Promise<string>;
  readonly stop: () => Promise<void>;
}

/**
 * @param folder Of its own: sockets, and its state where `state` names no other place.
 * @param run How buildkitd is started; its own command line by default.
 */
export const startBuildkitd = async (
  folder: string,
  {
    config = "/dev/null",
    state = join(folder, "root"),
    run = (command) => command,
  }: {
    readonly config?: string;
    readonly state?: string;
    readonly run?: (command: readonly string[]) => readonly string[];
  } = {},
): Promise<Buildkitd> => {
  mkdirSync(folder, { recursive: true });
  const address = `unix://${join(folder, "sock")}`;
  const tree = toolPath("docker");
  const [file = "", ...rest] = run([
    toolPath("buildkitd"),
    ...["--config", config, "--root", state, "--addr", address],
    // Its default is one place for the machine: two of them at once would meet there.
    ...["--otel-socket-path", join(folder, "otel")],
    ...["--oci-worker-snapshotter=native", "--containerd-worker=false"],
  ]);
  const child: ChildProcess = spawn(file, rest, {
    env: { PATH: `${tree}/usr/sbin:${tree}/usr/bin:${process.env["PATH"] ?? ""}`, HOME: folder },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let output = "";
  child.stderr?.on("data", (data: Buffer) => (output += data.toString()));
  const buildctl = async (...words: readonly string[]): Promise<string> => {
    const { stdout, stderr } = await promisify(execFile)(toolPath("buildctl"), ["--addr", address, ...words], {
      timeout: 60_000,
    });
    return `${stdout}${stderr}`;
  };
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    await exited;
  };
  for (let tries = 0; tries < 300 && child.exitCode === null; tries++) {
    if (
      await buildctl("debug", "workers").then(
        () => true,
        () => false,
      )
    )
      return { address, buildctl, stop };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await stop();
  throw new Error(`buildkitd did not start:\n${output}`);
};
