import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { type Accelerator, chooseAccelerator } from "../build/accelerator.ts";
import { bakeImage, currentImage, type ImageRecord } from "../build/image.ts";
import { checkImage, type CheckReport } from "../check/check-image.ts";
import { formatResults, summarize } from "../check/results.ts";
import { formatTimeline } from "../check/timeline.ts";
import { BakeError } from "../errors.ts";
import { type Host, runProcess } from "../host.ts";
import type { Lock } from "../lock/lock.ts";
import { lockPath, readLock } from "../lock/read.ts";
import { planNode } from "../plan/plan.ts";
import { formatSeconds, readDurations, StepProgress, writeDurations } from "../progress.ts";
import { renderTree, templateNames } from "../render/tree.ts";
import { writeTree } from "../render/write.ts";
import { readTemplates } from "../root.ts";
import { Store } from "../store/store.ts";
import { bakeNeeds, installPackages } from "../toolchain/packages.ts";
import { ensurePacker, installQemuPlugin, packerEnvironment } from "../toolchain/tools.ts";
import { prepareTrial } from "../trial/prepare.ts";
import { formatSubstitutions, substitute, trialSizes } from "../trial/substitutions.ts";
import { type ProfileFile, readProfileFile, reportFailure, requireProfile } from "./profile-file.ts";

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** Ctrl-C and SIGTERM stop the running step; a second one ends bake at once. */
const interruptible = (): AbortSignal => {
  const controller = new AbortController();
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(code);
      process.stderr.write(`\nstopping (${signal}): the VM is shut down, nothing half-made is kept\n`);
      controller.abort(new Interrupted(code));
    });
  }
  return controller.signal;
};

class Interrupted extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super("interrupted");
    this.exitCode = exitCode;
  }
}

const lockOf = async (file: ProfileFile): Promise<Lock> => {
  const lock = await readLock(lockPath(file.file));
  if (lock !== undefined) return lock;
  throw new BakeError(
    "BK204",
    `${file.file} has no lock: ${lockPath(file.file)} is not there`,
    "A bake takes only bytes that a lock names. Put the lock beside the profile,\nor bake with stand-in sources: add --trial.",
  );
};

/** `bake image`. @returns the exit code. */
export const image = async (options: { profile: string; trial?: boolean; check: boolean }): Promise<number> => {
  const signal = interruptible();
  try {
    return await bake(options, signal);
  } catch (error) {
    if (signal.aborted) return (signal.reason as Interrupted).exitCode;
    return reportFailure(error);
  }
};

const bake = async (options: { profile: string; trial?: boolean; check: boolean }, signal: AbortSignal): Promise<number> => {
  const trial = options.trial === true;
  const file = await readProfileFile(options.profile);
  const written = requireProfile(file);
  if (written === undefined) return 1;
  const cacheDir = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "bake");
  const durations = join(cacheDir, "steps.json");
  const live = process.stdout.isTTY === true && !process.env["CI"];
  const progress = new StepProgress(
    { write: (text) => process.stdout.write(text), live, columns: process.stdout.columns ?? 80 },
    Date.now,
    await readDurations(durations),
  );
  const host: Host = { run: runProcess(signal), now: Date.now, env: process.env, cacheDir, signal, progress };
  const store = new Store(join(cacheDir, "store"));
  const started = host.now();

  const { profile, substitutions } = trial ? substitute(written) : { profile: written, substitutions: [] };
  if (trial) print(`TRIAL of ${file.file}: stand-in sources, not for production\n${formatSubstitutions(substitutions)}\n`);

  const given = trial ? undefined : await lockOf(file);
  print("set-up");
  await installPackages(host, bakeNeeds);
  const tools = await ensurePacker(host);
  const environment = packerEnvironment(host);
  await installQemuPlugin(host, tools);
  const lock = given ?? (await prepareTrial(host, store, { profileName: file.name }));

  const plan = planNode({ name: file.name, profile, lock, trial });
  const templates = await readTemplates(templateNames(plan));
  const { files, bakeId } = renderTree(plan, templates);
  if (bakeId === undefined) throw new Error("a plan with a lock has a bake id");
  const folder = join("out", trial ? `${file.name}-trial` : file.name);
  await mkdir("out", { recursive: true });
  const changed = await writeTree(folder, files);
  print(`\nrender\n  ${folder}: ${files.length} files, ${changed.length} changed\n  bake id ${bakeId}\n\nbake`);

  const accelerator = await chooseAccelerator();
  print(`  accelerator ${accelerator.accel}: ${accelerator.reason}`);
  const current = await currentImage(folder, bakeId);
  const record =
    current ??
    (await bakeImage(host, {
      folder,
      lock,
      bakeId,
      trial,
      store,
      accelerator,
      packer: { path: tools.packer, environment },
      onPhase: ({ id, title, seconds }) => progress.record(`packer:${id}`, `in the VM: ${title}`, seconds),
      steps: () => progress.times,
    }));
  if (current !== undefined) print(`  up to date: nothing to bake (made ${current.madeAt})`);
  await writeDurations(durations, progress.durations());
  printImage(folder, record, (host.now() - started) / 1000);
  if (!options.check) return 0;

  print("\ncheck");
  const report = await checkImage(host, {
    plan,
    templates,
    bakeId,
    image: join(folder, record.file),
    accelerator,
    dataDisk: trialSizes.dataDisk,
    logDir: join(folder, "log", "check"),
  });
  await writeDurations(durations, progress.durations());
  return printReport(report, accelerator, trial);
};

const printImage = (folder: string, record: ImageRecord, seconds: number): void => {
  print(
    `\nimage\n  file    ${join(folder, record.file)}\n  sha256  ${record.sha256}\n  size    ${(record.size / 2 ** 20).toFixed(0)} MiB\n  bake id ${record.bakeId}\n  this run ${formatSeconds(seconds)} without the boot`,
  );
};

const printReport = (report: CheckReport, accelerator: Accelerator, trial: boolean): number => {
  const { passed, failed, advisory, notChecked } = summarize(report.results);
  print(`\nchecks\n${formatResults(report.results)}`);
  print(`\nagents (loopback agent API)\n${report.agents.map((name) => `  ${name}`).join("\n")}`);
  for (const problem of report.problems) print(`  PROBLEM ${problem}`);
  print(
    `\njob on ${report.job.agent}: exit ${report.job.exitStatus} in ${formatSeconds(report.job.seconds)}, log tail:\n${report.job.log
      .trimEnd()
      .split("\n")
      .slice(-12)
      .map((line) => `  | ${line.trimEnd()}`)
      .join("\n")}`,
  );
  print(
    `\nboot timeline (${accelerator.accel})\n${formatTimeline(report.timeline)}\n  from power-on: ssh ${formatSeconds(report.seconds.ssh)}, agents registered ${formatSeconds(report.seconds.agents)}, job done ${formatSeconds(report.seconds.job)}`,
  );
  print(`\n${passed} passed, ${failed} failed, ${notChecked} not checked, ${advisory} advisory`);
  if (trial) print("This was a TRIAL: the image is made from stand-in sources.");
  return failed === 0 && report.problems.length === 0 && report.job.exitStatus === 0 ? 0 : 1;
};
