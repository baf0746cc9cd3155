/** What the commands have in common on the command line. Loaded with the table: it imports no room that takes time to load. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { setVerbosity } from "../host/verbosity.ts";
import { expectJson } from "./json-failure.ts";

const described = "profiles/<name>.yaml, or a path to a profile";

/** Takes one profile: `bake image 2cards`, `-p 2cards`, or `BAKE_PROFILE`. */
export const takesProfile = (command: Command): Command =>
  command.argument("[profile]", described).option("-p, --profile <name>", "the same (BAKE_PROFILE)");

/** Where something is written: an empty variable of a script would mean the current folder. @throws InvalidArgumentError */
export const place = (text: string): string => {
  if (text === "") throw new InvalidArgumentError("It is empty: is a variable not set?");
  return text;
};

/** An option whose description ends so takes several values. */
const repeated = "can be repeated";

/** An option that can be given several times: all its values. */
export const repeatable = (flags: string, description: string): Option =>
  new Option(flags, `${description}; ${repeated}`)
    .argParser((value: string, all: string[]) => [...all, value])
    .default([], "none");

/** Takes profiles, or `--all`. */
export const takesProfiles = (command: Command): Command =>
  command
    .argument("[profiles...]", described)
    .addOption(repeatable("-p, --profile <name>", "the same (BAKE_PROFILE)"))
    .option("--all", "all profiles of profiles/ that are no bases of others");

const fromEnvironment = (): string | undefined => process.env["BAKE_PROFILE"] || undefined;

const missing = (command: Command): never =>
  command.error(
    `error: no profile is named: bake ${command.name()} NAME, -p NAME, or BAKE_PROFILE (bake ls shows what there is)`,
  );

/** An action with the one profile that was named, in whichever way. Without one it ends with exit code 2. */
export const withProfile =
  <Options>(action: (options: Options & { profile: string }) => Promise<void>) =>
  (positional: string | undefined, options: Options & { profile?: string }, command: Command): Promise<void> => {
    if (positional !== undefined && options.profile !== undefined)
      command.error(`error: two profiles are named, ${positional} and ${options.profile}: this command takes one`);
    const profile = positional ?? options.profile ?? fromEnvironment() ?? missing(command);
    return action({ ...options, profile });
  };

/** The same where none has to be named. */
export const withOptionalProfile =
  <Options>(action: (options: Options & { profile?: string }) => Promise<void>) =>
  (positional: string | undefined, options: Options & { profile?: string }, command: Command): Promise<void> => {
    const named = positional ?? options.profile ?? fromEnvironment();
    return named === undefined ? action(options) : withProfile(action)(positional, options, command);
  };

/** An action with all profiles that were named, each once; undefined for `--all`. */
export const withProfiles =
  <Options>(
    action: (options: Omit<Options, "profile" | "all">, profiles: readonly string[] | undefined) => Promise<void>,
  ) =>
  (
    positional: readonly string[],
    { profile, all, ...options }: Options & { profile: readonly string[]; all?: true },
    command: Command,
  ): Promise<void> => {
    const named = [...new Set([...positional, ...profile])];
    if (all === true) {
      if (named.length > 0) command.error(`error: --all takes all profiles: ${named.join(", ")} need not be named`);
      return action(options, undefined);
    }
    if (named.length > 0) return action(options, named);
    return action(options, [fromEnvironment() ?? missing(command)]);
  };

const allCommands = (command: Command): Command[] => [command, ...command.commands.flatMap(allCommands)];

/** What every command has, and what none takes. */
export const completeTable = (program: Command): void => {
  for (const command of allCommands(program)) {
    if (command.commands.length === 0)
      command
        .option("-q, --quiet", "results, findings and errors alone")
        .option("-v, --verbose", "also the commands that bake runs");
    command.hook("preAction", (_, asked) => {
      const { quiet, verbose, json, format } = asked.opts() as {
        quiet?: true;
        verbose?: true;
        json?: true;
        format?: string;
      };
      if (json === true || format === "json") expectJson();
      if (quiet === true && verbose === true) command.error("error: --quiet and --verbose exclude each other");
      if (quiet === true || verbose === true) setVerbosity(quiet === true ? "quiet" : "verbose");
    });
    // Of an option that is given twice commander takes the last value without a word.
    for (const option of command.options) {
      const takesMany = option.variadic || option.description.endsWith(repeated);
      if (!(option.required || option.optional) || takesMany) continue;
      let given = 0;
      command.on(`option:${option.name()}`, () => {
        given += 1;
        if (given === 2) command.error(`error: option '${option.flags}' is given twice`);
      });
    }
  }
};
