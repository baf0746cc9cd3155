/** The commands of `bake cache`, for the command table: it loads commander alone. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { BuildOptions, HarvestOptions } from "./cache.ts";
import { place, repeatable } from "./command-line.ts";

const absolute = (text: string): string => {
  if (!/^\/[^\0\n]*$/.test(text)) throw new InvalidArgumentError("a path that begins with / is wanted");
  return text.replace(/(?<=.)\/+$/, "");
};

/** Adds `cache` with its commands. */
export const addCache = (program: Command): void => {
  const cache = program.command("cache").description("folders of build caches, for caches in a profile");
  const add = (name: string, description: string): Command =>
    cache
      .command(name)
      .description(description)
      .requiredOption("--to <folder>", "the folder that is made; a build cache in it is brought up to date", place)
      .option("--json", "what it has, as JSON");
  add("harvest", "copy the build cache that a host's builds have made, by ssh; nothing is changed there")
    .requiredOption("--host <[user@]host[:port]>", "which host")
    .addOption(
      new Option("--from <folder>", "of that host, to which its builds export")
        .argParser(absolute)
        .default("/mnt/docker-cache1"),
    )
    .action(async (options: HarvestOptions) => {
      const { harvest } = await import("./cache.ts");
      process.exitCode = await harvest(options);
    });
  const ofBuild = ["context", "file", "target", "buildArg", "platform", "builder"];
  add("build", "build here, by docker buildx or by a command, and keep the build cache")
    .option("--context <folder>", "of the build (.)")
    .option("--file <Dockerfile>", "its Dockerfile")
    .option("--target <stage>", "of the Dockerfile")
    .addOption(repeatable("--build-arg <name=value>", "as CI gives it: it is a part of a step"))
    .option("--platform <platform>", "of the nodes, such as linux/arm64")
    .option("--builder <name>", "of docker buildx; the current one otherwise")
    .addOption(
      new Option("--command <command>", "for bash: builds and exports the cache, to $BAKE_CACHE").conflicts(ofBuild),
    )
    .addOption(new Option("--exports <folder>", "where that command exports its cache, where not to $BAKE_CACHE"))
    .action(async (options: BuildOptions, command: Command) => {
      if (options.exports !== undefined && options.command === undefined)
        command.error("error: --exports is where the command of --command exports: give --command too");
      const { build } = await import("./cache.ts");
      process.exitCode = await build(options);
    });
};
