import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import type { Provenance } from "../bake/image-record.ts";
import { bakeTargets, chooseTarget } from "../bake/targets.ts";
import { checkImage, type CheckReport, dataDiskFor } from "../check/check-image.ts";
import { withholdSecrets } from "../check/known-secrets.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import type { Profile, TargetName } from "../profile/schema.ts";
import type { ReportedNode } from "../report/input.ts";
import { provenance } from "../render/provenance.ts";
import { writeTree } from "../render/write.ts";
import { packerEnvironment } from "../toolchain/packer-environment.ts";
import { formatSubstitutions } from "../trial/substitutions.ts";
import { fetchPlanned, requirePlace, requireSources } from "./fetch.ts";
import { endOf, makeHost, type RealHost, storeOf } from "./host.ts";
import { updateLock } from "./lock.ts";
import { type Asked, type LockMaker, outFolder, planAsked, type Planned, readAsked } from "./planned.ts";
import { imagePage, keepRecord, nodeOfImage, recordBefore, writeReport } from "./report-file.ts";
import { secretsHere } from "./secrets-here.ts";
import { exitCodeOf, formatImageReport, formatReport, imageResults, paintFor, reportObject } from "./report.ts";
import { printJson } from "./print-json.ts";

type Print = (text: string) => void;

export interface ImageOptions {
  readonly profile: string;
  readonly trial?: boolean;
  /** Without it the first that the profile has. */
  readonly target?: TargetName;
  readonly check: boolean;
  /** False: every stage is made anew. */
  readonly cache?: boolean;
  /** A missing or stale lock is an error; so it is in CI. */
  readonly frozenLockfile?: boolean;
  /** Touches no network. */
  readonly offline?: boolean;
  /** A folder or a URL with files by digest: the only place that artifacts are taken from. */
  readonly mirror?: string;
  /** What came of it is told as JSON, and how it goes on standard error. */
  readonly json?: boolean;
}

/**
 * The target that these options ask for, and the credentials that it needs.
 * @throws BakeError BK410 without them, BK413 for a target that cannot be.
 */
const requireTarget = (profile: Profile, file: string, options: ImageOptions, env: Host["env"]) => {
  const target = chooseTarget(profile, file, {
    asked: options.target,
    trial: options.trial === true,
    offline: options.offline === true,
  });
  return { target, credentials: bakeTargets[target].credentials(env) };
};

/** Makes or mends the lock where that is wanted: not in CI, not without a network, not where all comes from a mirror. */
const lockMaker = (options: ImageOptions, host: Host, print: Print): LockMaker | undefined =>
  options.frozenLockfile === true ||
  options.offline === true ||
  options.mirror !== undefined ||
  (host.env["CI"] ?? "") !== ""
    ? undefined
    : (file, profile, previous) => {
        requireTarget(profile, file.file, options, host.env);
        print(
          `lock\n  ${file.lockFile} ${previous === undefined ? "is not there: making it" : "does not hold all that the profile asks for: bringing it up to date"}`,
        );
        return updateLock(
          host,
          file,
          profile,
          previous,
          () => false,
          options.json === true ? () => undefined : undefined,
        );
      };

