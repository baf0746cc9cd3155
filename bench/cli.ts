/**
 * How long the commands take that people and CI call often, over starting Node alone, and `validate` over cloud-init's own
 * schema check of what is rendered. Medians of interleaved runs. Run it by `bin/bench cli`; takes half a minute.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../src/host/root.ts";
import { median } from "./parts/median.ts";

const rounds = 11;
const folder = mkdtempSync(join(tmpdir(), "bake-bench-"));
const cli = join(root, "bin/cli.cjs");
const lines = 10_000;

/** 2cards, with as many variables as make it 10,000 lines. */
const large = join(folder, "large.yaml");
writeFileSync(
  large,
  [
    `extends: ${JSON.stringify(join(root, "profiles/2cards.yaml"))}`,
    "agents:",
    "  environment:",
    ...Array.from({ length: lines - 3 }, (_, index) => `    VARIABLE_${index}: "value of ${index}"`),
  ].join("\n"),
);

const cloudInit = join(
  process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"),
  "bake/test/cloud-init/tree/usr/lib/python3/dist-packages",
);
const userData = join(folder, "out/2cards/user-data/golden.yaml");

interface Command {
  readonly name: string;
  readonly aim?: number;
  readonly run: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
}

const commands: readonly Command[] = [
  { name: "node -e 0", run: [process.execPath, "-e", "0"] },
  { name: "bake --help", aim: 1.3, run: [process.execPath, cli, "--help"] },
  { name: "bake validate --profile 2cards", aim: 2, run: [process.execPath, cli, "validate", "--profile", "2cards"] },
  { name: "bake render --profile 2cards", aim: 2.5, run: [process.execPath, cli, "render", "--profile", "2cards"] },
  { name: `bake validate, ${lines} lines`, run: [process.execPath, cli, "validate", "--profile", large] },
  ...(existsSync(cloudInit)
    ? [
        {
          name: "cloud-init schema",
          run: ["/usr/bin/python3", "-m", "cloudinit.cmd.main", "schema", "--config-file", userData] as const,
          env: { PYTHONPATH: cloudInit },
        },
      ]
    : []),
];

const milliseconds = ({ run: [file, ...args], env }: Command): number => {
  const from = process.hrtime.bigint();
  const { status, stderr } = spawnSync(file, args, { cwd: folder, env: { ...process.env, ...env }, encoding: "utf8" });
  const took = Number(process.hrtime.bigint() - from) / 1e6;
  if (status !== 0) throw new Error(`${file} ${args.join(" ")}: exit status ${status}\n${stderr}`);
  return took;
};

try {
  // What is rendered first is there for all rounds, and files are in the cache.
  spawnSync(process.execPath, [cli, "render", "--profile", "2cards"], { cwd: folder });
  const usable = commands.filter((command) => {
    try {
      milliseconds(command);
      return true;
    } catch (error) {
      process.stdout.write(`not measured: ${command.name}: ${String(error).trim().split("\n").at(-1)}\n`);
      return false;
    }
  });
  const times = new Map<string, number[]>(usable.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const command of usable) times.get(command.name)?.push(milliseconds(command));
  }
  const base = median(times.get("node -e 0") ?? []);
  process.stdout.write(`${"".padEnd(34)} median ms   over node -e 0   aim\n`);
  for (const { name, aim } of usable) {
    const time = median(times.get(name) ?? []);
    process.stdout.write(
      `${name.padEnd(34)} ${time.toFixed(0).padStart(9)} ${(time / base).toFixed(2).padStart(15)} ${(aim === undefined ? "" : `<= ${aim}`).padStart(8)}\n`,
    );
  }
  const validate = median(times.get("bake validate --profile 2cards") ?? []);
  const schema = times.get("cloud-init schema");
  if (schema !== undefined)
    process.stdout.write(`bake validate over cloud-init schema: ${(validate / median(schema)).toFixed(2)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
