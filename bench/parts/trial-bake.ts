/** Bakes of the trial of 2cards in a folder, timed, without their check. */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../src/host/root.ts";

type Variables = Readonly<Record<string, string>>;

/** Seconds of a command that must not fail. @throws Error with all that it said. */
export const seconds = (file: string, args: readonly string[], cwd: string, variables: Variables = {}): number => {
  const started = performance.now();
  const { status, stdout, stderr } = spawnSync(file, args, {
    cwd,
    encoding: "utf8",
    maxBuffer: 2 ** 30,
    env: { ...process.env, ...variables },
  });
  if (status !== 0) throw new Error(`${file} ${args.join(" ")}: exit status ${status}\n${stdout}${stderr}`);
  return (performance.now() - started) / 1000;
};

export interface TrialBake {
  /** Writes the profile with a queue of this name: that stands in the first line of what is laid, so the last stage is another. */
  readonly write: (queue: string) => void;
  /** @returns the seconds of `bake image`. */
  readonly bake: (...options: string[]) => number;
}

/** @param variables Of the environment, beside this process's own. */
export const trialBakeIn = (folder: string, variables: Variables = {}): TrialBake => {
  mkdirSync(join(folder, "profiles"));
  return {
    write: (queue) =>
      writeFileSync(
        join(folder, "profiles/2cards.yaml"),
        `extends: ${JSON.stringify(join(root, "profiles/2cards.yaml"))}\nagents: { queue: ${queue} }\n`,
      ),
    bake: (...options) =>
      seconds(
        process.execPath,
        [join(root, "bin/cli.cjs"), "image", "--profile", "2cards", "--trial", "--no-check", ...options],
        folder,
        variables,
      ),
  };
};
