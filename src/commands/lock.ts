/** `bake lock`: asks the sources what the profile wants, and writes the digests of it beside the profile. */
import { trusting } from "../store/site-authorities.ts";
import { caCertificates } from "../profile/ca-certificates.ts";
import { formatBytes } from "../formats/bytes.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { askSources } from "../lock/ask.ts";
import { difference, itemsOf } from "../lock/diff.ts";
import { type Artifact } from "../artifact.ts";
import { formatLock, type Lock } from "../lock/lock.ts";
import { makeLock, type Unanswered } from "../lock/make.ts";
import { type Finding, findOutdated } from "../lock/outdated.ts";
import { readLock, writeLock } from "../lock/read.ts";
import { bySilentHost } from "../lock/unreachable.ts";
import { shownAsked } from "../lock/stale.ts";
import { requirementsOf } from "../lock/requirements.ts";
import type { Requirement } from "../node/requirement.ts";
import { sortDiagnostics } from "../profile/diagnostics.ts";
import { diagnosticsOf } from "../profile/load.ts";
import { lockSources } from "../profile/registries.ts";
import type { Profile } from "../profile/schema.ts";
import { closest } from "../profile/suggest.ts";
import { placeOf, rangeOf } from "../profile/source.ts";
import { say } from "../host/verbosity.ts";
import { formatChange } from "./diff.ts";
import { endOf, makeHost, storeOf } from "./host.ts";
import { craneOf } from "./network.ts";
import { reportRoom, reportStaleness } from "./planned.ts";
import { forEachProfile, namesOf } from "./profiles.ts";
import { rules } from "./rules.ts";
import { printDiagnostics, type ProfileFile, readProfileFile, reportFailure, requireProfile } from "./profile-file.ts";
import { printJson } from "./print-json.ts";

export interface LockOptions {
  /** Names to ask for anew, or all. */
  readonly update?: true | readonly string[];
  readonly check?: boolean;
  readonly outdated?: boolean;
  readonly json?: boolean;
}

const print = (text: string): void => void process.stdout.write(`${text}\n`);

/**
 * `bake lock`, or one of its questions: `--check`, `--outdated`.
 * @param named Undefined for all.
 * @returns the exit code: 0 ok, 1 findings, 2 failure
 */
export const lock = async (options: LockOptions, named: readonly string[] | undefined): Promise<number> => {
  const { host } = await makeHost(process.stderr);
  try {
    const told: object[] = [];
    const code = await forEachProfile(await namesOf(named), async (name) => {
      try {
        const file = await readProfileFile(name);
        const profile = requireProfile(file);
        if (profile === undefined) return 1;
        const previous = await readLock(file.lockFile);
        if (options.check === true) return check(file, profile, previous, options, told);
        if (options.outdated === true) return await outdated(host, file, profile, previous, options, told);
        return await make(host, file, profile, previous, options, told);
      } catch (error) {
        return endOf(host, error);
      }
    });
    if (options.json === true) {
      const [only] = told;
      if (named?.length !== 1 && (code === 0 || told.length > 0)) printJson({ ok: code === 0, profiles: told });
      else if (only !== undefined) printJson(only);
    }
    return code;
  } catch (error) {
    return endOf(host, error);
  }
};

/** Touches no network. */
const check = (
  file: ProfileFile,
  profile: Profile,
  previous: Lock | undefined,
  { json }: LockOptions,
  told: object[],
): number => {
  const path = file.lockFile;
  if (previous === undefined)
    throw new BakeError("BK204", `${file.file} has no lock: ${path} is not there`, "Make one: bake lock.");
  const isStale = reportStaleness(file, profile, previous);
  told.push({ profile: file.name, file: file.file, lock: path, current: !isStale });
  if (isStale) return 1;
  reportRoom(file, profile, previous);
  if (json !== true) say(`${path}: ok`);
  return 0;
};

/** Prints what no source could answer: hosts that are silent in a line each, all else at the lines that ask for it. */
const reportUnanswered = (file: ProfileFile, unanswered: readonly Unanswered[]): void => {
  const { tree } = file;
  if (tree === undefined) return;
  const { unreachable, others } = bySilentHost(
    unanswered.map(({ requirement, error }) => ({ name: requirement.name, requirement, error })),
  );
  if (unreachable !== undefined) reportFailure(unreachable);
  if (others.length === 0) return;
  // One cause, such as a tool that cannot be had, at the first line that meets it.
  const told = others.filter(
    ({ error }, index) => others.findIndex((each) => each.error.message === error.message) === index,
  );
  const diagnostics = told.flatMap(({ requirement, error }) =>
    diagnosticsOf(tree, error.code, [
      {
        path: requirement.path,
        message: error.message,
        ...(error.help !== undefined && { help: error.help.split("\n").join("\n    ") }),
      },
    ]),
  );
  printDiagnostics({ diagnostics: sortDiagnostics(diagnostics, [...file.texts.keys()]), texts: file.texts });
};

/** @throws BakeError BK131 when `--update` names nothing of the profile. */
const requireKnown = (names: readonly string[], requirements: readonly Requirement[]): void => {
  const known = [...new Set(requirements.map(({ name }) => name))];
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  const meant = closest(unknown[0] ?? "", known);
  throw new BakeError(
    "BK131",
    `--update: the profile asks for no ${unknown.join(", ")}`,
    `${meant === undefined ? "" : `Did you mean ${meant}? `}It asks for: ${known.join(", ")}.`,
  );
};