/** `bake image`. @returns the exit code. */
export const image = async (options: ImageOptions, version: string): Promise<number> => {
  const messages = options.json === true ? process.stderr : process.stdout;
  const real = await makeHost(messages);
  try {
    const baked = await bake(options, real, version, (text) => void messages.write(`${text}\n`));
    if (baked === undefined) return 1;
    const { exitCode, object } = baked;
    if (options.json === true) printJson({ ok: exitCode === 0, ...object });
    return exitCode;
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

/** Writes report.html beside the image, and says where. @param nodes What came of checking it, if anybody did. */
const report = async (
  { host, progress }: RealHost,
  { profile }: Asked,
  { plan, lock }: Planned,
  folder: string,
  nodes: readonly ReportedNode[],
): Promise<string> => {
  const { profile: name, trial } = plan;
  const about = { profile: name, trial, now: host.now(), secrets: await secretsHere(profile, host) };
  const file = join(folder, "report.html");
  await writeReport(file, await imagePage(about, { folder, plan, profile, lock, progress, nodes }));
  return file;
};

interface Baked {
  readonly exitCode: number;
  /** For a program: docs/check.md has that of its check. */
  readonly object: object;
}

/** @returns undefined after problems of the profile were printed. */
const bake = async (
  options: ImageOptions,
  real: RealHost,
  version: string,
  print: Print,
): Promise<Baked | undefined> => {
  const { host: whole, progress, saveDurations } = real;
  requirePlace(options);
  const asked = await readAsked(options, lockMaker(options, whole, print));
  if (asked === undefined) return undefined;
  const host = withholdSecrets(whole, asked.profile.secrets);
  const { file, trial, offline } = asked;
  const store = storeOf(host);
  const started = host.now();
  // Before anything starts.
  const { target, credentials } = requireTarget(asked.profile, file.file, options, whole.env);
  if (trial)
    print(`TRIAL of ${file.file}: stand-in sources, not for production\n${formatSubstitutions(asked.substitutions)}\n`);
  if (!trial && asked.lock === undefined) {
    throw new BakeError(
      "BK204",
      `${file.file} has no lock: ${file.lockFile} is not there`,
      `Make one: bake lock --profile ${options.profile}. In CI, with --frozen-lockfile, --offline and --mirror it is not made on the way.\nFor a look with stand-in sources: add --trial.`,
    );
  }
  const basePassword = await bakeTargets[target].basePassword(asked.profile, whole.env);
  const baker = await bakeTargets[target].load();
  // Tools may have to be built: not for a network that is not there.
  await requireSources(host, store, asked, options);
  print("set-up");
  const packer = await baker.setUp(host, asked.profile, { offline });

  const planned = await planAsked(host, store, asked, target);
  const { plan, templates, files, bakeId, stages } = planned;
  if (bakeId === undefined) throw new Error("a plan with a lock has a bake id");
  const folder = trial ? asked.folder : outFolder(file, target);
  await makeFolder(dirname(folder));
  const changed = await writeTree(folder, files, (path) =>
    host.progress.note(`  not made by bake, moved out of what is baked: ${join(folder, path)}`),
  );
  print(`\nrender\n  ${folder}: ${files.length} files, ${changed.length} changed\n  bake id ${bakeId}\n\nbake`);

  const before = await recordBefore(folder);
  const { describe, bootable } = await baker.bake(host, {
    folder,
    plan,
    bakeId,
    ...(stages !== undefined && { stages }),
    ...(options.cache === false && { noCache: true }),
    files,
    trial,
    credentials,
    secrets: asked.profile.secrets,
    ...(basePassword !== undefined && { basePassword }),
    store,
    packer: { path: packer, environment: packerEnvironment(host) },
    fetch: () => fetchPlanned(host, store, asked, planned, options),
    recordStep: ({ id, title, seconds }) => progress.record(id, title, seconds),
    steps: () => progress.times,
    provenance: provenanceOf(asked, plan, bakeId, version),
    print,
  });
  await keepRecord(folder, before);
  await saveDurations();
  print(`\nimage\n${describe((host.now() - started) / 1000)}`);
  const tell = async (nodes: readonly ReportedNode[]): Promise<string> => {
    const page = await report(real, asked, planned, folder, nodes);
    print(`\nreport\n  ${page}`);
    return page;
  };
  const object = async (page: string, check: object | null) => ({
    ...{ profile: file.name, trial, target, bakeId, folder },
    // In the cloud there may be an image whose record could not be written.
    image: JSON.parse(await readFile(join(folder, "image.json"), "utf8").catch(() => "null")) as unknown,
    ...{ report: page, seconds: Math.round((host.now() - started) / 1000), check },
  });
  if (bootable === undefined || !options.check) return { exitCode: 0, object: await object(await tell([]), null) };

  print("\ncheck");
  const accelerator = await bootable.accelerator();
  let checked: CheckReport;
  try {
    checked = await checkImage(host, {
      plan,
      templates,
      bakeId,
      image: bootable.image,
      accelerator,
      dataDisk: dataDiskFor(plan),
      logDir: join(folder, "log", "check"),
    });
  } catch (error) {
    // The image is there, and what is known of it. A report that cannot be written hides no reason.
    if (error instanceof BakeError && !host.signal.aborted) {
      const node = { name: folder, results: [], problems: [`${error.code}: ${error.message}`], boots: [] };
      await tell([node]).catch((failure: Error) => print(failure.message));
    }
    throw error;
  }
  await saveDurations();
  const results = imageResults(checked);
  print(`\n${formatImageReport(checked, accelerator.accel)}\n\n${formatReport(results, paintFor(process.stdout))}`);
  const page = await tell([nodeOfImage(folder, checked)]);
  if (trial) print("This was a TRIAL: the image is made from stand-in sources.");
  const exitCode = exitCodeOf(results, false);
  const node = { kind: "image", image: folder };
  const found = reportObject(plan, node, results, { problems: checked.problems, exitCode });
  return { exitCode, object: await object(page, found) };
};
