import type { Rule } from "./rule.ts";

/** An image is named once; the BuildKit image comes with the builders. */
export const imageListedTwice: Rule = {
  code: "BK113",
  reads: ["images", "builders.image"],
  find: ({ images, builders }) =>
    images.flatMap((image, index) =>
      images.indexOf(image) < index || image === builders.image
        ? [
            {
              path: ["images", index],
              message: `image ${image} is listed twice`,
              label: image === builders.image ? "builders.image already brings it" : "already listed above",
              help: "remove this line",
            },
          ]
        : [],
    ),
};
