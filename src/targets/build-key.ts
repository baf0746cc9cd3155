/** What the Packer template replaces by the public key of the build. */
export const buildKeyMarker = "bake-build-key";
