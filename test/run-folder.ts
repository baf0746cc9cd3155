/**
 * The folder for temporary files of one run of the tests: TMPDIR of all of them. Workers are killed when their tests are done,
 * and a run may be cut: what is left in it goes at the run's end, and what a cut run left goes before the next, with processes
 * that still work there, mounts and loop devices.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { currentProcess, isStale } from "../src/host/process-identity.ts";
import { mountsBelow } from "../src/host/work-folder.ts";

/** Short: sockets of dockerd and containerd lie below, and a socket's path has at most 107 characters. */
const prefix = "bt-";
const ofRun = new RegExp(`^${prefix}[0-9a-f]{8}-\\d+-\\d*$`);

/** Milliseconds: no run of another machine, or of another container that shares the folder, takes so long. */
const longestRun = 24 * 60 * 60 * 1000;

const readOrEmpty = (path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
};

/** Processes that name the folder in their command line. */
const workingIn = (folder: string): number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => readOrEmpty(`/proc/${name}/cmdline`).includes(`${folder}/`))
    .map(Number);

/** Loop devices of files in the folder. */
const loopsOf = (folder: string): string[] => {
  const block = "/sys/block";
  return readdirSync(block)
    .filter((name) => readOrEmpty(join(block, name, "loop/backing_file")).startsWith(`${folder}/`))
    .map((name) => `/dev/${name}`);
};

const attempt = (file: string, ...args: readonly string[]): void => {
  try {
    execFileSync(file, args, { stdio: "ignore" });
  } catch {
    // It was gone already, or stays: the folder's removal says so.
  }
};

/** Removes a folder, and before it everything that keeps something in it. */
export const clearFolder = (folder: string): void => {
  for (const pid of workingIn(folder)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by now.
    }
  }
  // The innermost first.
  for (const mounted of mountsBelow(folder, readOrEmpty("/proc/self/mounts")).toReversed())
    attempt("umount", "--lazy", mounted);
  for (const device of loopsOf(folder)) attempt("losetup", "--detach", device);
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
};

/** Removes the folders of runs that have ended without doing so. @param parent Where they lie. @returns their names. */
export const clearStale = async (parent: string): Promise<string[]> => {
  const cleared: string[] = [];
  for (const name of readdirSync(parent).filter((each) => ofRun.test(each))) {
    if (!(await isStale(name.slice(prefix.length), join(parent, name), longestRun))) continue;
    clearFolder(join(parent, name));
    cleared.push(name);
  }
  return cleared;
};

/** Makes this run's folder. @returns its path. */
export const makeRunFolder = (parent: string): string => {
  const folder = join(parent, `${prefix}${currentProcess()}`);
  mkdirSync(folder, { recursive: true });
  // Some tests are another user.
  chmodSync(folder, 0o755);
  return folder;
};

/** Called by vitest before its workers start, once for each kind of tests. @returns what it calls at the end. */
export const setup = async (): Promise<() => void> => {
  const parent = tmpdir();
  // Another kind of this run has made it.
  if (basename(parent) === `${prefix}${currentProcess()}`) return () => undefined;
  await clearStale(parent);
  const folder = makeRunFolder(parent);
  process.env["TMPDIR"] = folder;
  return () => clearFolder(folder);
};
