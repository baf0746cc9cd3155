/** `bake fetch`: fills the store with what the lock names, and with --to a mirror. */
import { trusting } from "../store/site-authorities.ts";
import { caCertificates } from "../profile/ca-certificates.ts";
import { resolve } from "node:path";
import { requirePlainArchives } from "../bake/archive.ts";
import { isBaked } from "../bake/inputs.ts";
import { trialTarget } from "../bake/targets.ts";
import { formatBytes } from "../formats/bytes.ts";
import { BakeError, listed } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { askSources, localPlace, requireLocal } from "../lock/ask.ts";
import { fetchFiles, isMirrorUrl, requestsOfMirror } from "../lock/fetch.ts";
import { type Artifact, filesOf, type LockedFile } from "../artifact.ts";
import { lockSources } from "../profile/registries.ts";
import { targetOf, targetsOf } from "../targets/index.ts";
import { nodeArchive } from "../render/stock.ts";
import { fillMirror, type MirrorFile } from "../store/mirror.ts";
import type { Store } from "../store/store.ts";
import { endOf, makeHost, storeOf } from "./host.ts";
import { artifactPlaces, craneOf, requireNetwork } from "./network.ts";
import { type Asked, planAsked, type Planned, readAsked } from "./planned.ts";

/** Where artifacts come from. */
export interface FromWhere {
  /** A folder or a URL with files by digest: the only place. */
  readonly mirror?: string;
  /** Touches no network. */
  readonly offline?: boolean;
}

export interface FetchOptions extends FromWhere {
  readonly profile: string;
  readonly trial?: boolean;
  /** A folder that becomes a mirror. */
  readonly to?: string;
  readonly json?: boolean;
}

/** @throws BakeError BK211 naming what the store lacks. */
const requireThere = async (store: Store, files: readonly LockedFile[]): Promise<void> => {
  const missing: LockedFile[] = [];
  for (const file of files) if (!(await store.holds(file))) missing.push(file);
  if (missing.length === 0) return;
  throw new BakeError(
    "BK211",
    `${missing.length} of ${files.length} files are not in the store, and --offline fetches none:\n${listed(
      missing.map(({ name, size }) => `${name} (${formatBytes(size)})`),
      20,
    )}`,
    "Run bake fetch where there is a network, or name a mirror with --mirror.",
  );
};

/** @throws BakeError BK216 for a mirror that the network would be needed for. */
export const requirePlace = ({ mirror, offline = false }: FromWhere): void => {
  if (!offline || mirror === undefined || !isMirrorUrl(mirror)) return;
  throw new BakeError(
    "BK216",
    "--offline touches no network, and the mirror is a URL",
    "Name a folder, or leave one out.",
  );
};

const missingOf = async (store: Store, artifacts: readonly Artifact[]): Promise<Artifact[]> => {
  const missing: Artifact[] = [];
  for (const artifact of artifacts) {
    const there = await Promise.all(filesOf(artifact).map((file) => store.holds(file)));
    if (!there.every(Boolean)) missing.push(artifact);
  }
  return missing;
};

/**
 * Looks whether anybody is there, when something is to be fetched: before tools are built for it.
 * @throws UnreachableError with a line for each host when none answers
 */
export const requireSources = async (host: Host, store: Store, asked: Asked, from: FromWhere): Promise<void> => {
  if (asked.trial || from.offline === true || from.mirror !== undefined) return;
  const missing = await missingOf(
    store,
    (asked.lock?.artifacts ?? []).filter((each) => each.kind !== "base"),
  );
  await requireNetwork(host, artifactPlaces(asked.profile, missing));
};

