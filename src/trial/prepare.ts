/**
 * What a trial's lock names.
 * Its artifacts go the way of all others: resolvers, downloads, store. They come from a local source that serves the
 * assembled stand-ins. Its base is made here.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import { BakeError } from "../errors.ts";
import { imageReferenceOf } from "../formats/image-reference.ts";
import { standInBase } from "./base.ts";
import type { Host } from "../host/host.ts";
import { askSources } from "../lock/ask.ts";
import { fetchFiles } from "../lock/fetch.ts";
import { type Architecture, filesOf } from "../artifact.ts";
import { type Lock, lockVersion } from "../lock/lock.ts";
import { makeLock } from "../lock/make.ts";
import { readLock, writeLock } from "../lock/read.ts";
import { requirementsOf } from "../lock/requirements.ts";
import { planTarget } from "../targets/index.ts";
import type { Profile } from "../profile/schema.ts";
import type { Store } from "../store/store.ts";
import { ensureCrane } from "../toolchain/ensure.ts";
import { installPackages, trialNeeds } from "../toolchain/packages.ts";
import { assembleSource, dockerLibraryPackages, sourceKey } from "./artifacts.ts";
import { debianMirror } from "./debian.ts";
import { serveSource } from "./source-server.ts";
import { trialVersions } from "./substitutions.ts";
import { currentProcess } from "../host/process-identity.ts";

/** Stands in the URLs of a trial's lock. The name never exists (RFC 2606): the source's port is another one each time. */
const sourceHost = "trial.bake.invalid";

/** Registries that the trial's images are named after. */
const registries = [trialVersions.buildkitImage, trialVersions.smallImage].map(
  (image) => imageReferenceOf(image).registry,
);

/** A lock that an earlier run made, if it is whole and the store has all of it. */
const knownLock = async (store: Store, file: string): Promise<Lock | undefined> => {
  const lock = await readLock(file).catch(() => undefined);
  const there = await Promise.all((lock?.artifacts ?? []).flatMap(filesOf).map(({ sha256 }) => store.has(sha256)));
  return there.every(Boolean) ? lock : undefined;
};

/** Assembles the source, serves it, and locks and fetches from it. */
const lockFromSource = async (
  host: Host,
  store: Store,
  name: string,
  profile: Profile,
  architecture: Architecture,
): Promise<Lock> => {
  const folder = join(host.cacheDir, "trial", `work-${currentProcess()}`);
  try {
    await installPackages(host, trialNeeds(architecture, host));
    await rm(folder, { recursive: true, force: true });
    const source = join(folder, "source");
    await makeFolder(source);
    await assembleSource(host, architecture, source, folder);
    const server = await serveSource(source);
    try {
      const from = `http://${sourceHost}`;
      const here = `127.0.0.1:${server.port}`;
      const rewrite = (url: string): string =>
        url.startsWith(`${from}/`) ? `http://${here}${url.slice(from.length)}` : url;
      const sources = await askSources(host, store, {
        sources: {
          ...profile.sources,
          docker: `${from}/docker`,
          buildx: `${from}/buildx`,
          agent: `${from}/agent`,
          goss: `${from}/goss`,
          modelscope: `${from}/modelscope`,
          huggingface: `${from}/huggingface`,
          registries: Object.fromEntries(registries.map((registry) => [registry, [here]])),
        },
        crane: () => ensureCrane(host),
        rewrite,
      });
      const requirements = requirementsOf(profile)
        .filter(({ kind }) => kind !== "base")
        .map((each) => (each.kind === "build-cache" ? { ...each, folder: join(source, each.folder) } : each));
      const { lock, unanswered } = await makeLock({
        profile: name,
        requirements,
        again: () => true,
        resolve: sources.resolve,
      });
      const [problem] = unanswered;
      if (problem !== undefined) throw problem.error;
      await fetchFiles(host, store, await sources.requests(lock.artifacts), { rewrite });
      return lock;
    } finally {
      await server.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/**
 * Makes what a trial's lock names, and the lock. What an earlier run made is taken, and then no network is needed.
 * A stored file that was changed since is left as it is: `bake image` compares and refuses it.
 * @throws BakeError BK211 when something is to be made without a network, BK305 without a Debian mirror, BK309 when it
 * has other versions, and what `ensureTools` and `standInBase` throw.
 */
export const prepareTrial = async (
  host: Host,
  store: Store,
  {
    profileName,
    profile,
    offline,
  }: { readonly profileName: string; readonly profile: Profile; readonly offline: boolean },
): Promise<Lock> => {
  const { architecture } = planTarget(profileName, profile).plan;
  const record = join(host.cacheDir, "trial", `${await sourceKey(architecture)}.lock.json`);
  let previous = await knownLock(store, record);
  if (previous === undefined && offline) {
    throw new BakeError(
      "BK211",
      "a trial's artifacts were not made yet, and --offline makes none",
      "Run it once with a network: bake fetch --trial.",
    );
  }
  if (previous === undefined) {
    previous = await lockFromSource(host, store, profileName, profile, architecture);
    await writeLock(record, previous);
  }
  const base = await standInBase(host, store, {
    architecture,
    libraryPackages: dockerLibraryPackages,
    mirror: () => debianMirror(host),
    offline,
  });
  return {
    lockVersion,
    profile: profileName,
    artifacts: [
      {
        kind: "base",
        name: base.name,
        architecture,
        version: base.name,
        asked: base.name,
        url: `trial:${base.resolved}`,
        size: base.size,
        sha256: base.sha256,
        trust: "first-use",
        format: "qcow2",
      },
      ...previous.artifacts,
    ],
  };
};
