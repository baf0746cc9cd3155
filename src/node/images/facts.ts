/** Images that are in Docker's store before the first job (guide rows G24, G27). */
import type { Artifact } from "../../artifact.ts";
import { nameSameImage } from "../../formats/image-reference.ts";
import type { Profile } from "../../profile/schema.ts";

export interface ImageFacts {
  readonly reference: string;
  /** From the lock: what `docker image inspect` must show, the folder with manifest.json and the list of the blobs, and by what name and digest a registry has it. */
  readonly locked?: { readonly imageId: string; readonly folder: string; readonly pull: string };
}

/** Where blobs lie on the node, each once: images share layers. */
export const imagesFolder = "/opt/bake/images";

/** A lock may have the image by another of its names. Pure. */
export const isNamed = (name: string, reference: string): boolean =>
  name === reference || nameSameImage(name, reference);

/** @throws RangeError when a lock is given that does not name one of the profile's images. */
export const imageFacts = ({ images, builders }: Profile, locked: readonly Artifact[] | undefined): ImageFacts[] =>
  [builders.image, ...images].map((reference) => {
    if (locked === undefined) return { reference };
    const image = locked.find((each) => each.kind === "container-image" && isNamed(each.name, reference));
    if (image?.kind !== "container-image") throw new RangeError(`the lock does not name image ${reference}`);
    const imageId = image.config.digest;
    return {
      reference,
      locked: {
        imageId,
        folder: `${imagesFolder}/${imageId.slice("sha256:".length)}`,
        pull: `${image.registry}/${image.repository}@${image.manifest.digest}`,
      },
    };
  });
