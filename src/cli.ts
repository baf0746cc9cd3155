/** The command table. Actions import what they need when they run: `bake --help` loads commander alone. */
import { Argument, Command, CommanderError, Option } from "commander";
import { addCache } from "./commands/cache-table.ts";
import { addCatalog } from "./commands/catalog-table.ts";
import { addEcs } from "./commands/ecs-table.ts";
import { addRollout } from "./commands/rollout-table.ts";
import type { DoctorOptions } from "./commands/doctor.ts";
import type { FetchOptions } from "./commands/fetch.ts";
import type { ImageOptions } from "./commands/image.ts";
import type { InitOptions } from "./commands/init-answers.ts";
import type { LockOptions } from "./commands/lock.ts";
import type { RenderOptions } from "./commands/render.ts";
import type { UserDataOptions } from "./commands/user-data.ts";
import type { ValidateOptions } from "./commands/validate.ts";
import type { CheckOptions } from "./commands/check.ts";
import {
  completeTable,
  place,
  repeatable,
  takesProfile,
  takesProfiles,
  withOptionalProfile,
  withProfile,
  withProfiles,
} from "./commands/command-line.ts";
import { addHelp } from "./commands/help.ts";
import { addPipeline } from "./commands/pipeline-table.ts";
import { endJson } from "./commands/json-failure.ts";
import { endUncaught, installLastResort } from "./commands/last-resort.ts";
import type { Shell } from "./commands/completion.ts";
import { version } from "./host/version.ts";
import type { TargetName } from "./profile/schema.ts";

installLastResort(version);

const program = new Command("bake")
  .description("A typed node profile in, a golden CI image out.")
  .version(version)
  .showHelpAfterError("(add --help for the commands and options)")
  .exitOverride();

/** Written out, and held complete by its type: the help loads no table of targets. */
const targetChoices: Readonly<Record<TargetName, true>> = { qemu: true, huaweicloud: true };

program
  .command("init <name>")
  .description("write a commented profile to profiles/<name>.yaml; asks what no option says, on a terminal")
  .option("--from-host <[user@]host[:port]>", "take what a host set up by hand has, by ssh, read-only")
  .option("--npus <number>", "NPUs of the host (8)")
  .option("--cards <number>", "NPUs of each agent (2); as many agents as fit")
  .option("--queue <queue>", "Buildkite queue (ascend)")
  .option("--pypi-cache <host:port>", "PyPI cache of the site; empty: none")
  .option("--git-proxy <url>", "git proxy of the site; empty: none")
  .option("--adopt <file system>", "data disk that exists: UUID=... or LABEL=...; a blank NVMe disk otherwise")
  .option("--token-file <file>", "where the agent token lies (/etc/buildkite-agent/token)")
  .addOption(
    new Option("--token-env <variable>", "environment variable with the agent token instead").conflicts("tokenFile"),
  )
  .option("--base <name>", "base image (openeuler-22.03-lts-sp4)")
  .option("--architecture <name>", "x86_64 or aarch64 (aarch64)")
  .addOption(repeatable("--image <reference>", "image to pre-load"))
  .addOption(repeatable("--operator-key <file>", "public key that may log in as root"))
  .addOption(new Option("--target <target>", "where images are baked (qemu)").choices(Object.keys(targetChoices)))
  .option("--region <region>", "of Huawei Cloud")
  .option("--source-image <id>", "image there that a bake starts from")
  .option("--flavor <flavor>", "of the server there that builds")
  .option("--vpc <id>", "of that server")
  .option("--subnet <id>", "of that server")
  .option("--security-group <id>", "of that server")
  .option("--json", "what was written, as JSON")
  .action(async (name: string, options: InitOptions) => {
    const { init } = await import("./commands/init.ts");
    process.exitCode = await init(name, options);
  });

program
  .command("ls")
  .description("the profiles that there are: target, agents, lock")
  .option("--json", "as JSON")
  .action(async (options: { json?: boolean }) => {
    const { ls } = await import("./commands/ls.ts");
    process.exitCode = await ls(options);
  });

takesProfiles(program.command("validate"))
  .description("check a profile: every problem with its line and column")
  .addOption(new Option("--format <format>", "how problems are told").choices(["text", "json", "github", "sarif"]))
  .addOption(new Option("--json", "the same as --format json").conflicts("format"))
  .option(
    "--explain [setting]",
    "every value, where it was set, and what follows from it; or one, such as agents.spawn",
  )
  .option("--watch", "go on: again whenever a file of the profile or its lock changes, until Ctrl-C")
  .action(
    withProfiles(async (options: ValidateOptions, profiles) => {
      const { validate } = await import("./commands/validate.ts");
      process.exitCode = await validate(options, profiles, version);
    }),
  );

