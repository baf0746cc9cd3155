/** Versions of three numbers, and patterns such as `26.1.x`. Pure. */
import { BakeError } from "../../errors.ts";

const numbers = (version: string): number[] => version.split(".").map(Number);

/** Newest first. */
export const compareVersions = (a: string, b: string): number => {
  const [left, right] = [numbers(a), numbers(b)];
  for (const index of [0, 1, 2]) {
    const difference = (right[index] ?? 0) - (left[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
};

/** Stable versions among texts such as `v0.20.0`; each once, the newest first. */
export const stableVersions = (texts: readonly string[]): string[] =>
  [...new Set(texts.flatMap((text) => /^v?(\d+\.\d+\.\d+)$/.exec(text)?.slice(1) ?? []))].toSorted(compareVersions);

const isOpen = (asked: string): boolean => asked.endsWith(".x");

/**
 * The exact version of what is asked: itself, or the newest patch release of `26.1.x`.
 * @param versions Asks the source; not asked for an exact version.
 * @throws BakeError BK232 when the source has none.
 */
export const exactVersion = async (name: string, asked: string, versions: () => Promise<string[]>): Promise<string> => {
  if (!isOpen(asked)) return asked;
  const prefix = asked.slice(0, -1);
  const all = await versions();
  const found = all.filter((version) => version.startsWith(prefix)).toSorted(compareVersions)[0];
  if (found !== undefined) return found;
  throw new BakeError(
    "BK232",
    `there is no release ${asked} of ${name}`,
    all.length === 0 ? "The source lists no releases at all." : `The newest are ${all.slice(0, 3).join(", ")}.`,
  );
};
