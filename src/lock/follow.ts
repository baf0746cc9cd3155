/** What a file in a git repository says that CI uses. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { lastWordOf } from "./last-word.ts";
import type { Follows } from "./outdated.ts";

/** `NAME=value`, `export NAME="value"`, `NAME: value`: shell, env files, YAML. The last one counts. */
export const assignedIn = (text: string, variable: string): string | undefined =>
  text
    .split("\n")
    .map((line) =>
      new RegExp(`^\\s*(?:export\\s+)?${variable}\\s*[=:]\\s*(?:"([^"]*)"|'([^']*)'|([^\\s#'"]+))`).exec(line),
    )
    .findLast((match) => match !== null)
    ?.slice(1)
    .find((group) => group !== undefined);

/** What git said last, or how it ended; not where all of it is kept. */
const reasonOf = ({ message, help = "" }: BakeError): string =>
  lastWordOf(help.replace(/\nlog: .*$/, "")) || lastWordOf(message.split(": ").at(-1) ?? "");

/**
 * Fetches the branch's last commit alone, with as little of it as the server gives.
 * @throws BakeError BK209 when the repository, the file or the assignment is not there.
 */
export const followFile = async (host: Host, { repository, branch, file, variable }: Follows): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), "bake-follow-"));
  const git = (...args: string[]) =>
    host.run("git", ["-C", folder, ...args], {
      env: { GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" },
      timeout: 120_000,
    });
  const failed = (what: string): BakeError =>
    new BakeError(
      "BK209",
      what,
      "pins.*.follows says where CI names what it uses: repository, branch, file and variable.",
    );
  const orFailed =
    (what: string) =>
    (error: unknown): never => {
      // Without git, or stopped by Ctrl-C, it says nothing about the repository.
      if (!(error instanceof BakeError) || error.code !== "BK302") throw error;
      throw failed(`${what}: ${reasonOf(error)}`);
    };
  try {
    await git("init", "--quiet");
    await git("remote", "add", "origin", repository);
    await git("fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin", `refs/heads/${branch}`).catch(
      orFailed(`branch ${branch} of ${repository} could not be fetched`),
    );
    // Servers without partial clones have sent all of it; others are asked for this one file now.
    const shown = await git("show", `FETCH_HEAD:${file}`).catch(orFailed(`${repository} has no ${file} on ${branch}`));
    const value = assignedIn(shown.stdout, variable);
    if (value === undefined || value === "") throw failed(`${file} of ${repository} assigns nothing to ${variable}`);
    return value;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
