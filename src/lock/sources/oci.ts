/** Container images: from a reference to the digests of everything that a node needs of it. */
import * as z from "zod";
import { BakeError } from "../../errors.ts";
import type { Architecture, Blob, ContainerImage } from "../../artifact.ts";
import { filesOf, goArchitecture, ociDigest } from "../../artifact.ts";
import { normalizePlatform, platformName, runsOnLinux } from "../../formats/platform.ts";
import { newerTags, requireReference } from "../reference.ts";
import type { ImageRequirement, Sources } from "../../node/requirement.ts";
import type { Registry } from "./registry.ts";

interface From {
  readonly registry: Registry;
  readonly sources: Pick<Sources, "registries">;
}

/** An image for the lock, and the texts that were read for it: blobs of the store, so that nobody gets them again. */
export interface ResolvedImage {
  readonly image: ContainerImage;
  /** Its bytes are those of `image.manifest`. */
  readonly manifest: string;
  /** Its bytes are those of `image.config`. */
  readonly config: string;
}

/** A blob for the downloader. */
export interface BlobRequest {
  readonly name: string;
  readonly sha256: string;
  readonly size: number;
  /** Mirrors first. */
  readonly urls: readonly string[];
  /**
   * What to send with a request to one of `urls`: each host has its own login. Ask again before every request, tokens
   * expire in minutes; never send it on to where a URL redirects. @throws BakeError as the registry does.
   */
  readonly headers: (url: string) => Promise<Readonly<Record<string, string>>>;
}

const descriptor = z.looseObject({ mediaType: z.string(), digest: z.string(), size: z.int() });

const Index = z.looseObject({
  manifests: z.array(
    descriptor.extend({
      platform: z.looseObject({ os: z.string(), architecture: z.string(), variant: z.string().optional() }).optional(),
    }),
  ),
});

const Manifest = z.looseObject({ config: descriptor, layers: z.array(descriptor) });

const Config = z.looseObject({
  os: z.string(),
  architecture: z.string(),
  rootfs: z.looseObject({ diff_ids: z.array(z.string()) }),
});

const configTypes = ["application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"];

/** Plain, gzip or zstd: Docker 23 and newer read all of them. */
const layerType =
  /^application\/vnd\.(?:docker\.image\.rootfs\.diff\.tar(?:\.gzip|\.zstd)?|oci\.image\.layer\.v1\.tar(?:\+gzip|\+zstd)?)$/;
const foreignLayerType =
  /^application\/vnd\.(?:docker\.image\.rootfs\.foreign\.diff\.tar|oci\.image\.layer\.nondistributable\.v1\.tar)/;

/** Where a repository may be asked for: mirrors as they stand in `sources`, then its registry. */
const placesOf = (
  image: { readonly registry: string; readonly repository: string },
  sources: From["sources"],
): string[] =>
  [...(sources.registries[image.registry] ?? []), image.registry].map((place) => `${place}/${image.repository}`);

/** Asks the places in order; the first that answers wins. @throws what the last one threw, with what the others said. */
const firstAnswer = async <T>(
  places: readonly string[],
  ask: (place: string) => Promise<T>,
): Promise<{ readonly answer: T; readonly from: number }> => {
  const refusals: BakeError[] = [];
  for (const [from, place] of places.entries()) {
    try {
      return { answer: await ask(place), from };
    } catch (error) {
      if (!(error instanceof BakeError)) throw error;
      refusals.push(error);
    }
  }
  const last = refusals.pop();
  if (last === undefined) throw new RangeError("a repository without a registry");
  const before = refusals.map(({ message }) => `asked before: ${message}`);
  throw new BakeError(last.code, last.message, [last.help, ...before].filter((line) => line !== undefined).join("\n"));
};

const isJson = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

const parse = <T>(shape: z.ZodType<T>, text: string, name: string, what: string): T => {
  const parsed = shape.safeParse(isJson(text));
  if (parsed.success) return parsed.data;
  throw new BakeError("BK255", `${name}: its ${what} is none of an image`, "Only Docker and OCI images can be baked.");
};

