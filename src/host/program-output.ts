/** What programs that failed said, in whole: kept in files, since a message shows the last lines alone. */
import { readdir, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Host } from "./host.ts";
import { makeFolder } from "./make-folder.ts";

/** What a program said. */
interface Said {
  readonly stdout: string;
  readonly stderr: string;
}

/** Folder of the cache with these files. Pure. */
export const outputFolder = (cacheDir: string): string => join(cacheDir, "log");

/** Of these files, so many stay. */
const kept = 50;

/** Lines that a message shows. */
const mostLines = 12;

/** `packer-20261127T120000123Z.log`: the newest sorts last. Pure. */
const fileName = (program: string, now: number): string =>
  `${basename(program).replaceAll(/[^\w.-]/g, "_")}-${new Date(now).toISOString().replaceAll(/[-:.]/g, "")}.log`;

/** By the time in their names, the oldest first. */
const byTime = (one: string, other: string): number => {
  const [first, second] = [one, other].map((name) => name.slice(name.lastIndexOf("-")));
  return (first ?? "") < (second ?? "") ? -1 : 1;
};

/** @returns the file, or undefined where none can be written: that is no reason to tell another failure. */
const keep = async (folder: string, name: string, text: string): Promise<string | undefined> => {
  try {
    await makeFolder(folder);
    const file = join(folder, name);
    // It may tell what its owner alone may read.
    await writeFile(file, text, { mode: 0o600 });
    const old = (await readdir(folder)).filter((each) => each.endsWith(".log")).toSorted(byTime);
    await Promise.all(old.slice(0, -kept).map((each) => rm(join(folder, each), { force: true })));
    return file;
  } catch {
    return undefined;
  }
};

/**
 * The help of an error about a program that failed: its last lines, and where all of it is when they are not all.
 * @param folder Where that is kept; undefined keeps none.
 * @param command The program, then its arguments: no secrets are among them.
 * @param said What it wrote. Its standard error is shown where there is some.
 */
export const tellOutput = async (
  { folder, now }: { readonly folder: string | undefined; readonly now: number },
  command: readonly string[],
  said: Said,
): Promise<string> => {
  const [shown, other] = said.stderr.trim() === "" ? [said.stdout, ""] : [said.stderr, said.stdout];
  const lines = shown.trimEnd().split("\n");
  const last = lines.slice(-mostLines).join("\n");
  const isAll = other.trim() === "" && lines.length <= mostLines;
  if (isAll || folder === undefined) return last;
  const parts = [
    `$ ${command.join(" ")}\n`,
    ...(said.stdout === "" ? [] : [`--- standard output\n${said.stdout.trimEnd()}\n`]),
    ...(said.stderr === "" ? [] : [`--- standard error\n${said.stderr.trimEnd()}\n`]),
  ];
  const file = await keep(folder, fileName(command[0] ?? "", now), parts.join(""));
  return file === undefined ? last : `${last}\nlog: ${file}`;
};

/** The same for those who look at how a program ended themselves. */
export const saidBy = (
  { cacheDir, now }: Pick<Host, "cacheDir" | "now">,
  command: readonly string[],
  said: Said,
): Promise<string> => tellOutput({ folder: outputFolder(cacheDir), now: now() }, command, said);