/** Brings what the artifacts consist of into the store. What is there already is not asked for. */
const fetchArtifacts = async (
  anyHost: Host,
  store: Store,
  asked: Asked,
  artifacts: readonly Artifact[],
  { mirror, offline = false }: FromWhere,
  json = false,
): Promise<void> => {
  const host = await trusting(anyHost, caCertificates(asked.profile));
  // A mirror has build caches, and no base.
  const isHere = (each: Artifact): boolean =>
    localPlace(each) !== undefined && !(each.kind === "build-cache" && mirror !== undefined);
  if (!asked.trial) await requireLocal(store, artifacts.filter(isHere));
  // Nobody can download what was a file of this machine.
  const files = [
    ...new Map(
      artifacts
        .filter((each) => !isHere(each))
        .flatMap(filesOf)
        .map((file) => [file.sha256, file]),
    ).values(),
  ];
  if (mirror !== undefined) {
    await fetchFiles(host, store, await requestsOfMirror(files, mirror), { json });
    return;
  }
  // A trial has made all of it by now.
  if (offline || asked.trial) {
    await requireThere(store, files);
    return;
  }
  const missing = await missingOf(store, artifacts);
  if (missing.length === 0 && !json) {
    host.progress.note(`  all ${files.length} files are in the store`);
    return;
  }
  const sources = await askSources(host, store, {
    sources: lockSources(asked.profile),
    crane: () => craneOf(host, asked.profile),
  });
  await fetchFiles(host, store, await sources.requests(missing), { json });
};

/** Brings into the store what a bake of this plan takes out of it. @throws BakeError as `fetchFiles`, BK211 when `offline`, BK246 */
export const fetchPlanned = (
  host: Host,
  store: Store,
  asked: Asked,
  { plan }: Planned,
  from: FromWhere,
): Promise<void> =>
  fetchArtifacts(
    host,
    store,
    asked,
    [
      ...(plan.base === undefined || !targetOf(plan.target).needsBase ? [] : [plan.base]),
      ...(plan.artifacts ?? []).filter((artifact) => isBaked(plan, artifact)),
    ],
    from,
  );

/** What a node of any target gets from a mirror: the lock's files, and for stock images the archive of the node's own. */
const mirrored = async (asked: Asked, host: Host, store: Store): Promise<MirrorFile[]> => {
  const targets = asked.trial ? [trialTarget] : targetsOf(asked.profile);
  const files = new Map<string, MirrorFile>();
  for (const target of targets) {
    const { lock, ...rendered } = await planAsked(host, store, asked, target);
    for (const artifact of lock?.artifacts ?? []) {
      // A base that was made or found here is for here.
      if (artifact.kind === "base" && !/^https?:/.test(artifact.url)) continue;
      for (const file of filesOf(artifact)) files.set(file.sha256, file);
    }
    // Nobody looks through them again on their way from the mirror to a node.
    await requirePlainArchives(host, store, lock?.artifacts ?? []);
    files.set(`node ${target}`, { name: `the node's files for ${target}`, content: nodeArchive(rendered) });
  }
  return [...files.values()];
};

/**
 * `bake fetch`: fills the store, and with `to` a mirror.
 * @returns the exit code: 0 ok, 1 for a profile with problems, 2 failure
 */
export const fetch = async (options: FetchOptions): Promise<number> => {
  const { host } = await makeHost(options.json === true ? process.stderr : process.stdout);
  try {
    requirePlace(options);
    const asked = await readAsked(options);
    if (asked === undefined) return 1;
    if (!asked.trial && asked.lock === undefined) {
      throw new BakeError(
        "BK204",
        `${asked.file.file} has no lock: ${asked.file.lockFile} is not there`,
        `Make one: bake lock --profile ${options.profile}`,
      );
    }
    const store = storeOf(host);
    if (asked.lock !== undefined) {
      await fetchArtifacts(host, store, asked, asked.lock.artifacts, options, options.json === true);
    }
    if (options.to !== undefined || asked.trial) {
      const files = await mirrored(asked, host, store);
      if (options.to !== undefined) {
        const folder = resolve(options.to);
        const count = await host.progress.step("mirror", `fill the mirror ${options.to}`, (update) =>
          fillMirror(folder, store, files, { update, signal: host.signal }),
        );
        const line =
          options.json === true
            ? JSON.stringify({ type: "mirror", folder, files: files.length, written: count })
            : `${options.to}: ${files.length} files, ${count} written`;
        process.stdout.write(`${line}\n`);
      }
    }
    return 0;
  } catch (error) {
    return endOf(host, error);
  }
};
