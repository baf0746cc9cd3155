/** All sources together: how a requirement becomes an artifact, what has become of a locked one, and where its bytes come from. */
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { downloadAll } from "../store/download.ts";
import { downloadEdges } from "../store/download-edges.ts";
import type { Store } from "../store/store.ts";
import type { DownloadRequest } from "../store/transfer.ts";
import { isConfidential } from "../store/url.ts";
import { followFile } from "./follow.ts";
import { type Artifact, filesOf, type Model } from "../artifact.ts";
import { isSupportedDocker } from "../profile/docker-releases.ts";
import type { Look } from "./outdated.ts";
import { resolverOf } from "./sources/index.ts";
import { changedFiles } from "./sources/model-files.ts";
import { blobRequests, movedTag, newerImages, resolveImage } from "./sources/oci.ts";
import { makeRegistry, type Registry } from "./sources/registry.ts";
import { newestFirst } from "./sources/versions.ts";
import { webOverHttp } from "./web-http.ts";
import type { Sources, Requirement } from "../node/requirement.ts";

export interface AskedSources {
  /** @throws BakeError */
  readonly resolve: (requirement: Requirement) => Promise<Artifact>;
  readonly look: Omit<Look, "today" | "rules">;
  /** What a download asks for, for every file of these; each file once. */
  readonly requests: (artifacts: readonly Artifact[]) => Promise<DownloadRequest[]>;
}

const withoutSlash = (url: string): string => url.replace(/\/+$/, "");

/** Everything without a trailing slash, whatever the profile has. */
const normalized = (sources: Sources): Sources =>
  Object.fromEntries(
    Object.entries(sources).map(([name, value]) => [name, typeof value === "string" ? withoutSlash(value) : value]),
  ) as unknown as Sources;

/** Of releases that no node can have (rule BK112) nobody is told. */
const isForNodes = ({ kind }: Requirement, version: string): boolean =>
  kind !== "docker-static" || isSupportedDocker(version);

/** A file of ModelScope is asked for at its commit, and where its server takes none at the branch; the digest tells them apart. */
const placesOf = (url: string, { hub, asked }: Model): string[] => {
  if (hub !== "modelscope") return [url];
  const branch = new URL(url);
  branch.searchParams.set("Revision", asked);
  return [url, branch.href];
};

/** What stands before the locked one, of versions with the newest first. */
const newerThan = (locked: string, versions: readonly string[]): readonly string[] => {
  const all = versions.includes(locked) ? versions : newestFirst([...versions, locked]);
  return all.slice(0, all.indexOf(locked));
};

export interface AskSourcesOptions {
  /** Of the profile. */
  readonly sources: Sources;
  /** Path of crane, which speaks with registries. Called once, and only when an image is asked for: it may have to be built. */
  readonly crane: () => Promise<string>;
  /** Where a URL is asked for instead. */
  readonly rewrite?: (url: string) => string;
}

/**
 * The sources of a profile, ready to be asked. Nothing is asked yet; answers and downloads go into the store. Of the
 * environment it reads HF_TOKEN, and what HTTP needs.
 * @throws BakeError as `resolve` and `look` say, and what `crane` throws, when they are called
 */
