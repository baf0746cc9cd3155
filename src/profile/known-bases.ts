/** The bases that bake knows by name: openEuler's images, newest first within their line. */
export const openEulerReleases = [
  "24.03-LTS-SP4",
  "24.03-LTS-SP3",
  "24.03-LTS-SP2",
  "24.03-LTS-SP1",
  "24.03-LTS",
  "22.03-LTS-SP4",
  "22.03-LTS-SP3",
  "22.03-LTS-SP2",
  "22.03-LTS-SP1",
  "20.03-LTS-SP4",
] as const;

/** How a profile calls a release of openEuler. Pure. */
export const openEulerBase = (release: string): string => `openeuler-${release.toLowerCase()}`;

/** The password of root on all images of openEuler, as its documents have it: everybody knows it. */
const openEulerRootPassword = "openEuler12#$";

/** The documented password of root on a known base, which brings no cloud-init; undefined for any other base. Pure. */
export const documentedPassword = (base: string | { readonly file: string }): string | undefined =>
  typeof base === "string" && knownBases.includes(base) ? openEulerRootPassword : undefined;

/** All names. */
export const knownBases: readonly string[] = openEulerReleases.map(openEulerBase);
