/** The commands of `bake catalog`, for the command table: it loads commander alone. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { CopyOptions } from "./catalog.ts";
import type { CatalogOptions, ChangeOptions } from "./catalog-context.ts";
import type { ImportOptions } from "./catalog-import.ts";

const number = (text: string): number => {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError("a number from 0 on is wanted");
  return Number(text);
};

const repeated = (value: string, all: readonly string[] = []): string[] => [...all, value];

const imageArgument = [
  "<image>",
  "its ID, the beginning of its bake id (6 letters or more), current or previous",
] as const;

/** Adds `catalog` with all its commands. */
export const addCatalog = (program: Command, profileOption: readonly [string, string]): void => {
  const catalog = program
    .command("catalog")
    .description(
      "images of a profile in Huawei Cloud: what there is, promote, share, copy, import, remove, and what bakes left",
    );
  const add = (name: string, description: string): Command =>
    catalog
      .command(name)
      .description(description)
      .requiredOption(...profileOption)
      .option("--region <name>", "another region than the profile's")
      .option("--json", "as JSON");
  const change = (name: string, description: string): Command =>
    add(name, description).option("--yes", "do it; without it, it is only shown");

  add("ls", "images with state, age, bake id, size and who uses them").action(async (options: CatalogOptions) => {
    const { list } = await import("./catalog.ts");
    process.exitCode = await list(options);
  });
  add("show", "all about one image: tags, servers, AS configurations, projects that it is shared with")
    .argument(...imageArgument)
    .action(async (image: string, options: CatalogOptions) => {
      const { show } = await import("./catalog.ts");
      process.exitCode = await show(image, options);
    });
  change("promote", "make an image the current one; going back is promoting the older one again")
    .argument(...imageArgument)
    .option("--verified", "a server made from it was checked: that is written too")
    .action(async (image: string, options: ChangeOptions & { verified?: boolean }) => {
      const { promote } = await import("./catalog.ts");
      process.exitCode = await promote(image, options);
    });
  change("share", "let other projects of the region use an image, or stop it")
    .argument(...imageArgument)
    .requiredOption("--with <project id>", "whom; can be repeated", repeated)
    .option("--stop", "stop sharing it with them")
    .action(async (image: string, options: ChangeOptions & { with: string[]; stop?: boolean }) => {
      const { share } = await import("./catalog.ts");
      process.exitCode = await share(image, options);
    });
  change("copy", "copy an image to another region, or within its own with encryption, and wait for it")
    .argument(...imageArgument)
    .addOption(new Option("--to <region>", "the other region").conflicts("encrypt"))
    .option("--agency <name>", "IAM agency that lets the image service write there; needed with --to")
    .option("--project <name>", "project in the other region; without it the one that is called like it")
    .addOption(new Option("--encrypt <key id>", "a key of the key management service, for a copy in the same region"))
    .action(async (image: string, options: CopyOptions, command: Command) => {
      if ((options.to === undefined) === (options.encrypt === undefined))
        command.error("error: say where the copy goes by --to, or what encrypts it by --encrypt");
      if ((options.to === undefined) !== (options.agency === undefined))
        command.error("error: --to and --agency go together");
      if (options.project !== undefined && options.to === undefined) command.error("error: --project goes with --to");
      const { copy } = await import("./catalog.ts");
      process.exitCode = await copy(image, options);
    });
  change("import", "make an image of one that was baked in a local VM: uploads it, registers it, and waits for it")
    .argument("<folder>", "where bake image left it, such as out/2cards")
    .option("--bucket <name>", "another bucket than the profile's, in the same region")
    .option("--os-version <name>", 'what the image service calls the system, such as "openEuler 22.03 64bit"')
    .action(async (folder: string, options: ImportOptions) => {
      const { importFolder } = await import("./catalog-import.ts");
      process.exitCode = await importFolder(folder, options);
    });
  change("prune", "remove images that nobody needs; current, previous, the newest, shared and used ones stay")
    .option("--keep <number>", "how many of the newest stay", number, 3)
    .action(async (options: ChangeOptions & { keep: number }) => {
      const { prune } = await import("./catalog.ts");
      process.exitCode = await prune(options);
    });
  change("leftovers", "servers, addresses, key pairs, disks and uploads that were left; exit 1 when there are some")
    .option("--bake-id <id>", "of this bake alone")
    .option("--bucket <name>", "bucket of imports, where it is not the profile's")
    .option(
      "--older-than <hours>",
      "what is younger stays, since its bake may run: 3 hours, and those that its image may take",
      number,
    )
    .action(async (options: ChangeOptions & { bakeId?: string; olderThan?: number; bucket?: string }) => {
      const { leftovers } = await import("./catalog.ts");
      process.exitCode = await leftovers(options);
    });
};
