/**
 * The power goes at 20 points of one first boot, from the start of bake-storage until the node is ready; both disks are
 * taken at the same instant. Boots every copy and prints whether it becomes the whole node. Usage: bin/bench power-cuts
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Snapshot } from "../src/vm/disks.ts";
import { goldenImage, testHost } from "../test/vm/golden-image.ts";
import { bootAfterCut, firstBoot, isReady, onConsole, starting, until, written } from "../test/vm/node/power-cuts.ts";

const wanted = 20;
/** Taken more often than wanted, since nobody knows how long the boot takes; those in between are left out. */
const everyMs = 2000;

interface Cut {
  /** Seconds since the start of bake-storage. */
  readonly at: number;
  /** The units that were starting. */
  readonly during: string;
  readonly snapshot: Snapshot;
}

const host = testHost();
const golden = await goldenImage();
const first = await firstBoot(host, golden);
const cuts: Cut[] = [];
try {
  const { vm, folder } = first;
  await until("bake-storage starts", () => onConsole(vm, /Starting .*bake-storage/), { everyMs: 50 });
  const started = Date.now();
  const take = async (during?: string): Promise<void> => {
    const at = (Date.now() - started) / 1000;
    const snapshot = await vm.snapshot();
    // Before there is ssh, asking for the units would hold up the next copy.
    const early = (await onConsole(vm, /login:/)) ? undefined : "early boot";
    cuts.push({ at, during: during ?? early ?? (await starting(vm)), snapshot });
  };
  const empty = await written(folder);
  await until("the seed is being written", async () => (await written(folder)) > empty, { everyMs: 10 });
  await take("the seed");
  let ready = false;
  while (!ready) {
    await sleep(everyMs);
    await take();
    ready = await onConsole(vm, /ready for jobs/);
  }
  await until("ready", () => isReady(vm), { everyMs: 1000 });
  await vm.kill();
  const step = Math.max(1, (cuts.length - 1) / (wanted - 1));
  const picked = cuts.filter((_, index) => Math.floor(index / step) > Math.floor((index - 1) / step));
  process.stdout.write(
    `${cuts.length} copies in ${cuts.at(-1)?.at.toFixed(0)} s of one first boot, ${picked.length} are booted\n`,
  );
  process.stdout.write("     s  ready  after s  builders  during; what was said after it\n");
  let failed = 0;
  for (const cut of picked) {
    const outcome = await bootAfterCut(host, golden, first.identity, cut.snapshot);
    const whole = outcome.ready && outcome.builders.length === 4;
    if (!whole) failed++;
    process.stdout.write(
      `${cut.at.toFixed(1).padStart(6)}  ${(whole ? "yes" : "NO").padEnd(5)}  ${outcome.seconds.toFixed(0).padStart(7)}  ${String(outcome.builders.length).padStart(8)}  ${cut.during}\n${outcome.said.replaceAll(/^/gm, `${" ".repeat(33)}| `)}\n`,
    );
    if (!whole) process.stdout.write(`${outcome.why.replaceAll(/^/gm, "    | ")}\n`);
  }
  process.stdout.write(`${picked.length - failed} of ${picked.length} became the whole node\n`);
  process.exitCode = failed === 0 ? 0 : 1;
} finally {
  await first.end();
}
