/**
 * Versions, as profiles and release pages write them, and their order by the rules of semver. Pure.
 *
 * A profile may leave the patch release open: `26.1.x`. Such a version stands for the newest patch release of its line. It is
 * therefore above `26.1.99` and below `26.2.0`. A number that is not written is 0: Go calls a release `1.24`.
 */
import SemVer from "semver/classes/semver.js";

/** What follows the numbers is a prerelease behind a `-`, and else of no account: `1.24~2` of a distribution is 1.24. */
const form = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+|x))?(?:-(.*))?/;

/** The highest number that semver takes; the patch release of an open version. */
const highest = Number.MAX_SAFE_INTEGER;

const numberOf = (digits = "0"): number => (digits === "x" ? highest : Math.min(Number(digits), highest));

/** A suffix that semver cannot read (`1.2.3-a..b`) is left out: the three numbers decide. */
const read = (text: string): SemVer => {
  const [whole, major, minor, patch, suffix] = form.exec(text) ?? [];
  if (whole === undefined) throw new RangeError("not a version");
  const release = [major, minor, patch].map(numberOf).join(".");
  try {
    return new SemVer(suffix === undefined ? release : `${release}-${suffix}`, { loose: true });
  } catch {
    return new SemVer(release);
  }
};

/**
 * The full order: a prerelease comes before its release, an open version after all patch releases of its line.
 * @returns negative when `a` is the older one, 0 when neither is
 * @throws RangeError for a text that does not begin with dotted numbers
 */
export const compareVersions = (a: string, b: string): number => read(a).compare(read(b));

/**
 * The order by the three numbers alone. What came with a release came with its prereleases: tables of releases are read so.
 * @returns negative when `a` is of the older release, 0 when both are of one
 * @throws RangeError as `compareVersions`
 */
export const compareReleases = (a: string, b: string): number => read(a).compareMain(read(b));

/**
 * Whether a version has what came with a release.
 * @param release all of it, or its first numbers: `1.24`
 * @throws RangeError as `compareVersions`
 */
export const isAtLeast = (version: string, release: string): boolean => compareReleases(version, release) >= 0;

/** Whether the patch release is open: `26.1.x`. */
export const isOpenVersion = (version: string): boolean => /^\d+\.\d+\.x$/.test(version);

/**
 * The first number: 27 of `27.5.1` and of `27.5.x`.
 * @throws RangeError as `compareVersions`
 */
export const majorOf = (version: string): number => read(version).major;

/**
 * Whether two versions differ in their patch release at most.
 * @throws RangeError as `compareVersions`
 */
export const isSameLine = (a: string, b: string): boolean => {
  const [one, other] = [read(a), read(b)];
  return one.major === other.major && one.minor === other.minor;
};

/**
 * The order of lists of numbers, one after the other; a missing number is 0. Tags of images have any count of them, which
 * semver does not know.
 */
export const compareNumbers = (a: readonly number[], b: readonly number[]): number => {
  const length = Math.max(a.length, b.length);
  const differences = Array.from({ length }, (_, index) => (a[index] ?? 0) - (b[index] ?? 0));
  return differences.find((difference) => difference !== 0) ?? 0;
};
