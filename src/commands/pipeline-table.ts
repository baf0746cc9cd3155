/** The command `bake pipeline`, for the command table: it loads commander alone. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { repeatable, takesProfiles, withProfiles } from "./command-line.ts";
import type { PipelineCommandOptions } from "./pipeline.ts";

const from = (least: number, greatest: number) => (text: string) => {
  if (!/^\d{1,4}$/.test(text) || Number(text) < least || Number(text) > greatest)
    throw new InvalidArgumentError(`a number from ${least} to ${greatest} is wanted`);
  return Number(text);
};

/** Adds `pipeline`. */
export const addPipeline = (program: Command): void => {
  takesProfiles(program.command("pipeline"))
    .description("print a Buildkite pipeline: bake, verify, promote, roll out; for buildkite-agent pipeline upload")
    .requiredOption("--queue <key>", "queue whose agents run its steps; none that is rolled")
    .requiredOption("--flavor <name>", "flavor of the server that an image is verified on")
    .addOption(
      repeatable(
        "--to <nodes>",
        "TAG=VALUE, an AS GROUP, or NODE,NODE: what is rolled out; PROFILE:… where there are several profiles",
      ),
    )
    .option("--key-pair <name>", "key pair of the cloud for that server, and for nodes whose kind wants one")
    .addOption(repeatable("--data-disk <GiB[:type]>", "a data disk of that server; once for each"))
    .option("--no-npus", "that server has none: do not wait for them")
    .addOption(
      new Option("--kind <kind>", "what the nodes are that are rolled out (ecs)").choices([
        "ecs",
        "lite-server",
        "bms",
      ]),
    )
    .option("--key-user <id>", "IAM user of that key pair, for bare metal")
    .option("--verify-pipeline <slug>", "pipeline whose build has to pass on a server with the new image")
    .option("--wave <number>", "nodes of a wave, where nodes are named", from(1, 50), 5)
    .option("--soak <minutes>", "how long a wave stays ready before the next, where nodes are named", from(0, 1440), 10)
    .option("--json", "the pipeline as JSON")
    .action(
      withProfiles<PipelineCommandOptions>(async (options, profiles) => {
        const { pipeline } = await import("./pipeline.ts");
        process.exitCode = await pipeline(options, profiles);
      }),
    );
};
