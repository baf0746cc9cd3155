/** The commands of `bake rollout`, for the command table: it loads commander alone. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { NodeOptions, PlanOptions, RunOptions } from "./rollout.ts";
import type { RolloutOptions } from "./rollout-go.ts";

const number = (text: string): number => {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError("a number from 0 on is wanted");
  return Number(text);
};

const share = (text: string): number | string => {
  if (/^(?:[1-9]\d?|100)%$/.test(text)) return text;
  if (!/^[1-9]\d{0,4}$/.test(text))
    throw new InvalidArgumentError("a number of nodes is wanted, or a share such as 10%");
  return Number(text);
};

const imageText = "its ID, the beginning of its bake id (6 letters or more), current or previous";
const toText = "which nodes: TAG=VALUE, names or IDs with commas, or an AS group by its name or ID";

/** Adds `rollout` with all its commands. */
export const addRollout = (program: Command, profileOption: readonly [string, string]): void => {
  const rollout = program
    .command("rollout")
    .description("bring nodes in Huawei Cloud to an image, in waves with gates, and back");
  const add = (name: string, description: string): Command =>
    rollout
      .command(name)
      .description(description)
      .requiredOption(...profileOption)
      .option("--region <name>", "another region than the profile's")
      .addOption(new Option("--kind <kind>", "what the nodes are (ecs)").choices(["ecs", "lite-server", "bms"]))
      .option("--key-pair <name>", "key pair of the cloud, without which it changes no Lite Server and no bare metal")
      .option("--key-user <id>", "IAM user of that key pair, for bare metal")
      .option("--json", "as JSON");
  const wave = (): Option => new Option("--wave <nodes>", "nodes a wave, or a share: 10%").argParser(share);
  const maxFailed = (): Option => new Option("--max-failed <number>", "nodes that may fail").argParser(number);
  const killJobs = ["--kill-jobs", "cancel jobs that run beyond the limit of the drain"] as const;
  const keep = [
    "--keep-user-data",
    "nodes keep the user-data that they have; otherwise they get the profile's",
  ] as const;
  const yes = ["--yes", "do it; without it, it is only shown"] as const;

  add("plan", "which nodes, in which waves, how long; changes nothing")
    .requiredOption("--image <image>", imageText)
    .requiredOption("--to <nodes>", toText)
    .addOption(wave())
    .addOption(maxFailed())
    .action(async (options: PlanOptions) => {
      const { plan } = await import("./rollout.ts");
      process.exitCode = await plan(options);
    });
  add("run", "roll out; exit 1: paused at a gate or stopped, 2: refused before anything changed, 130: interrupted")
    .option("--image <image>", imageText)
    .option("--to <nodes>", toText)
    .addOption(
      new Option("--resume [id]", "go on with a rollout; without an ID the newest").conflicts(["image", "to", "back"]),
    )
    .addOption(
      new Option("--back [id]", "take a rollout back: each node that it touched gets the image that it had").conflicts([
        "image",
        "to",
      ]),
    )
    .addOption(
      new Option("--rollout <id>", "its ID; run again with the same one it goes on, or says that it is done").conflicts(
        ["resume", "back"],
      ),
    )
    .addOption(wave())
    .addOption(maxFailed())
    .option(...killJobs)
    .option(...keep)
    .option(...yes)
    .action(async (options: RunOptions, command: Command) => {
      const begins = options.resume === undefined && options.back === undefined;
      if (begins && (options.image === undefined || options.to === undefined))
        command.error("error: say what to roll out by --image and --to; or give --resume or --back");
      const { run } = await import("./rollout.ts");
      process.exitCode = await run(options);
    });
  add("node", "the step of one node alone; done twice it is as if done once")
    .argument("<name>", "name or ID of the server")
    .requiredOption("--image <image>", imageText)
    .option("--rollout <id>", "the rollout that it is a step of; the node is held for it")
    .option(...killJobs)
    .option(...keep)
    .option(...yes)
    .action(async (name: string, options: NodeOptions) => {
      const { node } = await import("./rollout.ts");
      process.exitCode = await node(name, options);
    });
  add(
    "stop",
    "end a rollout: nodes under way are brought to an end, none is begun; one that is paused gives its nodes free",
  )
    .argument("[id]", "without it the newest")
    .action(async (id: string | undefined, options: RolloutOptions) => {
      const { stop } = await import("./rollout-stop.ts");
      process.exitCode = await stop(id, { ...options, keepUserData: true });
    });
  rollout
    .command("status")
    .description("where a rollout stands, by its journal in out/rollouts; asks nobody")
    .argument("[id]", "without it the newest")
    .option("--json", "as JSON")
    .action(async (id: string | undefined, options: { json?: boolean }) => {
      const { status } = await import("./rollout-status.ts");
      process.exitCode = await status(id, options);
    });
};