takesProfiles(program.command("render"))
  .description("write user-data, Packer template, units and checks to out/<profile>/; needs no network")
  .option("--check", "write nothing; show what differs, and exit 1, when out/<profile>/ is not up to date")
  .option("--output <folder>", "write to <folder>/<profile>/ instead", place)
  .option("--json", "what was rendered, or with --check what differs, as JSON")
  .action(
    withProfiles(async (options: RenderOptions, profiles) => {
      const { render } = await import("./commands/render.ts");
      process.exitCode = await render(options, profiles);
    }),
  );

takesProfile(program.command("image"))
  .description("bake a golden image: in a local VM, then boot it and check it; or in Huawei Cloud")
  .addOption(
    new Option("--target <target>", "where; without it the first that the profile has").choices(
      Object.keys(targetChoices),
    ),
  )
  .addOption(
    new Option(
      "--trial",
      "bake with stand-in sources: no account, no token, no registry; for a look and for tests",
    ).conflicts(["frozenLockfile", "mirror"]),
  )
  .option("--frozen-lockfile", "a missing or stale lock is an error, as it is in CI")
  .option("--offline", "touch no network: everything is in the store already")
  .option("--mirror <folder or url>", "take artifacts from there alone: files by digest, as bake fetch --to makes them")
  .option("--no-check", "do not boot the image and check it")
  .option("--no-cache", "make every stage anew, also where layers of an earlier bake would do")
  .option("--json", "what was baked and what its check found, as JSON; how it goes to standard error")
  .action(
    withProfile(async (options: ImageOptions) => {
      const { image } = await import("./commands/image.ts");
      process.exitCode = await image(options, version);
    }),
  );

takesProfiles(program.command("lock"))
  .description("ask the sources for what the profile wants, and write every digest to profiles/<name>.lock.json")
  .option("--update [name...]", "ask anew for these artifacts, or for all")
  .addOption(
    new Option("--check", "touch no network: exit 1 when the profile has gone on without its lock").conflicts([
      "update",
      "outdated",
    ]),
  )
  .addOption(
    new Option("--outdated", "newer versions, tags that moved, pins to be looked at; write nothing").conflicts(
      "update",
    ),
  )
  .option("--json", "what was found or written, as JSON")
  .action(
    withProfiles(async (options: LockOptions, profiles) => {
      const { lock } = await import("./commands/lock.ts");
      process.exitCode = await lock(options, profiles);
    }),
  );

takesProfile(program.command("fetch"))
  .description("fill the store with what the lock names; with --to a mirror too")
  .option("--to <folder>", "make this folder a mirror: files by digest, for a web server or a closed network", place)
  .option("--mirror <folder or url>", "take everything from there alone")
  .option("--offline", "touch no network: say what is missing")
  .option("--json", "what happens, one JSON object a line")
  .option("--trial", "what a trial's lock names")
  .action(
    withProfile(async (options: FetchOptions) => {
      const { fetch } = await import("./commands/fetch.ts");
      process.exitCode = await fetch(options);
    }),
  );

const store = program.command("store").description("the store of artifacts by digest, shared by all profiles");
store
  .command("ls")
  .description("what is in it")
  .option("--json", "as JSON")
  .action(async (options: { json?: boolean }) => {
    const { list } = await import("./commands/store.ts");
    process.exitCode = await list(options);
  });
store
  .command("verify")
  .description("read every file again and compare it with its digest; exit 1 when one is another")
  .option("--json", "as JSON")
  .action(async (options: { json?: boolean }) => {
    const { verify } = await import("./commands/store.ts");
    process.exitCode = await verify(options);
  });
store
  .command("prune")
  .description("say what no lock of these profiles names; with --yes remove it")
  .requiredOption("--keep <profile...>", "profiles whose locks name what stays")
  .option("--yes", "remove it")
  .option("--json", "as JSON")
  .action(async (options: { keep: string[]; yes?: boolean; json?: boolean }) => {
    const { prune } = await import("./commands/store.ts");
    process.exitCode = await prune(options);
  });

addCache(program);

