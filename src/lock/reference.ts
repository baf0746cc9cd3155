/** Names of images on their way to a registry, and the order of a repository's tags. Pure. */
import { BakeError } from "../errors.ts";
import { type ImageReference, parseImageReference } from "../formats/image-reference.ts";
import { compareNumbers } from "../formats/version.ts";
import { withoutSecretShapes } from "../secrets/shapes.ts";

/**
 * `parseImageReference` for a name that nobody has validated yet.
 * @throws BakeError BK250 when it is no name of an image with a tag. The message shows no password.
 */
export const requireReference = (text: string): ImageReference => {
  const reference = parseImageReference(text);
  if (reference !== undefined) return reference;
  throw new BakeError(
    "BK250",
    `"${withoutSecretShapes(text)}" is no image with a tag`,
    "Name one as docker pull takes it, with a tag and without a digest, such as quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12.",
  );
};

/** Prefix, version, suffix: `9.1.0-910b-py3.12` is version 9.1.0 of those that end in `-910b-py3.12`. */
const tagParts = (tag: string): { shape: string; numbers: number[] } | undefined => {
  const [, prefix, version, suffix] = /^(\D*)(\d+(?:\.\d+)*)(.*)$/.exec(tag) ?? [];
  if (version === undefined) return undefined;
  const numbers = version.split(".").map(Number);
  return { shape: `${prefix}${numbers.map(() => "*").join(".")}${suffix}`, numbers };
};

/** Those of `tags` that differ from `tag` in their version alone and have a higher one, the highest first. */
export const newerTags = (tag: string, tags: readonly string[]): string[] => {
  const own = tagParts(tag);
  if (own === undefined) return [];
  return tags
    .flatMap((name) => {
      const parts = tagParts(name);
      return parts?.shape === own.shape && compareNumbers(parts.numbers, own.numbers) > 0
        ? [{ name, numbers: parts.numbers }]
        : [];
    })
    .toSorted((a, b) => compareNumbers(b.numbers, a.numbers))
    .map(({ name }) => name);
};
