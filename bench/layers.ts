/**
 * A bake from layers over one of everything, and one of nothing over a second: the trial of 2cards in a local VM, without its check.
 * Run it by `bin/bench layers`. Takes as long as two bakes a round; under emulation the boot of the build VM is the larger part of each,
 * and with a payload of megabytes the smaller one of what a real node's takes.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { root } from "../src/host/root.ts";

const rounds = Number(process.env["BAKE_BENCH_ROUNDS"] ?? "1");
const parent = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "bake/test");
mkdirSync(parent, { recursive: true });
const folder = mkdtempSync(join(parent, "bench-layers-"));
mkdirSync(join(folder, "profiles"));

/** Of one name: it stands in the first line of what is laid. */
const write = (queue: string): void =>
  writeFileSync(
    join(folder, "profiles/2cards.yaml"),
    `extends: ${JSON.stringify(join(root, "profiles/2cards.yaml"))}\nagents: { queue: ${queue} }\n`,
  );

const seconds = (...options: string[]): number => {
  const started = performance.now();
  const args = [join(root, "bin/cli.cjs"), "image", "--profile", "2cards", "--trial", "--no-check", ...options];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(`bake ${args.slice(1).join(" ")}: exit status ${status}\n${stdout}${stderr}`);
  return (performance.now() - started) / 1000;
};

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const line = (what: string, value: number, unit: string, aim: string): void =>
  void process.stdout.write(`${what.padEnd(46)} ${value.toFixed(2).padStart(8)} ${unit.padEnd(2)} ${aim}\n`);

try {
  const whole: number[] = [];
  const layered: number[] = [];
  const unchanged: number[] = [];
  for (let round = 0; round < rounds; round++) {
    write(`whole-${round}`);
    whole.push(seconds("--no-cache"));
    write(`layered-${round}`);
    layered.push(seconds());
    for (let time = 0; time < 5; time++) unchanged.push(seconds());
  }
  line("everything", median(whole), "s", "");
  line("another queue, from layers", median(layered), "s", "");
  line("another queue over everything", median(layered) / median(whole), "", "aim 0.25, with a real payload");
  line("nothing", median(unchanged), "s", "aim below 1 s");
} finally {
  rmSync(folder, { recursive: true, force: true });
}
