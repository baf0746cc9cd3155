/** Written into the bundle by build.mjs, with the commit: `0.1.0+0bebbafd3c12`, `….modified` when files had been changed. */
declare const BAKE_VERSION: string | undefined;

/** Of bake itself. */
export const version = typeof BAKE_VERSION === "undefined" ? "unbundled" : BAKE_VERSION;
