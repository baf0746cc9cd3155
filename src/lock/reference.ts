/** Names of container images, as Docker reads them. */
import { BakeError } from "../errors.ts";
import { withoutSecretShapes } from "../secrets/shapes.ts";

export interface Reference {
  /** `docker.io` where the name has none. */
  readonly registry: string;
  /** With `library/` where Docker Hub's own images are meant. */
  readonly repository: string;
  readonly tag: string;
}

const hub = "docker.io";

/** The registry's part of a name has a dot or a port, or is `localhost`: `ascend/cann` is a repository of Docker Hub. */
const namesRegistry = (part: string): boolean => /[.:]/.test(part) || part === "localhost";

const registryForm = /^[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::\d{1,5})?$/;
const repositoryForm = /^[a-z0-9]+(?:(?:[._]|__|-+|\/)[a-z0-9]+)*$/;
const tagForm = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/**
 * `moby/buildkit:v0.19.0`, `quay.io/ascend/cann:9.1.0`, `localhost:5000/x:y`.
 * @throws BakeError BK250 when it is no name of an image with a tag.
 */
export const parseReference = (text: string): Reference => {
  const [first = "", ...rest] = text.split("/");
  const named = rest.length > 0 && namesRegistry(first);
  const written = named ? first : hub;
  const registry = written === "index.docker.io" ? hub : written;
  const [path = "", tag = "", ...more] = (named ? rest.join("/") : text).split(":");
  const repository = registry === hub && !path.includes("/") ? `library/${path}` : path;
  if (more.length > 0 || !registryForm.test(registry) || !repositoryForm.test(repository) || !tagForm.test(tag)) {
    throw new BakeError(
      "BK250",
      `"${withoutSecretShapes(text)}" is no image with a tag`,
      "Name one as docker pull takes it, with a tag and without a digest, such as quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12.",
    );
  }
  return { registry, repository, tag };
};

/** `docker.io/library/ubuntu:22.04` and `ubuntu:22.04` are one image; what is no reference is none. */
export const isSameImage = (one: string, other: string): boolean => {
  try {
    const [a, b] = [parseReference(one), parseReference(other)];
    return a.registry === b.registry && a.repository === b.repository && a.tag === b.tag;
  } catch {
    return false;
  }
};

/** Prefix, version, suffix: `9.1.0-910b-py3.12` is version 9.1.0 of those that end in `-910b-py3.12`. */
const tagParts = (tag: string): { shape: string; numbers: number[] } | undefined => {
  const [, prefix, version, suffix] = /^(\D*)(\d+(?:\.\d+)*)(.*)$/.exec(tag) ?? [];
  if (version === undefined) return undefined;
  const numbers = version.split(".").map(Number);
  return { shape: `${prefix}${numbers.map(() => "*").join(".")}${suffix}`, numbers };
};

const compare = (a: readonly number[], b: readonly number[]): number => {
  const at = a.findIndex((number, index) => number !== b[index]);
  return at === -1 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
};

/** Those of `tags` that differ from `tag` in their version alone and have a higher one, the highest first. */
export const newerTags = (tag: string, tags: readonly string[]): string[] => {
  const own = tagParts(tag);
  if (own === undefined) return [];
  return tags
    .flatMap((name) => {
      const parts = tagParts(name);
      return parts?.shape === own.shape && compare(parts.numbers, own.numbers) > 0
        ? [{ name, numbers: parts.numbers }]
        : [];
    })
    .toSorted((a, b) => compare(b.numbers, a.numbers))
    .map(({ name }) => name);
};
