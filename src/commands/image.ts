import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { chooseAccelerator } from "../vm/accelerator.ts";
import { bakeCloudImage, cloudCredentials, currentCloudImage } from "../bake/cloud-image.ts";
import { bakeImage, baseDisk, currentImage, type ImageRecord, type Provenance } from "../bake/image.ts";
import { checkImage, dataDiskFor } from "../check/check-image.ts";
import { withholdSecrets } from "../check/known-secrets.ts";
import { BakeError } from "../errors.ts";
import { formatSeconds } from "../host/progress.ts";
import type { Profile } from "../profile/schema.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { provenance } from "../render/provenance.ts";
import { writeTree } from "../render/write.ts";
import type { Store } from "../store/store.ts";
import { bakeNeeds, installPackages } from "../toolchain/packages.ts";
import { type TargetName, targetsOf } from "../plan/target.ts";
import { ensureTool } from "../toolchain/ensure.ts";
import { packerEnvironment } from "../toolchain/packer-environment.ts";
import { ensurePacker } from "../toolchain/packer.ts";
import { formatSubstitutions } from "../trial/substitutions.ts";
import { endOf, makeHost, type RealHost, storeOf } from "./host.ts";
import { fetchPlanned, requirePlace } from "./fetch.ts";
import { updateLock } from "./lock.ts";
import { type Asked, type LockMaker, outFolder, planAsked, readAsked } from "./planned.ts";
import type { Host } from "../host/host.ts";
import { exitCodeOf, formatImageReport, formatReport, imageResults, paintFor } from "./report.ts";

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

export interface ImageOptions {
  readonly profile: string;
  readonly trial?: boolean;
  /** Without it the first that the profile has. */
  readonly target?: TargetName;
  readonly check: boolean;
  /** A missing or stale lock is an error; so it is in CI. */
  readonly frozenLockfile?: boolean;
  /** Touches no network. */
  readonly offline?: boolean;
  /** A folder or a URL with files by digest: the only place that artifacts are taken from. */
  readonly mirror?: string;
}

/** @returns the credentials that the target needs. @throws BakeError BK410 without them, BK413 for a target that cannot be. */
const requireTarget = (
  profile: Profile,
  file: string,
  target: TargetName | undefined,
  { trial = false, offline = false }: Pick<ImageOptions, "trial" | "offline">,
  env: Host["env"],
): Record<string, string> => {
  if (target === "huaweicloud" && trial) {
    throw new BakeError("BK413", "a trial bakes in a local VM alone", "Leave --trial or --target huaweicloud out.");
  }
  if (target !== undefined && !targetsOf(profile).includes(target)) {
    throw new BakeError("BK413", `${file} has no target ${target}`, `It has: ${targetsOf(profile).join(", ")}.`);
  }
  if (target === "huaweicloud" && offline) {
    throw new BakeError(
      "BK413",
      "a bake in the cloud needs the network",
      `Leave --offline out${targetsOf(profile).includes("qemu") ? ", or bake in a local VM: --target qemu" : ""}.`,
    );
  }
  return target === "huaweicloud" ? cloudCredentials(env) : {};
};

/** Makes or mends the lock where that is wanted: not in CI, not without a network, not where all comes from a mirror. */
const lockMaker = (options: ImageOptions, host: Host): LockMaker | undefined =>
  options.frozenLockfile === true ||
  options.offline === true ||
  options.mirror !== undefined ||
  (host.env["CI"] ?? "") !== ""
    ? undefined
    : (file, profile, previous) => {
        requireTarget(profile, file.file, options.target ?? targetsOf(profile)[0], options, host.env);
        print(
          `lock\n  ${file.lockFile} ${previous === undefined ? "is not there: making it" : "does not hold all that the profile asks for: bringing it up to date"}`,
        );
        return updateLock(host, file, profile, previous, () => false);
      };

/** `bake image`. @returns the exit code. */
export const image = async (options: ImageOptions, version: string): Promise<number> => {
  const real = await makeHost();
  try {
    return await bake(options, real, version);
  } catch (error) {
    return endOf(real.host, error);
  }
};

const provenanceOf =
  (asked: Asked, plan: NodePlan, bakeId: string, bakeVersion: string): Provenance =>
  (subject, { started, finished }) =>
    provenance(plan, {
      bakeId,
      subject,
      profileTexts: asked.file.texts,
      bakeVersion,
      started: new Date(started).toISOString(),
      finished: new Date(finished).toISOString(),
    });