const pickFromIndex = (text: string, name: string, architecture: Architecture): z.infer<typeof descriptor> => {
  const { manifests } = parse(Index, text, name, "index");
  // Of several Docker takes the first, too.
  const found = manifests.find(
    ({ platform }) => platform !== undefined && runsOnLinux(platform, goArchitecture[architecture]),
  );
  if (found !== undefined) return found;
  // Attestations stand in an index as unknown/unknown.
  const there = manifests.flatMap(({ platform }) =>
    platform === undefined || platform.os === "unknown" ? [] : [platformName(platform)],
  );
  throw new BakeError(
    "BK254",
    `${name} is not made for linux/${goArchitecture[architecture]}`,
    `Its tag is for ${there.length === 0 ? "no platform at all" : [...new Set(there)].join(", ")}.`,
  );
};

const requireUsable = (manifest: z.infer<typeof Manifest>, name: string): void => {
  const { config, layers } = manifest;
  if (!configTypes.includes(config.mediaType)) {
    throw new BakeError(
      "BK255",
      `${name} is no container image, but ${config.mediaType}`,
      "Only Docker and OCI images can be baked.",
    );
  }
  const foreign = layers.findIndex(({ mediaType }) => foreignLayerType.test(mediaType));
  if (foreign !== -1) {
    throw new BakeError(
      "BK255",
      `${name}: layer ${foreign + 1} of ${layers.length} lies outside the registry (${layers[foreign]?.mediaType})`,
      "Its maker does not let registries hand it out. Rebuild the image from a base without such layers.",
    );
  }
  const strange = layers.find(({ mediaType }) => !layerType.test(mediaType));
  if (strange !== undefined || layers.length === 0) {
    throw new BakeError(
      "BK255",
      `${name}: ${strange === undefined ? "it has no layers" : `no layer that Docker reads: ${strange.mediaType}`}`,
      "Docker reads tar archives, plain or compressed with gzip or zstd.",
    );
  }
};

const requireArchitecture = (text: string, layers: number, name: string, architecture: Architecture): void => {
  const config = parse(Config, text, name, "configuration");
  const { os, architecture: found } = normalizePlatform(config);
  if (os !== "linux" || found !== goArchitecture[architecture]) {
    throw new BakeError(
      "BK254",
      `${name} is not made for linux/${goArchitecture[architecture]}`,
      `It is made for ${platformName({ os: config.os, architecture: config.architecture })}.`,
    );
  }
  if (config.rootfs.diff_ids.length !== layers) {
    throw new BakeError(
      "BK255",
      `${name}: its configuration names ${config.rootfs.diff_ids.length} layers, its manifest ${layers}`,
      "Docker would refuse it. Push the image anew.",
    );
  }
};

const requireNotSchema1 = (text: string, name: string): void => {
  if ((isJson(text) as { schemaVersion?: unknown } | undefined)?.schemaVersion !== 1) return;
  throw new BakeError(
    "BK255",
    `${name} has a manifest of schema 1, which names no image ID`,
    "Push the image anew with a current Docker.",
  );
};

/** A text by digest, from the first place whose bytes are the right ones. */
const byDigest = async (
  name: string,
  { digest, size }: Pick<Blob, "digest" | "size">,
  places: readonly string[],
  get: (reference: string) => Promise<string>,
): Promise<string> => {
  const { answer } = await firstAnswer(places, async (place) => {
    const text = await get(`${place}@${digest}`);
    const found = { digest: ociDigest(text), size: Buffer.byteLength(text) };
    if (found.digest === digest && found.size === size) return text;
    throw new BakeError(
      "BK256",
      `${place} answers something else than what ${name} names\n  expected ${digest}, ${size} bytes\n  found    ${found.digest}, ${found.size} bytes`,
      "The registry, a mirror or a proxy between changes what it hands out. Nothing of it was used.",
    );
  });
  return answer;
};

/**
 * Asks the registry what a tag names now. Mirrors are asked before it, and the first that answers wins: one that lags
 * behind gives an older image. Its digest is in the lock then, and everything else is asked for by digest.
 * @throws BakeError BK250 to BK256.
 */
