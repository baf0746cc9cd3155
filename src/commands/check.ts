import { access, constants, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { chooseAccelerator } from "../vm/accelerator.ts";
import { collect, writeBundle } from "../check/bundle.ts";
import {
  checkHost,
  compareBakeIds,
  identify,
  openRootShell,
  requireArchitecture,
  type RootShell,
} from "../check/check-host.ts";
import { checkImage, type CheckReport, dataDiskFor } from "../check/check-image.ts";
import { type HostOutput, onHostScript } from "../check/on-host.ts";
import type { CheckResult } from "../check/results.ts";
import { formatSshTarget, parseSshTarget, sshToHost, type SshTarget } from "../vm/ssh.ts";
import { BakeError } from "../errors.ts";
import { exists } from "../host/exists.ts";
import type { Host } from "../host/host.ts";
import { type Architecture } from "../artifact.ts";
import { lockedFor } from "../lock/lock.ts";
import type { Fact } from "../report/input.ts";
import { planTarget } from "../targets/index.ts";
import { readTemplates } from "../host/root.ts";
import type { Store } from "../store/store.ts";
import { bakeNeeds, installPackages } from "../toolchain/packages.ts";
import { ensureTool } from "../toolchain/ensure.ts";
import { checkSeveral, writeReports } from "./check-several.ts";
import { describeHost, hostFacts } from "./describe-host.ts";
import { endOf, makeHost, storeOf } from "./host.ts";
import { type Asked, planAsked, type Planned, readAsked } from "./planned.ts";
import { type About, imagePage, nodesPage } from "./report-file.ts";
import { secretsHere } from "./secrets-here.ts";
import { exitCodeOf, formatImageReport, formatReport, imageResults, paintFor, reportObject } from "./report.ts";

export interface CheckOptions {
  readonly profile: string;
  /** `true`: the image in out/<profile>/. */
  readonly image?: string | true;
  /** None with an image. */
  readonly host: readonly string[];
  readonly trial?: boolean;
  readonly json?: boolean;
  readonly bundle?: string;
  readonly junit?: string;
  readonly annotation?: string;
  /** HTML, for people. */
  readonly report?: string;
}

/** What came of looking at a node. */
interface Looked {
  readonly results: readonly CheckResult[];
  /** For the `node` of --json. */
  readonly node: Readonly<Record<string, unknown>>;
  /** What could not be checked, and why. */
  readonly problems: readonly string[];
  /** For the report, besides. */
  readonly facts?: readonly Fact[];
  readonly boots?: CheckReport["boots"];
  readonly panics?: readonly string[];
  /** The folder of the image, where its record lies beside it. */
  readonly folder?: string;
  /** Printed before and after the table. */
  readonly before: string;
  readonly after?: string;
}

const usage = (message: string): number => {
  process.stderr.write(`error: ${message}\n(bake check --help lists the options)\n`);
  return 2;
};

/** `bake check`. @returns the exit code: 0 ok, 1 findings, 2 could not check. */
export const check = async (options: CheckOptions): Promise<number> => {
  if ((options.image === undefined) === (options.host.length === 0)) {
    return usage("give one of --image and --host");
  }
  const targets: SshTarget[] = [];
  for (const each of new Set(options.host)) {
    const parsed = parseSshTarget(each);
    if (parsed === undefined) return usage(`--host ${each} is no [user@]host[:port]`);
    targets.push(parsed);
  }
  if (targets.length > 1 && options.bundle !== undefined) return usage("--bundle takes one host at a time");
  const [target] = targets;
  const json = options.json === true;
  const { host, progress, saveDurations } = await makeHost(json ? process.stderr : process.stdout);
  try {
    for (const file of [options.bundle, options.junit, options.annotation, options.report])
      if (file !== undefined) await requireFolder(file);
    const asked = await readAsked(options);
    if (asked === undefined) return 2;
    if (asked.trial) host.progress.note(`TRIAL of ${asked.file.file}: compared with the plan of stand-in sources`);
    const secrets = await secretsHere(asked.profile, host);
    const about = (): About => ({ profile: asked.file.name, trial: asked.trial, now: host.now(), secrets });
    const keep: Keep = {
      outputs: options.bundle === undefined ? undefined : new Map(),
      save: async (report) => {
        if (options.bundle === undefined || keep.outputs === undefined || keep.outputs.size === 0) return;
        await writeBundle(host, options.bundle, keep.outputs, { report, exact: secrets });
        host.progress.note(`bundle ${options.bundle}`);
      },
    };
    try {
      const store = storeOf(host);
      if (asked.trial || target === undefined) {
        await installPackages(host, bakeNeeds(planTarget("", asked.profile).plan.architecture, host));
      }
      const planned = await planAsked(host, store, asked);
      const goss: Goss = new Map();
      if (targets.length > 1) {
        return await checkSeveral(
          host,
          targets,
          (each) => lookAtHost(host, store, asked, planned, { target: each, secrets, keep, goss }),
          { plan: planned.plan, json, files: options, secrets },
        );
      }
      const looked =
        target === undefined
          ? await lookAtImage(host, store, asked, planned, options.image ?? true, keep)
          : await lookAtHost(host, store, asked, planned, { target, secrets, keep, goss });
      await saveDurations();
      const name =
        target === undefined
          ? options.image === true
            ? asked.folder
            : String(options.image)
          : formatSshTarget(target);
      await writeReports(options, planned.plan.profile, [{ name, ...looked }], (nodes) =>
        target === undefined
          ? imagePage(about(), { folder: looked.folder, ...planned, profile: asked.profile, progress, nodes })
          : nodesPage(about(), nodes),
      );
      const exitCode = exitCodeOf(looked.results, looked.problems.length > 0);
      const object = reportObject(planned.plan, looked.node, looked.results, { problems: looked.problems, exitCode });
      const text = `${JSON.stringify(object, null, 2)}\n`;
      await keep.save(text);
      process.stdout.write(json ? text : readableReport(looked, asked.trial));
      return exitCode;
    } catch (error) {
      // What was collected says most where the checks did not come to an end.
      host.signal.throwIfAborted();
      if (error instanceof BakeError) {
        await keep.save(`${JSON.stringify({ error: error.code, message: error.message })}\n`);
        const name = target === undefined ? asked.folder : formatSshTarget(target);
        const problems = [`${error.code}: ${error.message}`];
        const node = { name, results: [], problems, ...(target === undefined && { boots: [] }) };
        if (targets.length < 2)
          await writeReports(options, asked.file.name, [node], (nodes) => nodesPage(about(), nodes));
      }
      throw error;
    }
  } catch (error) {
    return endOf(host, error);
  }
};

/** What goes into the bundle; `outputs` is undefined when none was asked for. */
interface Keep {
  outputs: ReadonlyMap<string, HostOutput> | undefined;
  readonly save: (report: string) => Promise<void>;
}

const readableReport = (looked: Looked, trial: boolean): string =>
  [
    looked.before,
    ...(looked.after === undefined ? [] : [looked.after]),
    formatReport(looked.results, paintFor(process.stdout)),
    ...(looked.problems.length === 0
      ? []
      : [looked.problems.map((problem) => `could not check ${problem}`).join("\n")]),
    ...(trial ? ["This was a TRIAL: the plan is that of stand-in sources, not the profile's own."] : []),
  ]
    .map((part) => `\n${part}\n`)
    .join("");

/** @throws BakeError BK518 before minutes were spent. */
const requireFolder = async (file: string): Promise<void> => {
  try {
    await access(dirname(file), constants.W_OK);
    if ((await stat(file).catch(() => undefined))?.isDirectory() === true) throw new Error("it is a folder");
  } catch (error) {
    throw new BakeError(
      "BK518",
      `${file} cannot be written: ${(error as Error).message}`,
      "Name a file in a folder that is there.",
    );
  }
};

/** What image.json says about the image beside it, if it is there. */
const readBakeId = async (
  folder: string,
): Promise<{ readonly bakeId: string; readonly file: string; readonly architecture?: string } | undefined> => {
  try {
    const record = JSON.parse(await readFile(join(folder, "image.json"), "utf8")) as Record<string, unknown>;
    const { bakeId, file, architecture } = record;
    return typeof bakeId === "string" && typeof file === "string"
      ? { bakeId, file, ...(typeof architecture === "string" && { architecture }) }
      : undefined;
  } catch {
    return undefined;
  }
};

const lookAtImage = async (
  host: Host,
  store: Store,
  asked: Asked,
  { plan, templates, bakeId }: Planned,
  which: string | true,
  keep: Keep,
): Promise<Looked> => {
  const record = await readBakeId(which === true ? asked.folder : dirname(which));
  const image = which === true ? join(asked.folder, record?.file ?? "image.qcow2") : which;
  if (!(await exists(image))) {
    throw new BakeError(
      "BK519",
      `there is no image ${image}`,
      which === true
        ? `Bake it first: bake image --profile ${asked.file.name}${asked.trial ? " --trial" : ""}`
        : undefined,
    );
  }
  const isItsRecord = record !== undefined && record.file === basename(image);
  const { architecture } = plan.target;
  if (isItsRecord && record.architecture !== undefined && record.architecture !== architecture) {
    throw new BakeError(
      "BK515",
      `${image} is for ${record.architecture}, and profile ${plan.profile} is for ${architecture}`,
      `Its image.json says so. Take the profile that it was baked from, or bake this one: bake image --profile ${asked.file.name}${asked.trial ? " --trial" : ""}`,
    );
  }
  const own = isItsRecord ? record.bakeId : bakeId;
  if (own === undefined) {
    throw new BakeError("BK519", `nothing says what ${image} was baked from`, "Its image.json has to lie beside it.");
  }
  const accelerator = await chooseAccelerator({
    host,
    architecture,
    image: plan.base?.format === "qcow2" && (await store.has(plan.base.sha256)) ? store.path(plan.base.sha256) : image,
  });
  host.progress.note(`  accelerator ${accelerator.accel}: ${accelerator.reason}`);
  const { [onHostScript]: script = "" } = readTemplates([onHostScript]);
  const report = await checkImage(host, {
    plan,
    templates,
    bakeId: own,
    image,
    accelerator,
    dataDisk: dataDiskFor(plan),
    logDir: join(asked.folder, "log", "check"),
    ...(keep.outputs !== undefined && {
      inspect: async (ssh) => {
        keep.outputs = await collect(host, { ssh, shell: "bash -s", script, name: "the VM" });
      },
    }),
  });
  const against = compareBakeIds(own, bakeId);
  return {
    results: imageResults(report),
    node: {
      kind: "image",
      image,
      bakeId: own,
      profileNow: against,
      boots: report.boots.map(({ agents, seconds }) => ({ agents, seconds })),
    },
    problems: [],
    boots: report.boots,
    panics: report.panics,
    ...(isItsRecord && { folder: dirname(image) }),
    before: `image ${image}\n  bake id ${own}${against === "another" ? `: baked from another state of the profile, which gives ${bakeId} now` : ""}`,
    after: formatImageReport(report, accelerator.accel),
  };
};

/** By architecture: it is looked for, or built, once for all hosts. */
type Goss = Map<Architecture, Promise<string>>;

/** goss for the host: out of the store when the lock names it for that architecture, else built from its pinned module. */
const gossFor = async (host: Host, store: Store, { lock }: Planned, architecture: Architecture): Promise<string> => {
  const artifact = lock && lockedFor(lock, architecture).artifacts.find(({ kind }) => kind === "goss");
  if (artifact?.kind === "goss" && (await store.has(artifact.sha256))) {
    await store.verify(artifact);
    return store.path(artifact.sha256);
  }
  return (await ensureTool(host, "goss", { node: architecture })).path;
};

interface LookOptions {
  readonly target: SshTarget;
  readonly secrets: readonly string[];
  readonly keep: Keep;
  readonly goss: Goss;
}

const lookAtHost = async (
  host: Host,
  store: Store,
  asked: Asked,
  planned: Planned,
  { target, secrets, keep, goss: known }: LookOptions,
): Promise<Looked> => {
  const { plan } = planned;
  const { [onHostScript]: script = "" } = readTemplates([onHostScript]);
  const connection = await sshToHost(host, target);
  const name = formatSshTarget(target);
  try {
    const { shell, identity } = await host.progress.step("host-identify", `reach ${name}`, async () => {
      const opened: RootShell = await openRootShell(connection.ssh, target, script);
      return { shell: opened, identity: await identify(opened) };
    });
    if (keep.outputs !== undefined) keep.outputs = await collect(host, shell);
    const architecture = requireArchitecture(identity, plan, name);
    const found = known.get(architecture) ?? gossFor(host, store, planned, architecture);
    known.set(architecture, found);
    const goss = await found;
    const { results, problems } = await checkHost(host, shell, { plan, identity, goss, secrets });
    const against = compareBakeIds(identity.baked?.bakeId, (await readBakeId(asked.folder))?.bakeId);
    const { baked, absent, ...rest } = identity;
    return {
      results,
      problems,
      facts: hostFacts(identity),
      node: { kind: "host", target: name, ...rest, absent, baked: baked ?? null, imageHere: against },
      before: describeHost(name, identity, against, asked.folder, asked.trial),
    };
  } finally {
    await connection.close();
  }
};
