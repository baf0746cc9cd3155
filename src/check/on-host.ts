/** One visit to a host: sends checks and commands to templates/check/on-host.sh over ssh, and reads what came of each. */
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { BakeError } from "../errors.ts";
import { environmentFile } from "../formats/lines.ts";
import type { Ssh } from "../vm/ssh.ts";

export const onHostScript = "templates/check/on-host.sh";

export interface HostCommand {
  /** Letters, digits, `.`, `_` and `-`; unique in a visit. */
  readonly name: string;
  /** For bash. */
  readonly command: string;
  readonly seconds: number;
}

export interface Visit {
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

/** What goes to the standard input of `bash -s`. */
export const visitInput = async (script: string, { checks, commands = [], deadline }: Visit): Promise<Buffer> => {
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

/** Lines `name, exit status, stdout, stderr`, the last two in base64. Anything else is left out. */
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
 * @param shell How the host starts a root's `bash -s`.
 * @throws BakeError BK516 when the host did not answer to the end.
 */
export const visit = async (
  ssh: Ssh,
  { shell, script, name }: { readonly shell: string; readonly script: string; readonly name: string },
  what: Visit,
): Promise<Map<string, HostOutput>> => {
  const result = await ssh(shell, {
    allowFailure: true,
    input: await visitInput(script, what),
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
