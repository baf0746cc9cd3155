import { BakeError } from "../../errors.ts";

const exact = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?$/;
const line = /^(\d+\.\d+\.)x$/;

const numbers = (version: string): number[] => version.split(".").map(Number);

/** Newest first, none twice. Of `1.2.3`-like versions only. */
export const newestFirst = (versions: readonly string[]): string[] =>
  [...new Set(versions)].toSorted((a, b) => {
    const [left, right] = [numbers(a), numbers(b)];
    const differs = left.findIndex((number, index) => number !== right[index]);
    return differs === -1 ? 0 : (right[differs] ?? 0) - (left[differs] ?? 0);
  });

/** `27` of `27.5.1` and `27.5.x`. */
export const majorOf = (version: string): string => version.split(".", 1)[0] ?? "";

/** The oldest release that a requirement can mean: a list of releases, newest first, need not be read beyond it. */
export const oldestMeant = (asked: string): string => asked.replace(line, (_, start: string) => `${start}0`);

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
  const start = line.exec(asked)?.[1];
  if (start === undefined) {
    throw new BakeError(
      "BK244",
      `${name}: ${asked} is not a version`,
      "Write all of it, such as 26.1.3, or 26.1.x for the newest patch release.",
    );
  }
  const found = await versions();
  const newest = found.find((version) => version.startsWith(start));
  if (newest !== undefined) return newest;
  throw new BakeError(
    "BK236",
    `${name} ${asked}: no such release at ${where}`,
    found.length === 0 ? "It lists no stable release." : `The newest there: ${found.slice(0, 5).join(", ")}.`,
  );
};
