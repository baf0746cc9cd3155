/** The builders cachebuilder1 … cachebuilder<spawn> (guide row G24). */
import { imageReferenceOf } from "../formats/image-reference.ts";
import { isAtLeast } from "../formats/version.ts";
import type { Profile } from "../profile/schema.ts";

export interface BuildersPlan {
  readonly image: string;
  /** What the node calls it: no registry answers there, so that a builder takes what was loaded. */
  readonly localImage: string;
  readonly names: readonly string[];
  /** buildkitd.toml by section and key. */
  readonly config: Readonly<Record<string, Readonly<Record<string, string | number | boolean | readonly string[]>>>>;
}

/** From BuildKit 0.17 on a limit of its own, before that one number in MB that both keeps and limits. */
const knowsMaxUsedSpace = (image: string): boolean => {
  const { tag } = imageReferenceOf(image);
  return !/^v\d+\.\d/.test(tag) || isAtLeast(tag, "0.17.0");
};

export const planBuilders = ({ builders }: Profile, names: readonly string[]): BuildersPlan => ({
  image: builders.image,
  localImage: `localhost:1/${builders.image}`,
  names,
  config: {
    "worker.oci": {
      gc: true,
      ...(knowsMaxUsedSpace(builders.image)
        ? { maxUsedSpace: `${builders.maxCacheSize}GB` }
        : { gckeepstorage: builders.maxCacheSize * 1000 }),
    },
    ...Object.fromEntries(
      Object.entries(builders.mirrors)
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([registry, mirrors]) => [`registry.${JSON.stringify(registry)}`, { mirrors }]),
    ),
  },
});