const bake = async (
  options: ImageOptions,
  { host: whole, progress, saveDurations }: RealHost,
  version: string,
): Promise<number> => {
  requirePlace(options);
  const asked = await readAsked(options, lockMaker(options, whole));
  if (asked === undefined) return 1;
  const host = withholdSecrets(whole, asked.profile.secrets);
  const { file, trial, offline, folder } = asked;
  const store = storeOf(host);
  const started = host.now();
  const target = options.target ?? (trial ? "qemu" : targetsOf(asked.profile)[0]);
  // Before anything starts.
  const credentials = requireTarget(asked.profile, file.file, target, options, whole.env);
  if (trial)
    print(`TRIAL of ${file.file}: stand-in sources, not for production\n${formatSubstitutions(asked.substitutions)}\n`);
  if (!trial && asked.lock === undefined) {
    throw new BakeError(
      "BK204",
      `${file.file} has no lock: ${file.lockFile} is not there`,
      `Make one: bake lock --profile ${options.profile}. In CI, with --frozen-lockfile, --offline and --mirror it is not made on the way.\nFor a look with stand-in sources: add --trial.`,
    );
  }
  if (target === "huaweicloud")
    return bakeInCloud(asked, { host, progress, saveDurations }, store, credentials, options, version);
  print("set-up");
  await installPackages(host, bakeNeeds, { offline });
  const packer = await ensurePacker(host, { offline });

  const planned = await planAsked(host, store, asked, "qemu");
  const { plan, templates, lock, files, bakeId } = planned;
  if (lock === undefined || bakeId === undefined) throw new Error("a plan with a lock has a bake id");
  await mkdir("out", { recursive: true });
  const changed = await writeTree(folder, files);
  print(`\nrender\n  ${folder}: ${files.length} files, ${changed.length} changed\n  bake id ${bakeId}\n\nbake`);

  await fetchPlanned(host, store, asked, planned, options);
  const accelerator = await chooseAccelerator({ host, image: (await baseDisk(host, store, plan.base)).path });
  print(`  accelerator ${accelerator.accel}: ${accelerator.reason}`);
  const current = await currentImage(folder, bakeId);
  const record =
    current ??
    (await bakeImage(host, {
      folder,
      plan,
      bakeId,
      trial,
      secrets: asked.profile.secrets,
      store,
      accelerator,
      packer: { path: packer, environment: packerEnvironment(host) },
      onPhase: ({ id, title, seconds }) => progress.record(`packer:${id}`, `in the VM: ${title}`, seconds),
      steps: () => progress.times,
      provenance: provenanceOf(asked, plan, bakeId, version),
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
    dataDisk: dataDiskFor(plan),
    logDir: join(folder, "log", "check"),
  });
  await saveDurations();
  const results = imageResults(report);
  print(`\n${formatImageReport(report, accelerator.accel)}\n\n${formatReport(results, paintFor(process.stdout))}`);
  if (trial) print("This was a TRIAL: the image is made from stand-in sources.");
  return exitCodeOf(results, false);
};

/** The other target: no VM, no boot; what was made is checked on a server, by `bake check --host`. */
const bakeInCloud = async (
  asked: Asked,
  { host, progress, saveDurations }: RealHost,
  store: Store,
  credentials: Readonly<Record<string, string>>,
  options: ImageOptions,
  version: string,
): Promise<number> => {
  print("set-up");
  const packer = await ensureTool(host, "packer");
  const planned = await planAsked(host, store, asked, "huaweicloud");
  const { plan, files, bakeId } = planned;
  if (bakeId === undefined || plan.target.name !== "huaweicloud") throw new Error("a plan with a lock has a bake id");
  const folder = outFolder(asked.file.name, "huaweicloud");
  await mkdir("out", { recursive: true });
  const changed = await writeTree(folder, files);
  print(`\nrender\n  ${folder}: ${files.length} files, ${changed.length} changed\n  bake id ${bakeId}\n\nbake`);
  const current = await currentCloudImage(folder, bakeId);
  if (current !== undefined) print(`  up to date: nothing to bake (made ${current.madeAt})`);
  else if (plan.target.mirror === undefined) await fetchPlanned(host, store, asked, planned, options);
  const record =
    current ??
    (await bakeCloudImage(host, {
      folder,
      plan,
      bakeId,
      credentials,
      secrets: asked.profile.secrets,
      store,
      packer: { path: packer.path, environment: packerEnvironment(host) },
      onPhase: ({ id, title, seconds }) => progress.record(`cloud:${id}`, `on the server: ${title}`, seconds),
      steps: () => progress.times,
      provenance: provenanceOf(asked, plan, bakeId, version),
    }));
  await saveDurations();
  print(
    `\nimage\n  image ID ${record.imageId}\n  name     ${record.imageName}\n  region   ${record.region}\n  bake id  ${record.bakeId}\nIt was not booted: make a server from it and run bake check --profile ${asked.file.name} --host.`,
  );
  return 0;
};

const printImage = (folder: string, record: ImageRecord, seconds: number): void => {
  print(
    `\nimage\n  file    ${join(folder, record.file)}\n  sha256  ${record.sha256}\n  size    ${(record.size / 2 ** 20).toFixed(0)} MiB\n  bake id ${record.bakeId}\n  this run ${formatSeconds(seconds)} without the boot`,
  );
};