const trustLine = (artifacts: readonly Artifact[]): string | undefined => {
  const first = artifacts.flatMap((each) => {
    if (each.kind === "model")
      return each.files.flatMap(({ path, trust }) => (trust === undefined ? [] : [`${each.name} ${path}`]));
    return "trust" in each && each.trust === "first-use" ? [each.name] : [];
  });
  return first.length === 0
    ? undefined
    : `trusted on first use, since nobody publishes a digest: ${[...new Set(first)].join(", ")}`;
};

/**
 * Brings the lock of a profile up to date, and prints what changed.
 * @param again Whether a requirement is asked for although the previous lock answers it.
 * @param tell Gets what a program wants to know, in the place of the lines for people.
 * @returns undefined after problems were printed; then nothing was written
 * @throws BakeError BK518 when the lock cannot be written, and what `makeLock` throws
 */
export const updateLock = async (
  anyHost: Host,
  file: ProfileFile,
  profile: Profile,
  previous: Lock | undefined,
  again: (requirement: Requirement) => boolean,
  tell?: (made: object) => void,
): Promise<Lock | undefined> => {
  const host = await trusting(anyHost, caCertificates(profile));
  const store = storeOf(host);
  const sources = await askSources(host, store, { sources: lockSources(profile), crane: () => craneOf(host, profile) });
  const made = await makeLock({
    profile: file.name,
    requirements: requirementsOf(profile),
    ...(previous !== undefined && { previous }),
    again,
    resolve: sources.resolve,
    onStart: (requirement) => {
      const { name, architecture } = requirement;
      const asked = shownAsked(requirement);
      host.progress.note(
        `  asking for ${name === asked ? name : `${name} ${asked}`}${architecture === undefined ? "" : ` (${architecture})`}`,
      );
    },
  });
  if (made.unanswered.length > 0) {
    reportUnanswered(file, made.unanswered);
    return undefined;
  }
  const path = file.lockFile;
  const { changes, size } = difference(previous === undefined ? [] : itemsOf(previous), itemsOf(made.lock));
  // Pins, URLs and what was asked change the file without changing a byte of the node.
  const same = previous !== undefined && formatLock(previous) === formatLock(made.lock);
  if (!same) await writeLock(path, made.lock);
  tell?.({
    profile: file.name,
    file: file.file,
    lock: path,
    written: !same,
    artifacts: made.lock.artifacts.length,
    size: size?.to ?? 0,
    changes: changes.map(({ from, to, ...each }) => ({ ...each, from: from?.version, to: to?.version })),
  });
  if (tell !== undefined) return made.lock;
  for (const change of changes) print(formatChange(change));
  const trusted = trustLine(made.changed.map(({ after }) => after));
  if (trusted !== undefined) print(`  ${trusted}`);
  print(
    `${path}: ${made.lock.artifacts.length} artifacts, ${same ? "nothing changed" : `${formatBytes(size?.to ?? 0)} in all`}`,
  );
  return made.lock;
};

const make = async (
  host: Host,
  file: ProfileFile,
  profile: Profile,
  previous: Lock | undefined,
  { update, json }: LockOptions,
  told: object[],
): Promise<number> => {
  const names = update === true ? undefined : update;
  if (names !== undefined) requireKnown(names, requirementsOf(profile));
  const again = (requirement: Requirement): boolean => update === true || names?.includes(requirement.name) === true;
  const tell = json === true ? (made: object): void => void told.push(made) : undefined;
  const made = await updateLock(host, file, profile, previous, again, tell);
  if (made === undefined) return 1;
  reportRoom(file, profile, made);
  return 0;
};

const formatFinding = (
  file: ProfileFile,
  { name, architecture, what, version, now, detail, path }: Finding,
): string => {
  const range = file.tree === undefined ? undefined : rangeOf(placeOf(file.tree, path));
  return [
    `  ${name}${architecture === undefined ? "" : ` (${architecture})`}: ${what}: ${version}${now === undefined ? "" : ` -> ${now}`}`,
    ...(detail === undefined ? [] : [`      ${detail}`]),
    ...(range === undefined ? [] : [`      ${range.file}:${range.line}:${range.column}`]),
  ].join("\n");
};

const outdated = async (
  anyHost: Host,
  file: ProfileFile,
  profile: Profile,
  previous: Lock | undefined,
  { json }: LockOptions,
  told: object[],
): Promise<number> => {
  if (previous === undefined)
    throw new BakeError("BK204", `${file.file} has no lock: nothing to compare`, "Make one: bake lock.");
  const host = await trusting(anyHost, caCertificates(profile));
  const store = storeOf(host);
  const { look } = await askSources(host, store, {
    sources: lockSources(profile),
    crane: () => craneOf(host, profile),
  });
  const findings = await findOutdated(profile, previous, requirementsOf(profile), {
    ...look,
    rules: (changed) => rules.flatMap((rule) => [...rule.find(changed)]),
    today: new Date(host.now()).toISOString().slice(0, 10),
  });
  if (json === true) told.push({ profile: file.name, file: file.file, findings });
  else if (findings.length === 0) print(`${file.lockFile}: nothing newer`);
  else print(`${file.lockFile}\n${findings.map((each) => formatFinding(file, each)).join("\n")}`);
  // What is told then is not all: no network is no finding.
  if (findings.some(({ what }) => what === "not answered")) return 2;
  return findings.length === 0 ? 0 : 1;
};
