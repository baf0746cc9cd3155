/** The commands of `bake ecs`, for the command table: it loads commander alone. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { CreateOptions } from "./ecs.ts";

const token = (text: string): string => {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text))
    throw new InvalidArgumentError("letters, digits, `.`, `_` and `-` are wanted");
  return text;
};

const size = (text: string): number => {
  if (!/^\d{2,4}$/.test(text) || Number(text) < 40 || Number(text) > 1024)
    throw new InvalidArgumentError("GiB from 40 to 1024 are wanted");
  return Number(text);
};

const diskTypes = ["SAS", "SSD", "GPSSD", "ESSD"] as const;

const dataDisk = (text: string, all: CreateOptions["dataDisk"] = []): CreateOptions["dataDisk"] => {
  const [, gib = "", type = "SSD"] = /^(\d{2,5})(?::([A-Z]+))?$/.exec(text) ?? [];
  const isKnown = diskTypes.some((each) => each === type);
  if (gib === "" || !isKnown || Number(gib) < 10 || Number(gib) > 32_768)
    throw new InvalidArgumentError(
      `GiB from 10 to 32768, and a type where it is not SSD: 500 or 500:${diskTypes.join(", 500:")}`,
    );
  if (all.length === 23) throw new InvalidArgumentError("23 data disks are all that the cloud takes");
  return [...all, { size: Number(gib), type }];
};

const repeated = (value: string, all: readonly string[] = []): string[] => [...all, value];

/** Adds `ecs` with its commands. */
export const addEcs = (program: Command, profileOption: readonly [string, string]): void => {
  const ecs = program.command("ecs").description("servers of a profile in Huawei Cloud");
  ecs
    .command("create")
    .description("make a server from an image of the catalogue, with the profile's user-data; only shown without --yes")
    .requiredOption(...profileOption)
    .requiredOption("--image <image>", "its ID, the beginning of its bake id (6 letters or more), current or previous")
    .requiredOption("--name <name>", "of the server, and its host name: agents' names begin with it")
    .addOption(
      new Option("--flavor <flavor>", "of the server; the profile's is that of the server that builds")
        .argParser(token)
        .makeOptionMandatory(),
    )
    .addOption(new Option("--zone <zone>", "availability zone; the cloud chooses otherwise").argParser(token))
    .addOption(new Option("--disk-size <GiB>", "of the system disk; the image's own otherwise").argParser(size))
    .addOption(new Option("--disk-type <type>", "of the system disk").choices(diskTypes).default("SSD"))
    .addOption(
      new Option("--data-disk <GiB[:type]>", "a data disk of EVS; once for each")
        .argParser(dataDisk)
        .default([], "none"),
    )
    .addOption(new Option("--key-pair <name>", "key pair of the cloud that may log in as root").argParser(token))
    .addOption(
      new Option("--agency <name>", "IAM agency of the server: CSMS gives the agent token to it").argParser(token),
    )
    .addOption(
      new Option(
        "--authorized-key <file>",
        "public keys that may log in as root, besides ssh.operatorKeys; once for each",
      )
        .argParser(repeated)
        .default([], "none"),
    )
    .option("--no-npus", "the server has none: do not wait for them")
    .option(
      "--no-wait",
      "do not wait until its agents are connected, which Buildkite is asked for where its variables are set",
    )
    .option("--json", "as JSON")
    .option("--yes", "make it; without it, it is only shown")
    .action(async (options: CreateOptions) => {
      const { create } = await import("./ecs.ts");
      process.exitCode = await create(options);
    });
};
