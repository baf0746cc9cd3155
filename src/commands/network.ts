/** Whether anybody is there, before something is built that only the network needs. */
import type { Artifact } from "../artifact.ts";
import { BakeError } from "../errors.ts";
import { imageReferenceOf } from "../formats/image-reference.ts";
import type { Host } from "../host/host.ts";
import { requirementsOf } from "../lock/requirements.ts";
import { type Place, requireAnyHost } from "../lock/unreachable.ts";
import { lockSources } from "../profile/registries.ts";
import type { Profile } from "../profile/schema.ts";
import { ensureCrane, ensureTool } from "../toolchain/ensure.ts";

/** Where a registry, or a mirror of it, is asked: the nearest first. Pure. */
export const registryPlaces = (profile: Profile, registry: string, name: string): Place[] => {
  const { registries, insecureRegistries } = lockSources(profile);
  return [...(registries[registry] ?? []), registry].map((place) => {
    const host = place.replace(/\/.*$/, "");
    const plain = insecureRegistries.includes(host) || /^(?:localhost|127\.)/.test(host);
    return { url: `${plain ? "http" : "https"}://${host === "docker.io" ? "registry-1.docker.io" : host}`, name };
  });
};

/** Where the images of a profile are asked for. */
const imagePlaces = (profile: Profile): Place[] =>
  requirementsOf(profile).flatMap(({ kind, asked }) =>
    kind === "container-image" ? registryPlaces(profile, imageReferenceOf(asked).registry, asked) : [],
  );

/** Where the bytes of locked artifacts are fetched. */
export const artifactPlaces = (profile: Profile, artifacts: readonly Artifact[]): Place[] =>
  artifacts.flatMap((artifact) =>
    artifact.kind === "container-image"
      ? registryPlaces(profile, artifact.registry, artifact.name)
      : artifact.kind === "model"
        ? artifact.files.slice(0, 1).map(({ url }) => ({ url, name: artifact.name }))
        : artifact.kind === "build-cache" || artifact.url.startsWith("file:")
          ? []
          : [{ url: artifact.url, name: artifact.name }],
  );

/** @throws UnreachableError when none of these hosts is there */
export const requireNetwork = (host: Host, places: readonly Place[]): Promise<void> =>
  requireAnyHost(places, { env: host.env, signal: host.signal });

/**
 * crane, which is looked for here first; it is not fetched or built for registries that are not there.
 * @throws UnreachableError when no registry of the profile answers, and what `ensureCrane` throws
 */
export const craneOf = async (host: Host, profile: Profile): Promise<string> => {
  try {
    return (await ensureTool(host, "crane", { offline: true })).path;
  } catch (error) {
    if (!(error instanceof BakeError) || error.code !== "BK211") throw error;
  }
  await requireNetwork(host, imagePlaces(profile));
  return ensureCrane(host);
};