export const resolveImage = async (
  requirement: ImageRequirement,
  { registry, sources }: From,
): Promise<ResolvedImage> => {
  const reference = requireReference(requirement.name);
  const { name, architecture } = requirement;
  const all = placesOf(reference, sources);
  const tagged = await firstAnswer(all, (place) => registry.manifest(`${place}:${reference.tag}`));
  // Whoever did not answer once is not waited for again.
  const places = all.slice(tagged.from);
  requireNotSchema1(tagged.answer, name);
  const tagDigest = ociDigest(tagged.answer);
  let manifestText = tagged.answer;
  if (Array.isArray((isJson(tagged.answer) as { manifests?: unknown } | undefined)?.manifests)) {
    const wanted = pickFromIndex(tagged.answer, name, architecture);
    manifestText = await byDigest(name, wanted, places, registry.manifest);
    requireNotSchema1(manifestText, name);
  }
  const manifest = parse(Manifest, manifestText, name, "manifest");
  requireUsable(manifest, name);
  const configText = await byDigest(name, manifest.config, places, registry.blob);
  requireArchitecture(configText, manifest.layers.length, name, architecture);
  const mediaType = (isJson(manifestText) as { mediaType?: string }).mediaType;
  const blob = ({ digest, size, mediaType: type }: z.infer<typeof descriptor>): Blob => ({
    digest,
    size,
    mediaType: type,
  });
  return {
    image: {
      kind: "container-image",
      name,
      architecture,
      version: reference.tag,
      asked: requirement.asked,
      ...requirement.pin,
      registry: reference.registry,
      repository: reference.repository,
      tagDigest,
      manifest: {
        digest: ociDigest(manifestText),
        size: Buffer.byteLength(manifestText),
        // OCI lets a manifest leave it out.
        mediaType: mediaType ?? "application/vnd.oci.image.manifest.v1+json",
      },
      config: blob(manifest.config),
      layers: manifest.layers.map(blob),
    },
    manifest: manifestText,
    config: configText,
  };
};

/** Tags that differ from the required one in their version alone and are newer, the newest first. @throws as the registry. */
export const newerImages = async (requirement: ImageRequirement, { registry, sources }: From): Promise<string[]> => {
  const reference = requireReference(requirement.name);
  const { answer } = await firstAnswer(placesOf(reference, sources), registry.tags);
  return newerTags(reference.tag, answer);
};

/** What the tag names now, when that is something else than what is locked; undefined otherwise. @throws as the registry. */
export const movedTag = async (image: ContainerImage, { registry, sources }: From): Promise<string | undefined> => {
  const { answer } = await firstAnswer(placesOf(image, sources), (place) =>
    registry.manifest(`${place}:${image.version}`),
  );
  const now = ociDigest(answer);
  return now === image.tagDigest ? undefined : now;
};

/** Where a repository's files are asked for, and why they cannot be, as far as that is known before. */
const placeOf = async (repository: string, registry: Registry) => {
  const host = repository.slice(0, repository.indexOf("/"));
  const path = repository.slice(host.length);
  try {
    return { repository, root: `${await registry.base(host)}/v2${path}` };
  } catch (error) {
    if (!(error instanceof BakeError)) throw error;
    return { repository, root: `https://${host}/v2${path}`, refusal: error };
  }
};

/**
 * What the downloader needs for every file of a locked image: manifest, configuration, layers; a layer that stands twice in
 * it comes once. A place that may not be asked, such as a registry without TLS, says so when its headers are asked for: the
 * next one may have the file.
 */
export const blobRequests = async (image: ContainerImage, { registry, sources }: From): Promise<BlobRequest[]> => {
  const places = await Promise.all(placesOf(image, sources).map((repository) => placeOf(repository, registry)));
  const [manifest] = filesOf(image);
  const files = new Map(filesOf(image).map((file) => [file.sha256, file]));
  return [...files.values()].map((file) => {
    const isManifest = file.sha256 === manifest?.sha256;
    const part = `${isManifest ? "manifests" : "blobs"}/sha256:${file.sha256}`;
    return {
      ...file,
      urls: places.map(({ root }) => `${root}/${part}`),
      headers: async (url) => {
        const place = places.find(({ root }) => url === `${root}/${part}`);
        if (place?.refusal !== undefined) throw place.refusal;
        const authorization = place === undefined ? undefined : await registry.authorization(place.repository);
        return {
          ...(isManifest ? { accept: image.manifest.mediaType } : {}),
          ...(authorization === undefined ? {} : { authorization }),
        };
      },
    };
  });
};
