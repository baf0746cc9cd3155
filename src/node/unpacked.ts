/** What layers of images come to. Pure. */
import type { ContainerImage } from "../artifact.ts";

/** How many times larger layers are once they are unpacked: an estimate, images of toolchains have two to three. */
export const unpacked = 2.5;

/** Bytes of all layers, packed as registries have them; those that images share once. */
export const layerBytes = (images: readonly Pick<ContainerImage, "layers">[]): number =>
  [
    ...new Map(images.flatMap(({ layers }) => layers.map(({ digest, size }) => [digest, size] as const))).values(),
  ].reduce((sum, size) => sum + size, 0);