program
  .command("diff <from> <to>")
  .description("what changes on the node: between two locks, profiles or images; exit 1 when something does")
  .option("--names", "of files their names alone, not what differs in them")
  .option("--json", "the differences as JSON")
  .action(async (from: string, to: string, options: { json?: boolean; names?: boolean }) => {
    const { diff } = await import("./commands/diff.ts");
    process.exitCode = await diff(from, to, options);
  });

takesProfile(program.command("check"))
  .description("validate an image or a running host against its profile: a table by guide row")
  .option("--image [file]", "boot this image in a VM; without a file the one in out/<profile>/")
  .addOption(
    repeatable(
      "--host <[user@]host[:port]>",
      "look at a host by ssh, read-only, also one that was set up by hand; several side by side",
    ),
  )
  .option("--trial", "the trial's image, or a host made from it")
  .option("--json", "results as JSON")
  .option("--junit <file>", "write the results as JUnit XML too")
  .option("--annotation <file>", "write Markdown for buildkite-agent annotate too")
  .option("--report <file>", "write a page to look at too, HTML in one file: a row a host")
  .option("--bundle <file>", "write a support bundle too: logs and states without secrets, a .tar.gz")
  .action(
    withProfile(async (options: CheckOptions) => {
      const { check } = await import("./commands/check.ts");
      process.exitCode = await check(options);
    }),
  );

takesProfile(program.command("doctor"))
  .description("look at what a bake needs, this machine or the profile's cloud, before anything is made: a table")
  .addOption(
    new Option("--target <target>", "where; without it the profile's target in a cloud").choices(
      Object.keys(targetChoices),
    ),
  )
  .option("--offline", "ask no host")
  .option("--json", "the lines as JSON")
  .action(
    withOptionalProfile(async (options: DoctorOptions) => {
      const { doctor } = await import("./commands/doctor.ts");
      process.exitCode = await doctor(options);
    }),
  );

const profileOption = ["-p, --profile <name>", "profiles/<name>.yaml, or a path to a profile"] as const;
addCatalog(program, profileOption);
addEcs(program, profileOption);
addRollout(program, profileOption);

addPipeline(program);

takesProfile(program.command("user-data"))
  .description("user-data of a node, with its secrets: to standard output, or to a file that only its owner reads")
  .option("--node <name>", "the node's host name; without it the cloud's name for the server")
  .addOption(
    new Option("--format <format>", "base64: of gzip, as the API takes it")
      .choices(["yaml", "gzip", "base64"])
      .default("yaml"),
  )
  .option("--output <file>", "write it there, mode 0600", place)
  .option("--json", "with --output: how large it is, and whether it holds secrets, as JSON")
  .addOption(repeatable("--authorized-key <file>", "public keys that may log in as root, besides ssh.operatorKeys"))
  .option("--no-npus", "the host has none: do not wait for them")
  .option("--stock", "for a host with a stock image, which becomes the node without a bake")
  .option("--mirror <url>", "where such a host gets everything by digest (targets.huaweicloud.mirror)")
  .option("--trial", "for a node made from a trial's image")
  .action(
    withProfile(async (options: UserDataOptions) => {
      if (options.mirror !== undefined && options.stock !== true)
        program.error("error: --mirror is for a stock image alone: give --stock too");
      if (options.json === true && options.output === undefined)
        program.error("error: --json tells about the file of --output: without one, user-data goes to standard output");
      const { userData } = await import("./commands/user-data.ts");
      process.exitCode = await userData(options);
    }),
  );

program
  .command("explain <topic>")
  .description("what an error code means, with an example, or what a setting is for")
  .option("--json", "as JSON")
  .action(async (asked: string, options: { json?: boolean }) => {
    const { lookUp } = await import("./commands/lookup.ts");
    process.exitCode = await lookUp(asked, options);
  });

program
  .command("completion")
  .description("what a shell completes, for its start-up file")
  .addArgument(new Argument("<shell>", "which one").choices(["bash", "zsh"]))
  .action(async (shell: Shell) => {
    const { completion } = await import("./commands/completion.ts");
    process.stdout.write(completion(program, shell));
  });

program
  .command("set-up", { hidden: true })
  .requiredOption("--for-tests", "make the tools that the tests run")
  .action(async () => {
    const { setUpForTests } = await import("./commands/set-up.ts");
    process.exitCode = await setUpForTests();
  });

completeTable(program);
addHelp(program);

program.parseAsync().then(
  () => endJson(Number(process.exitCode ?? 0)),
  (error: unknown) => {
    // Wrong usage is a failure, not a finding. What was printed is still on its way.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
    else endUncaught(error, version);
  },
);
