import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Accelerator, chooseAccelerator } from "../build/accelerator.ts";
import { bakeImage, currentImage, type ImageRecord } from "../build/image.ts";
import { checkImage, type CheckReport } from "../check/check-image.ts";
import { formatResults, summarize } from "../check/results.ts";
import { formatTimeline } from "../check/timeline.ts";
import { BakeError } from "../errors.ts";
import type { Lock } from "../lock/lock.ts";
import { lockPath, readLock } from "../lock/read.ts";
import { planNode } from "../plan/plan.ts";
import { formatSeconds } from "../progress.ts";
import { renderTree, templateNames } from "../render/tree.ts";
import { writeTree } from "../render/write.ts";
import { readTemplates } from "../root.ts";
import { Store } from "../store/store.ts";
import { bakeNeeds, installPackages } from "../toolchain/packages.ts";
import { ensurePacker, installQemuPlugin, packerEnvironment } from "../toolchain/tools.ts";
import { prepareTrial } from "../trial/prepare.ts";
import { formatSubstitutions, substitute, trialSizes } from "../trial/substitutions.ts";
import { Interrupted, makeHost, type RealHost } from "./host.ts";
import { type ProfileFile, readProfileFile, reportFailure, requireProfile } from "./profile-file.ts";

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const lockOf = async (file: ProfileFile): Promise<Lock> => {
  const lock = await readLock(lockPath(file.file));
  if (lock !== undefined) return lock;
  throw new BakeError(
    "BK204",
    `${file.file} has no lock: ${lockPath(file.file)} is not there`,
    "A bake takes only bytes that a lock names. Put the lock beside the profile,\nor bake with stand-in sources: add --trial.",
  );
};

interface ImageOptions {
  readonly profile: string;
  readonly trial?: boolean;
  readonly check: boolean;
}

/** `bake image`. @returns the exit code. */
export const image = async (options: ImageOptions): Promise<number> => {
  const real = await makeHost();
  try {
    return await bake(options, real);
  } catch (error) {
    const reason: unknown = real.host.signal.reason;
    return reason instanceof Interrupted ? reason.exitCode : reportFailure(error);
  }
};

const bake = async (options: ImageOptions, { host, progress, saveDurations }: RealHost): Promise<number> => {
  const trial = options.trial === true;
  const file = await readProfileFile(options.profile);
  const written = requireProfile(file);
  if (written === undefined) return 1;
  const store = new Store(join(host.cacheDir, "store"));
  const started = host.now();

  const { profile, substitutions } = trial ? substitute(written) : { profile: written, substitutions: [] };
  if (trial)
    print(`TRIAL of ${file.file}: stand-in sources, not for production\n${formatSubstitutions(substitutions)}\n`);

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

  const accelerator = await chooseAccelerator({ host, image: store.path(lock.base.sha256) });
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
  await saveDurations();
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
  await saveDurations();
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
