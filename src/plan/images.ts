/** Images that are in Docker's store before the first job (guide rows G24, G27). */
import type { Lock } from "../lock/lock.ts";
import type { Profile } from "../profile/schema.ts";

export interface ImagePlan {
  readonly reference: string;
  /** From the lock: what `docker image inspect` must show, and the archive that holds it. */
  readonly locked?: { readonly imageId: string; readonly archive: string; readonly sha256: string };
}

/** @throws RangeError when a lock is given that does not name one of the profile's images. */
export const planImages = ({ images, builders }: Profile, lock: Lock | undefined): ImagePlan[] =>
  [builders.image, ...images].map((reference) => {
    if (lock === undefined) return { reference };
    const artifact = lock.artifacts.find(({ kind, name }) => kind === "container-image" && name === reference);
    if (artifact?.imageId === undefined) throw new RangeError(`the lock does not name image ${reference}`);
    return {
      reference,
      locked: {
        imageId: artifact.imageId,
        archive: `/opt/bake/images/${artifact.sha256}.tar`,
        sha256: artifact.sha256,
      },
    };
  });
