/** Examples and exit codes at the end of each command's help. */
import type { Command } from "commander";

interface After {
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** Where they say more than the program's own. */
  readonly exits?: string;
}

const exits = "0 ok, 1 findings, 2 failure";

/** By command, `store ls` too. */
const after: Readonly<Record<string, After>> = {
  init: {
    examples: [
      ["bake init site", "asks on a terminal; elsewhere takes what suits most"],
      ["bake init site --from-host root@node", "what a hand-built host has"],
    ],
    exits: "0 written, 1 the answers do not make a profile, 2 failure, 130 broken off",
  },
  ls: { examples: [["bake ls", "name, target, agents, lock"]], exits: "0 ok, also when some are wrong; 2 failure" },
  validate: {
    examples: [
      ["bake validate site", "every problem with its place"],
      ["bake validate --all --format github", "annotations in CI"],
      ["bake validate site --explain agents.spawn", "one value, and where it was set"],
      ["bake validate site --watch", "beside an editor"],
    ],
    exits: "0 ok, also with warnings; 1 errors in a profile; 2 one cannot be read; 130 or 143 --watch was stopped",
  },
  render: {
    examples: [
      ["bake render site", "to out/site/"],
      ["bake render --all --check", "in CI: what differs, and exit 1"],
    ],
    exits: "0 ok; 1 a profile has problems, or with --check out/ is not up to date; 2 failure",
  },
  image: {
    examples: [
      ["bake image 2cards --trial", "a whole bake from stand-in sources"],
      ["bake image site --frozen-lockfile", "in CI"],
    ],
    exits: "0 baked and checked, 1 a check failed or the profile has problems, 2 failure, 130 or 143 stopped",
  },
  lock: {
    examples: [
      ["bake lock site", "asks for what is new, keeps the rest"],
      ["bake lock site --update docker", "asks anew for one"],
      ["bake lock --all --check", "in CI; touches no network"],
    ],
    exits:
      "0 ok; 1 stale, --outdated found something, the profile has problems, or a source did not give what it wants; 2 failure",
  },
  fetch: {
    examples: [
      ["bake fetch site", "into the store"],
      ["bake fetch site --to /srv/mirror", "and a mirror of it"],
    ],
    exits: "0 ok, 1 the profile has problems, 2 failure",
  },
  store: {
    examples: [
      ["bake store ls", "what is in it"],
      ["bake store verify", "reads it all again"],
      ["bake store prune --keep site", "what no lock names; --yes removes it"],
    ],
    exits: "0 ok, 1 verify found a file that was changed, 2 failure",
  },
  cache: {
    examples: [
      ["bake cache harvest --host root@node --to caches/vllm-ci", "what that host's builds have made"],
      ["bake cache build --file docker/Dockerfile.npu --to caches/vllm-ci", "built here"],
    ],
  },
  diff: {
    examples: [
      ["bake diff out/site profiles/site.lock.json", "what the next bake would change"],
      ["bake diff 2cards 4cards --names", "which files differ"],
    ],
    exits: "0 the same, 1 something differs, 2 failure, such as a profile with problems",
  },
  check: {
    examples: [
      ["bake check site --host root@node", "a running host, read-only"],
      ["bake check site --host root@a --host root@b --junit checks.xml", "side by side, and for CI"],
      ["bake check site --host root@a --report checks.html", "and a page to look at"],
      ["bake check 2cards --trial --image", "boots the trial's image"],
    ],
    exits: "0 no row failed, 1 findings, 2 could not check, such as a profile with problems",
  },
  doctor: {
    examples: [
      ["bake doctor", "this machine"],
      ["bake doctor site", "what a bake of this profile needs: its sources, or its cloud"],
    ],
    exits: "0 ok, 1 something is wrong, 2 could not check, such as a profile with problems",
  },
  "user-data": {
    examples: [
      ["bake user-data site --node npu-0008", "to standard output"],
      ["bake user-data site --format base64 --output site.b64", "as the API takes it, mode 0600"],
      ["bake user-data site --stock --mirror http://mirror.example.com", "a stock image, by what bake fetch --to made"],
    ],
    exits: "0 ok, 1 the profile has problems, 2 failure",
  },
  catalog: {
    examples: [
      ["bake catalog ls --profile site", "its images in the cloud"],
      ["bake catalog promote 7PrBz4 --profile site", "from now on the current one"],
    ],
    exits: "0 ok, 1 leftovers found some, 2 refused or failed, such as a profile with problems",
  },
  pipeline: {
    examples: [["bake pipeline site --queue images --flavor kc1.large.4", "for buildkite-agent pipeline upload"]],
    exits: "0 printed; 2 failure, such as a profile with problems",
  },
  ecs: {
    examples: [
      ["bake ecs create -p site --image current --name npu-0008 --flavor kc1.large.4", "shown; --yes makes it"],
    ],
    exits:
      "0 made, shown or there already; 1 its agents did not come; 2 refused or failed, such as a profile with problems",
  },
  explain: {
    examples: [
      ["bake explain BK115", "what an error means"],
      ["bake explain agents.spawn", "what a setting is for"],
    ],
  },
  rollout: {
    examples: [
      ["bake rollout plan -p site --image current --to pool=ci", "which nodes, which waves, how long"],
      ["bake rollout run -p site --image current --to pool=ci --yes", "does it"],
      ["bake rollout run -p site --back --yes", "and takes it back"],
    ],
    exits: "0 done, 1 paused at a gate or stopped, 2 refused before anything was changed, 130 interrupted",
  },
  completion: { examples: [['eval "$(bake completion bash)"', "in ~/.bashrc; zsh in ~/.zshrc"]] },
};

const formatAfter = ({ examples, exits: own = exits }: After): string => {
  const width = Math.max(...examples.map(([command]) => command.length));
  return `\nExamples:\n${examples.map(([command, what]) => `    ${command.padEnd(width)}  # ${what}`).join("\n")}\n\nExit codes: ${own}`;
};

/** Adds them. */
export const addHelp = (program: Command): void => {
  for (const command of program.commands) {
    const text = after[command.name()];
    if (text !== undefined) command.addHelpText("after", formatAfter(text));
  }
  program.addHelpText(
    "after",
    `\nbake COMMAND --help has options, examples and exit codes. Exit codes: ${exits}.\nVariables: BAKE_PROFILE (the profile), XDG_CACHE_HOME (store and tools), NO_COLOR, BAKE_DEBUG=1 (where an internal error happened).`,
  );
};
