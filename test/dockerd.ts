/** A real dockerd (Debian's docker.io, unpacked) in a network of its own: its rules are not those of this machine. Wants root. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toolPath } from "./needs.ts";

export interface TestDockerd {
  readonly env: Readonly<Record<string, string>>;
  /** Words before a command that is to run in its network. */
  readonly inside: readonly string[];
  /** Ends it and starts it again on the same data, as a restart of its unit does. */
  readonly restart: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

const ended = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
};

/** @throws Error with its output when it does not start. */
export const startDockerd = async (): Promise<TestDockerd> => {
  const tree = toolPath("docker");
  const folder = mkdtempSync(join(tmpdir(), "bake-dockerd-"));
  const env = {
    PATH: `${tree}/usr/sbin:${tree}/usr/bin:${process.env["PATH"] ?? ""}`,
    HOME: folder,
    DOCKER_HOST: `unix://${join(folder, "sock")}`,
  };
  const network = spawn("unshare", ["--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 3600"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(network.stdout, "data");
  const inside = ["nsenter", `--net=/proc/${network.pid}/ns/net`];
  const start = async (): Promise<ChildProcess> => {
    let output = "";
    const child = spawn(
      inside[0] ?? "",
      // biome-ignore format: an option and its value a line
      [
        ...inside.slice(1), join(tree, "usr/sbin/dockerd"), "--storage-driver=vfs",
        "--data-root", join(folder, "data"), "--exec-root", join(folder, "exec"), "--pidfile", join(folder, "pid"),
        "--host", env.DOCKER_HOST,
      ],
      { env, stdio: ["ignore", "ignore", "pipe"] },
    );
    child.stderr.on("data", (data: Buffer) => (output += data.toString()));
    for (let tries = 0; tries < 300 && child.exitCode === null; tries++) {
      try {
        execFileSync(join(tree, "usr/bin/docker"), ["version"], { env, stdio: "ignore", timeout: 20_000 });
        return child;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    throw new Error(`dockerd did not start:\n${output}`);
  };
  let dockerd = await start();
  return {
    env,
    inside,
    restart: async () => {
      await ended(dockerd, "SIGTERM");
      dockerd = await start();
    },
    stop: async () => {
      await ended(dockerd, "SIGTERM");
      await ended(network, "SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
};