export const askSources = async (
  host: Host,
  store: Store,
  { sources: given, crane, rewrite }: AskSourcesOptions,
): Promise<AskedSources> => {
  const sources = normalized(given);
  const edges = downloadEdges(host, store, rewrite);
  const token = host.env["HF_TOKEN"];
  const hasToken = token !== undefined && token !== "" && isConfidential(sources.huggingface);
  const headers = (url: string): Record<string, string> =>
    hasToken && url.startsWith(`${sources.huggingface}/`) ? { authorization: `Bearer ${token}` } : {};
  const web = webOverHttp({
    store: async (file) => {
      const { url, ...rest } = file;
      const [done] = await downloadAll(
        [{ ...rest, urls: [url], headers: (asked) => Promise.resolve(headers(asked)) }],
        edges,
      );
      if (done === undefined) throw new Error("a download gives one file");
      return done;
    },
    signal: host.signal,
    now: host.now,
    sleep: host.sleep,
    random: host.random,
    env: host.env,
    ...(rewrite !== undefined && { rewrite }),
  });
  const context = {
    web,
    sources,
    localFile: (path: string) => store.add(path),
    ...(hasToken && { huggingfaceToken: token }),
  };
  let made: Promise<Registry> | undefined;
  const registry = (): Promise<Registry> =>
    (made ??= crane().then((path) => makeRegistry(host, path, { insecure: sources.insecureRegistries })));
  const resolve = async (requirement: Requirement): Promise<Artifact> => {
    if (requirement.kind !== "container-image") return resolverOf(requirement).resolve(requirement, context);
    const { image, manifest, config } = await resolveImage(requirement, { registry: await registry(), sources });
    for (const text of [manifest, config]) await store.addContent(Buffer.from(text));
    return image;
  };
  const requestsOf = async (artifact: Artifact): Promise<DownloadRequest[]> => {
    if (artifact.kind === "container-image") {
      return blobRequests(artifact, { registry: await registry(), sources });
    }
    if (artifact.kind === "build-cache") return [];
    const urls =
      artifact.kind === "model" ? artifact.files.map(({ url }) => placesOf(url, artifact)) : [[artifact.url]];
    return filesOf(artifact).map((file, index) => ({
      ...file,
      urls: urls[index] ?? [],
      headers: (url) => Promise.resolve(headers(url)),
    }));
  };
  return {
    resolve,
    look: {
      newer: async (requirement, locked) => {
        if (requirement.kind === "container-image")
          return newerImages(requirement, { registry: await registry(), sources });
        // Of a model it is said which files are others.
        if (requirement.kind === "model" || requirement.kind === "file" || requirement.kind === "build-cache")
          return [];
        const all = await resolverOf(requirement).versions(requirement, context);
        return newerThan(locked.version, all).filter((version) => isForNodes(requirement, version));
      },
      moved: async (requirement, locked) => {
        if (locked.kind === "container-image") {
          const now = await movedTag(locked, { registry: await registry(), sources });
          return now === undefined ? undefined : { now, detail: `the lock has ${locked.tagDigest}` };
        }
        if (locked.kind === "build-cache") {
          // Of a machine that does not have the folder nothing is said: the store, or a mirror, has what is locked.
          const now = await resolve(requirement).catch(() => locked);
          return now.version === locked.version
            ? undefined
            : { now: now.version, detail: `${requirement.asked} holds another cache` };
        }
        if (locked.kind !== "model" || requirement.kind !== "model") return undefined;
        const now = await resolve(requirement);
        const changed = now.kind === "model" ? changedFiles(locked.files, now.files) : [];
        return changed.length === 0
          ? undefined
          : { now: now.version, detail: changed.map(({ path, how }) => `${how}: ${path}`).join(", ") };
      },
      follow: (follows) => followFile(host, follows),
    },
    requests: async (artifacts) => {
      const requests = new Map<string, DownloadRequest>();
      for (const artifact of artifacts) {
        if (artifact.kind === "base" && !/^https?:/.test(artifact.url)) continue;
        for (const request of await requestsOf(artifact)) requests.set(request.sha256 ?? request.name, request);
      }
      return [...requests.values()];
    },
  };
};

/** Where on this machine an artifact was taken from when it was locked; undefined for what can be downloaded. Pure. */
export const localPlace = (artifact: Artifact): string | undefined =>
  artifact.kind === "build-cache"
    ? artifact.asked
    : artifact.kind === "base" && artifact.url.startsWith("file:")
      ? artifact.url.slice("file:".length)
      : undefined;

/** @throws BakeError BK246 naming all that was of this machine and that the store lacks: nobody has it to download. */
export const requireLocal = async (store: Store, artifacts: readonly Artifact[]): Promise<void> => {
  const gone: Artifact[] = [];
  for (const artifact of artifacts) {
    if (localPlace(artifact) === undefined) continue;
    const there = await Promise.all(filesOf(artifact).map(({ sha256 }) => store.has(sha256)));
    if (!there.every(Boolean)) gone.push(artifact);
  }
  if (gone.length === 0) return;
  const whats = gone.map(
    (each) =>
      `${each.kind === "base" ? "the base" : `build cache ${each.name}`} that was locked from ${localPlace(each)}`,
  );
  // No mirror has a base of this machine.
  const orMirror = gone.some(({ kind }) => kind === "base") ? "" : "; or take what is locked from a mirror: --mirror";
  throw new BakeError(
    "BK246",
    `the store has no longer all of ${whats.join(", nor of ")}`,
    `Take it in again: bake lock --update ${gone.map(({ name }) => name).join(" ")}${orMirror}`,
  );
};
