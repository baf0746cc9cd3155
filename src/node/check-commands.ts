/** How checks are written: commands for goss, and what their output must be. Pure. */
import { shellWord } from "../formats/shell.ts";
import type { Check, GossResource } from "./check.ts";

type CheckWithoutResource = Omit<Check, "resource" | "level">;

/** What of a command's end and output is expected. Milliseconds for `timeout`. */
export interface Expected {
  readonly stdout?: readonly string[];
  readonly status?: number;
  readonly timeout?: number;
}

/** Text as a part of a regular expression of goss. */
export const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

/** A whole line of output, so that `27.5.1` does not also accept `127.5.10`. */
export const line = (text: string): string => `/^${literal(text)}$/`;

/** Exit status and lines of a command, as goss asks. */
export const command = (
  id: string,
  exec: string,
  { stdout = [], status = 0, timeout = 60_000 }: Expected = {},
): GossResource => ["command", id, { exec, "exit-status": status, ...(stdout.length > 0 && { stdout }), timeout }];

/** As systemd prints a time span: `25min 30s`. */
export const systemdSpan = (seconds: number): string => {
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ] as const;
  return parts.flatMap(([count, unit]) => (count === 0 ? [] : [`${count}${unit}`])).join(" ");
};

/** Asks Docker only while it runs: through its socket a question would start it, and mount the data disk. */
export const asksDocker = (subcommand: string): string =>
  `systemctl is-active --quiet docker.service && docker ${subcommand}`;

/**
 * Whether a file system has inodes left for a job: two in a hundred, and 100,000 are always enough. One that makes them as it goes
 * (btrfs) counts none.
 * @param path A word of the shell.
 */
export const hasInodes = (path: string): string =>
  `df --output=itotal,iavail ${path} | awk 'NR == 2 { few = $1 / 50; if (few > 100000) few = 100000; found = 1; bad = $1 > 0 && $2 < few } END { exit bad || !found }'`;

/** Properties of a unit, one a line. */
export const show = (unit: string, properties: readonly string[]): string =>
  `systemctl show ${unit} ${properties.map((property) => `-p ${property}`).join(" ")}`;

/** For `Check.byHand`: how a host that was set up from the guide is asked instead. */
export const byHand = (
  id: string,
  { title, help }: { readonly title: string; readonly help: string },
  exec: string,
  expected?: Expected,
): Pick<Check, "byHand"> => ({ byHand: { title, help, resource: command(id, exec, expected) } });

/** A check that keeps jobs away while it fails. */
export const gating = (check: CheckWithoutResource, resource: GossResource): Check => ({
  ...check,
  level: "gating",
  resource,
});

/** A check that is reported only. */
export const advisory = (check: CheckWithoutResource, resource: GossResource): Check => ({
  ...check,
  level: "advisory",
  resource,
});

/** A check by a command; `make` gives its level. */
export const ofCommand = (make: typeof gating, check: CheckWithoutResource, exec: string, expected?: Expected): Check =>
  make(check, command(check.id, exec, expected));

/** Whether something listens there. Milliseconds. */
export const reachable = (id: string, host: string, port: number, timeout: number): GossResource => [
  "addr",
  id,
  { address: `tcp://${host}:${port}`, reachable: true, timeout },
];

/**
 * A command with the proxies that jobs have, and none of those of whoever looks. They are read from the running agents, and where
 * none run from the files that their unit names. `export` keeps a proxy's password out of the process list.
 */
export const asJobs = (exec: string): string =>
  [
    "unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY",
    "pid=$(systemctl show -p MainPID --value buildkite-agent.service 2>/dev/null)",
    "if [ \"${pid:-0}\" -gt 0 ]; then found=$(tr '\\0' '\\n' <\"/proc/$pid/environ\")",
    // The two forms of a value that systemd reads, without their quotes.
    `else found=$(systemctl show -p EnvironmentFiles buildkite-agent.service 2>/dev/null | sed -n 's/^EnvironmentFiles=\\(.*\\) (ignore_errors=[a-z]*)$/\\1/p' | while IFS= read -r each; do cat "$each" 2>/dev/null; done | sed -e 's/^\\([A-Za-z_]*=\\)"\\(.*\\)"$/\\1\\2/' -e 's/\\\\\\(["\\\\$]\\)/\\1/g'); fi`,
    "found=$(printf '%s\\n' \"$found\" | grep -iE '^(https?|all|no)_proxy=')",
    'while IFS= read -r each; do [ -z "$each" ] || export "$each"; done <<EOF\n$found\nEOF',
    exec,
  ].join("\n");

/** What a web server says to a GET, as one line: `HTTP 200`. */
export const httpStatus = (url: string, seconds: number): string =>
  `curl -sS -g -o /dev/null --max-time ${seconds} -w 'HTTP %{http_code}\\n' ${shellWord(url)}`;
