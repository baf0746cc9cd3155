import { type ImageReference, imageReferenceOf, isSameImage } from "../../formats/image-reference.ts";
import type { Rule } from "../../profile/rules/rule.ts";

/** An image is named once, however it is written; the BuildKit image comes with the builders. */
export const imageListedTwice: Rule = {
  code: "BK113",
  reads: ["images", "builders.image"],
  find: ({ images, builders }) => {
    const references = images.map(({ image }) => imageReferenceOf(image));
    const buildkit = imageReferenceOf(builders.image);
    const as = (one: ImageReference, other: ImageReference): string =>
      one.written === other.written ? "" : `, as ${other.written}`;
    return references.flatMap((image, index) => {
      const above = references.slice(0, index).find((other) => isSameImage(image, other));
      const brought = isSameImage(image, buildkit);
      if (above === undefined && !brought) return [];
      return [
        {
          path: ["images", index],
          message: `image ${image.written} is listed twice`,
          label:
            brought || above === undefined
              ? `builders.image already brings it${as(image, buildkit)}`
              : `already listed above${as(image, above)}`,
          help: "remove this line",
        },
      ];
    });
  },
};
