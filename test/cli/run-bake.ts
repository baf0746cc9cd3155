/** `bake` as a user runs it, beside clouds that are emulated in the test's own process. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { root } from "../../src/host/root.ts";

export interface Ended {
  readonly status: number;
  readonly stdout: string;
  /** Without the line about the bundle, which the first run alone has. */
  readonly stderr: string;
}

/** The environment of a user whose home is `folder`. @param env What there is besides. */
export const userIn = (folder: string, env: Readonly<Record<string, string>>) => ({
  cwd: folder,
  env: { PATH: process.env["PATH"] ?? "", HOME: folder, XDG_CACHE_HOME: join(folder, "cache"), ...env },
});

/** Runs it to its end. Not in step: the cloud lives in this process. */
export const runBake = (args: readonly string[], options: ReturnType<typeof userIn>): Promise<Ended> =>
  new Promise((resolve) => {
    execFile(join(root, "bin/bake"), args, options, (error, stdout, stderr) =>
      resolve({
        status: error === null ? 0 : Number(error.code),
        stdout,
        stderr: stderr.replace("bake: bundling the CLI\n", ""),
      }),
    );
  });
