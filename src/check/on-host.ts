/** A batch of checks and commands for a host: goes over ssh to templates/check/on-host.sh, which says what came of each. */
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { BakeError } from "../errors.ts";
import { environmentFile } from "../formats/lines.ts";
import type { Ssh } from "../vm/ssh.ts";

/** The template that runs a batch on a host. */
export const onHostScript = "templates/check/on-host.sh";

export interface HostCommand {
  /** Letters, digits, `.`, `_` and `-`; unique in a batch. */
  readonly name: string;
  /** For bash. */
  readonly command: string;
  readonly seconds: number;
}

export interface Batch {
  /** goss for the host's architecture, and a goss file for each level; absent when only commands are to run. */
  readonly checks?: { readonly goss: string; readonly files: ReadonlyMap<string, string> };
  readonly commands?: readonly HostCommand[];
  /** Seconds for everything. */
  readonly deadline: number;
}

export interface HostOutput {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Bytes of output that are kept of one command. */
const outputLimit = 8_000_000;

const commandLine = ({ name, command, seconds }: HostCommand): string => {
  if (!/^[A-Za-z0-9._-]+$/.test(name)) throw new RangeError(`${JSON.stringify(name)} cannot name a command`);
  return `${name}\t${seconds}\t${Buffer.from(command).toString("base64")}\n`;
};

/**
 * What goes to the standard input of `bash -s`: settings, script, files and commands. Reads goss.
 * @throws RangeError for a command's name that could not be one.
 */
export const batchInput = async (script: string, { checks, commands = [], deadline }: Batch): Promise<Buffer> => {
  const files = [
    ...[...(checks?.files ?? [])].map(([level, content]) => [`${level}.yaml`, Buffer.from(content)] as const),
    ...(checks === undefined ? [] : [["goss.gz", await promisify(gzip)(await readFile(checks.goss))] as const]),
  ];
  const settings = environmentFile({
    FILES: files.map(([name, content]) => `${name}:${content.length}`).join(" "),
    LEVELS: [...(checks?.files.keys() ?? [])].join(" "),
    DEADLINE: String(deadline),
    LIMIT: String(outputLimit),
  });
  return Buffer.concat([
    Buffer.from(settings),
    Buffer.from(script),
    ...files.map(([, content]) => content),
    Buffer.from(commands.map(commandLine).join("")),
  ]);
};

const text = (base64: string): string => Buffer.from(base64, "base64").toString("utf8");

/** Reads lines `name, exit status, stdout, stderr`, the last two in base64. Pure. Anything else is left out. */
export const parseOutputs = (stdout: string): Map<string, HostOutput> =>
  new Map(
    stdout.split("\n").flatMap((line) => {
      const [name, status, out, err] = line.split("\t");
      return name === undefined ||
        status === undefined ||
        out === undefined ||
        err === undefined ||
        !/^\d+$/.test(status)
        ? []
        : [[name, { status: Number(status), stdout: text(out), stderr: text(err) }] as const];
    }),
  );

/**
 * Runs checks and commands on a host, over one ssh command.
 * @param ssh Reaches the host.
 * @returns what came of each, by name.
 * @throws BakeError BK516 when the host did not answer to the end.
 */
export const runBatch = async (
  ssh: Ssh,
  { shell, script, name }: { readonly shell: string; readonly script: string; readonly name: string },
  what: Batch,
): Promise<Map<string, HostOutput>> => {
  const result = await ssh(shell, {
    allowFailure: true,
    input: await batchInput(script, what),
    timeout: (what.deadline + 60) * 1000,
  });
  if (result.exitCode === 0) return parseOutputs(result.stdout);
  const said = result.stderr
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .slice(-8)
    .join("\n");
  throw new BakeError(
    "BK516",
    result.exitCode === 128
      ? `${name} did not answer within ${what.deadline + 60} s`
      : result.exitCode === 255
        ? `the connection to ${name} was lost`
        : `${name} could not be looked at (exit status ${result.exitCode})`,
    `Nothing of bake is left there.${said === "" ? "" : `\n${said}`}`,
  );
};
