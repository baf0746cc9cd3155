/** What a node says of itself: kept in files, and told when its agents do not come, by whatever way it still answers. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import type { Ssh } from "../vm/ssh.ts";

/** The last status that bake-ready wrote to the console. Pure. @returns an empty text when there is none. */
export const statusOnConsole = (text: string): string => {
  const lines = text.split(/\r?\n/).map((line) => line.replace(/^\[[ 0-9.]+\] (?:bake-ready|\(?\S+\)?)\[\d+\]: /, ""));
  const start = lines.findLastIndex((line) => /(NOT READY|ready for jobs)[:,]/.test(line));
  if (start < 0) return "";
  const head = (lines[start] ?? "").replace(/^.*?(NOT READY|ready for jobs)/, "$1");
  const rest = lines.slice(start + 1);
  const end = rest.findIndex((line) => !/^ {2,}|^OVERRIDDEN/.test(line));
  return [head, ...rest.slice(0, end < 0 ? undefined : end)].join("\n");
};

const commands = [
  "cat /run/bake/status.txt",
  "/opt/bake/bin/bake-status",
  "journalctl --no-pager -b -o cat -n 40 -u 'bake-*' -u buildkite-agent",
];

/**
 * Asks the node, each question alone and twice when there is no answer: a machine that is too slow for one may have another. What it
 * wrote to its console is there in any case.
 * @returns never nothing.
 */
export const nodeSays = async (ssh: Ssh, consoleLog: string): Promise<string> => {
  const parts: string[] = [];
  for (const command of commands) {
    let said: string | undefined;
    for (let tries = 0; tries < 2 && said === undefined; tries++) {
      const result = await ssh(command, { allowFailure: true, timeout: 120_000 }).catch(() => undefined);
      const text = result?.stdout.trim() ?? "";
      if (text !== "") said = text;
      else if (result !== undefined && result.exitCode !== 128 && result.exitCode !== 255) break;
    }
    if (said !== undefined) parts.push(said);
  }
  if (parts.length > 0) return parts.join("\n");
  const console = await readFile(consoleLog, "utf8").catch(() => "");
  const status = statusOnConsole(console);
  const tail = console
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "")
    .slice(-10)
    .join("\n");
  return `nothing by ssh (no answer within 120 s, asked twice); ${
    status === "" ? `its console ends with\n${tail || "nothing"}` : `its console says\n${status}`
  }`;
};

/** Saves what the node says about itself; whatever cannot be read is left out. @param logDir An existing folder. */
export const saveLogs = async (ssh: Ssh, logDir: string): Promise<void> => {
  const keep = async (name: string, command: string): Promise<void> => {
    const result = await ssh(command, { allowFailure: true, timeout: 120_000 }).catch(() => undefined);
    // Nothing is no log: what was saved before says more.
    if (result !== undefined && result.stdout.trim() !== "") await writeFile(join(logDir, name), result.stdout);
  };
  await keep("journal.log", "journalctl --no-pager -b");
  await keep("status.json", "cat /run/bake/status.json");
  await keep("status.txt", "cat /run/bake/status.txt");
};

/** A failure that also says where the logs of the boot and of its jobs are, whole. Pure. */
export const withLogs = (error: unknown, logDir: string): unknown =>
  error instanceof BakeError
    ? new BakeError(error.code, error.message, `${error.help === undefined ? "" : `${error.help}\n`}logs: ${logDir}`, {
        cause: error,
      })
    : error;
