/** The bake id: what ends up in an image, as one digest. */
import { createHash } from "node:crypto";

/** A rendered file; a function where the bake id stands in it. */
export interface Identified {
  readonly path: string;
  readonly content: string | ((bakeId: string | undefined) => string);
  /** Whether the image follows from it. Golden user-data is attached later, and pages repeat the rest. */
  readonly ofImage?: boolean;
  readonly encoding?: "latin1";
}

/** Stands where the bake id goes while the bake id is computed: as long as one, and no possible digest. */
const placeholder = "bake-id-of-this-image-follows-from-its-bytes";

/**
 * sha256 over what ends up in the image, as base64url without padding: 43 characters, the longest tag value that Huawei Cloud
 * takes. Pure.
 * @param files Sorted by path.
 * @param origin What the image is made from and where, each by a name.
 */
export const bakeIdOf = (files: readonly Identified[], origin: Readonly<Record<string, string>>): string => {
  const hash = createHash("sha256");
  const add = (name: string, content: string, encoding: "latin1" | "utf8" = "utf8"): void => {
    const bytes = Buffer.from(content, encoding);
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  };
  for (const { path, content, ofImage, encoding } of files) {
    if (ofImage === true) add(path, typeof content === "string" ? content : content(placeholder), encoding);
  }
  for (const [name, content] of Object.entries(origin)) add(name, content);
  return hash.digest("base64url");
};
