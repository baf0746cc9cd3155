/** Names of container images with a tag, as `docker pull` reads them. The one grammar: profiles are validated by it too. Pure. */

/** A host by its labels; a name before the first slash is one when it has a dot or a port, or is `localhost`. */
const label = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?";
const registryForm = `(?:localhost|${label}(?:\\.${label})+|${label}(?:\\.${label})*:\\d{1,5})`;
const repositoryForm = "[a-z0-9]+(?:(?:[._]|__|-+|\\/)[a-z0-9]+)*";
const tagForm = "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}";

/** What looks like a registry is none of Docker Hub's repositories, even when it is no host. */
const noRegistry = "(?!(?:localhost|[^/.:]*[.:][^/]*)\\/)";

/** With a tag and without a digest. In a JSON schema the source of it is the pattern. */
export const imageReferenceForm = new RegExp(
  `^(?:(${registryForm})\\/|${noRegistry})(${repositoryForm}):(${tagForm})$`,
);

/** Characters of a whole reference. */
export const longestImageReference = 255;

/** Docker Hub: what it is called, and what else it is called. */
const hub = "docker.io";
const hubAliases: ReadonlySet<string> = new Set(["index.docker.io"]);

export interface ImageReference {
  /** As it was read: a node calls the image so. */
  readonly written: string;
  /** The written form up to its tag. */
  readonly withoutTag: string;
  /** With its port; `docker.io` where the name has none. */
  readonly registry: string;
  /** With `library/` where Docker Hub's own images are meant. */
  readonly repository: string;
  readonly tag: string;
  /** The registry as it is connected to: Docker Hub answers under another name. */
  readonly pullHost: string;
}

/**
 * Reads `moby/buildkit:v0.19.0`, `quay.io/ascend/cann:9.1.0`, `localhost:5000/x:y`.
 * @returns undefined for what is no image with a tag, or has a digest
 */
export const parseImageReference = (written: string): ImageReference | undefined => {
  if (written.length > longestImageReference) return undefined;
  const [, host = hub, path, tag] = imageReferenceForm.exec(written) ?? [];
  if (path === undefined || tag === undefined) return undefined;
  const registry = hubAliases.has(host) ? hub : host;
  return {
    written,
    withoutTag: written.slice(0, -tag.length - 1),
    registry,
    repository: registry === hub && !path.includes("/") ? `library/${path}` : path,
    tag,
    pullHost: registry === hub ? "registry-1.docker.io" : registry,
  };
};

/**
 * A reference that was validated before, as every one of a profile is.
 * @throws RangeError when it was not
 */
export const imageReferenceOf = (written: string): ImageReference => {
  const reference = parseImageReference(written);
  if (reference === undefined) throw new RangeError("not an image with a tag");
  return reference;
};

/** Whether two references name one image: `docker.io/library/ubuntu:22.04` and `ubuntu:22.04` do. */
export const isSameImage = (one: ImageReference, other: ImageReference): boolean =>
  one.registry === other.registry && one.repository === other.repository && one.tag === other.tag;

/** `isSameImage` of two names; what is no reference names none. */
export const nameSameImage = (one: string, other: string): boolean => {
  const [a, b] = [parseImageReference(one), parseImageReference(other)];
  return a !== undefined && b !== undefined && isSameImage(a, b);
};
