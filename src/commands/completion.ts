/** `bake completion`: what a shell completes, made from the command table. */
import type { Command, Option } from "commander";
import { ownProfiles, profilesIn } from "./find-profile.ts";
import { nameOf } from "../profile/file-names.ts";

export type Shell = "bash" | "zsh";

/** In single quotes, for either shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

interface Leaf {
  /** `store ls` */
  readonly words: string;
  readonly command: Command;
}

const leaves = (command: Command, before = ""): Leaf[] =>
  command
    .createHelp()
    .visibleCommands(command)
    .filter((each) => each.name() !== "help")
    .flatMap((each) => {
      const words = `${before}${each.name()}`;
      return each.commands.length === 0 ? [{ words, command: each }] : leaves(each, `${words} `);
    });

/** Whether a name of a profile can stand there. */
const takesProfiles = ({ registeredArguments }: Command): boolean =>
  registeredArguments.some((argument) => /^profiles?$|^(from|to)$/.test(argument.name()));

/** What follows an option. */
const valueOf = (option: Option): string | undefined => {
  if (!option.required && !option.optional) return undefined;
  if (option.argChoices !== undefined) return `words ${option.argChoices.join(" ")}`;
  if (option.long === "--profile" || option.long === "--keep") return "profiles";
  return /<(?:file|folder|dir)/i.test(option.flags) || /\[file\]/.test(option.flags) ? "files" : "none";
};

/** The rows of a table that both shells go by: of each command its options, what follows each of them, what else it takes. */
const cases = (program: Command): string =>
  leaves(program)
    .map(({ words, command }) => {
      const options = [...command.options.filter(({ hidden }) => !hidden), { short: "-h", long: "--help" }];
      const flags = options.flatMap(({ short, long }) => [long, short].filter((each) => each !== undefined));
      const values = command.options.flatMap((option) => {
        const value = valueOf(option);
        return value === undefined
          ? []
          : [`        ${[option.long, option.short].filter(Boolean).join("|")}) want=${quoted(value)} ;;`];
      });
      const choices = command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []);
      const takes = takesProfiles(command) ? "profiles" : choices.length > 0 ? `words ${choices.join(" ")}` : "none";
      return [
        `    ${quoted(words)})`,
        `      options=${quoted(flags.join(" "))} want=${quoted(takes)}`,
        ...(values.length === 0 ? [] : ["      case $before in", ...values, "      esac"]),
        "      ;;",
      ].join("\n");
    })
    .join("\n");

/** The first words, and the second ones of commands that have some. */
const groups = (program: Command): string =>
  program.commands
    .filter(({ commands }) => commands.length > 0)
    .map(
      (command) =>
        `    ${quoted(command.name())}) words=${quoted(command.commands.map((each) => each.name()).join(" "))} ;;`,
    )
    .join("\n");

const firstWords = (program: Command): string =>
  [...new Set(leaves(program).map(({ words }) => words.split(" ")[0] ?? ""))].join(" ");

/** Works in bash 4 and newer, with or without bash-completion; zsh runs it through bashcompinit. */
const script = (program: Command): string => `_bake() {
  local current=\${COMP_WORDS[COMP_CWORD]} last=$((COMP_CWORD - 1))
  local before=\${COMP_WORDS[last]}
  local words='' options='' want='' command='' each folder
  for each in "\${COMP_WORDS[@]:1:$last}"; do
    case $each in
      -*) [ -z "$command" ] || break ;;
      *)
        if [ -z "$command" ]; then
          command=$each
        else
          case $command in
${program.commands
  .filter(({ commands }) => commands.length > 0)
  .map((command) => `            ${quoted(command.name())}) command="$command $each" ;;`)
  .join("\n")}
          esac
          break
        fi
        ;;
    esac
  done
  case $command in
    '') words=${quoted(`${firstWords(program)} --help --version`)} ;;
${groups(program)}
${cases(program)}
  esac
  case $want in
    words\\ *) words="\${want#words } " ;;
    profiles)
      words=${quoted(profilesIn(ownProfiles).map(nameOf).join(" "))}
      for folder in profiles ../profiles ../../profiles; do
        for each in "$folder"/*.yaml "$folder"/*.yml; do
          [ -e "$each" ] || continue
          each=\${each##*/}
          words="$words \${each%.y*ml}"
        done
      done
      ;;
  esac
  if [ "\${current#-}" != "$current" ]; then words=$options; fi
  COMPREPLY=()
  while IFS= read -r each; do
    COMPREPLY+=("$each")
  done < <(
    compgen -W "$words" -- "$current"
    if [ "\${current#-}" = "$current" ]; then
      case $want in
        files | profiles) compgen -f -- "$current" ;;
      esac
    fi
  )
}
`;

/**
 * The script of a shell, for its start-up file. Pure but for the names of bake's own profiles.
 * @param program The command table.
 */
export const completion = (program: Command, shell: Shell): string =>
  shell === "bash"
    ? `# bash completion of bake: eval "$(bake completion bash)"\n${script(program)}complete -o filenames -F _bake bake\n`
    : `#compdef bake\n# zsh completion of bake: eval "$(bake completion zsh)"\nautoload -U +X compinit bashcompinit\n(( $+functions[compdef] )) || compinit -i\nbashcompinit\n${script(program)}complete -o filenames -F _bake bake\n`;
