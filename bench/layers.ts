/**
 * A bake from layers over one of everything, and one of nothing over a second: the trial of 2cards in a local VM, without its check.
 * Run it by `bin/bench layers`. Takes as long as two bakes a round; under emulation the boot of the build VM is the larger part of each,
 * and with a payload of megabytes the smaller one of what a real node's takes.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { median } from "./parts/median.ts";
import { trialBakeIn } from "./parts/trial-bake.ts";

const rounds = Number(process.env["BAKE_BENCH_ROUNDS"] ?? "1");
const parent = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "bake/test");
mkdirSync(parent, { recursive: true });
const folder = mkdtempSync(join(parent, "bench-layers-"));
const { write, bake } = trialBakeIn(folder);

const line = (what: string, value: number, unit: string, aim: string): void =>
  void process.stdout.write(`${what.padEnd(46)} ${value.toFixed(2).padStart(8)} ${unit.padEnd(2)} ${aim}\n`);

try {
  const whole: number[] = [];
  const layered: number[] = [];
  const unchanged: number[] = [];
  for (let round = 0; round < rounds; round++) {
    write(`whole-${round}`);
    whole.push(bake("--no-cache"));
    write(`layered-${round}`);
    layered.push(bake());
    for (let time = 0; time < 5; time++) unchanged.push(bake());
  }
  line("everything", median(whole), "s", "");
  line("another queue, from layers", median(layered), "s", "");
  line("another queue over everything", median(layered) / median(whole), "", "aim 0.25, with a real payload");
  line("nothing", median(unchanged), "s", "aim below 1 s");
} finally {
  rmSync(folder, { recursive: true, force: true });
}
