/** What a version of a profile means, among those that a source has. */
import { BakeError } from "../../errors.ts";
import { compareVersions, isOpenVersion, isSameLine } from "../../formats/version.ts";

const exact = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?$/;

/** Newest first, none twice. Pure. @throws RangeError for what is no version */
export const newestFirst = (versions: readonly string[]): string[] =>
  [...new Set(versions)].toSorted((a, b) => compareVersions(b, a));

/** The oldest release that a requirement can mean: a list of releases, newest first, need not be read beyond it. Pure. */
export const oldestMeant = (asked: string): string => (isOpenVersion(asked) ? asked.replace(/x$/, "0") : asked);

/**
 * What `asked` means now: itself, or for `26.1.x` the newest patch release.
 * @param versions newest first; only asked for when `asked` is open
 * @param where what to name in messages
 * @throws BakeError BK236 when there is no such release, BK244 when `asked` is neither
 */
export const exactVersion = async (
  name: string,
  asked: string,
  versions: () => Promise<string[]>,
  where: string,
): Promise<string> => {
  if (exact.test(asked)) return asked;
  if (!isOpenVersion(asked)) {
    throw new BakeError(
      "BK244",
      `${name}: ${asked} is not a version`,
      "Write all of it, such as 26.1.3, or 26.1.x for the newest patch release.",
    );
  }
  const found = await versions();
  const newest = found.find((version) => isSameLine(version, asked));
  if (newest !== undefined) return newest;
  throw new BakeError(
    "BK236",
    `${name} ${asked}: no such release at ${where}`,
    found.length === 0 ? "It lists no stable release." : `The newest there: ${found.slice(0, 5).join(", ")}.`,
  );
};
