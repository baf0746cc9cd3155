/** Images that are in Docker's store before the first job (guide rows G24, G27). */
import type { Artifact, ContainerImage } from "../../artifact.ts";
import { nameSameImage } from "../../formats/image-reference.ts";
import type { Profile } from "../../profile/schema.ts";

export interface ImageFacts {
  readonly reference: string;
  /** Whether the image carries it, or the node fetches it from the mirror. */
  readonly from: "image" | "mirror";
  /** From the lock: what `docker image inspect` must show, the folder with manifest.json and the list of the blobs, and by what name and digest a registry has it. */
  readonly locked?: { readonly imageId: string; readonly folder: string; readonly pull: string };
}

/** Where blobs lie on the node, each once: images share layers. */
export const imagesFolder = "/opt/bake/images";

/** Whether the golden image carries one of a lock; two names may mean one image, and then the one that is carried counts. Pure. */
export const isCarried = (planned: readonly ImageFacts[], { config }: Pick<ContainerImage, "config">): boolean =>
  planned.some(({ from, locked }) => from === "image" && locked?.imageId === config.digest);

/** A lock may have the image by another of its names. Pure. */
export const isNamed = (name: string, reference: string): boolean =>
  name === reference || nameSameImage(name, reference);

/** @throws RangeError when a lock is given that does not name one of the profile's images. */
export const imageFacts = ({ images, builders }: Profile, locked: readonly Artifact[] | undefined): ImageFacts[] =>
  // The builders start without a network: theirs is always carried.
  [{ image: builders.image, from: "image" as const }, ...images].map(({ image: reference, from }) => {
    if (locked === undefined) return { reference, from };
    const image = locked.find((each) => each.kind === "container-image" && isNamed(each.name, reference));
    if (image?.kind !== "container-image") throw new RangeError(`the lock does not name image ${reference}`);
    const imageId = image.config.digest;
    return {
      reference,
      from,
      locked: {
        imageId,
        folder: `${imagesFolder}/${imageId.slice("sha256:".length)}`,
        pull: `${image.registry}/${image.repository}@${image.manifest.digest}`,
      },
    };
  });
